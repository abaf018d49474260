//! Hostile broker: limits that shrink below what is stored.

use super::rig::{Rig, words};
use crate::model::event::{Event, Fate, State, Why};
use crate::model::message::IfUnsupported;
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::WireError;
use crate::wire::packet::{Ack, Packet};

#[test]
fn maximum_qos_0_and_1_with_stored_qos_2_3_2_2_11() {
    for maximum in [0, 1] {
        let mut rig = Rig::new(|_| {});
        rig.publish(2);
        let willing = rig.publish_row(2, |row| row.if_unsupported = IfUnsupported::Downgrade);
        let fitting = rig.publish(maximum);
        rig.link_up();
        rig.accept_with(false, |properties| properties.maximum_qos = Some(maximum));
        assert_eq!(rig.fates[&1], Fate::Refused(ReasonCode::QosNotSupported));
        let sent = words(&rig.sent());
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|word| word.starts_with("publish2").eq(&false)), "{sent:?}");
        if maximum == 1 {
            rig.packet(Packet::PubAck(Ack::ok(3)));
            rig.packet(Packet::PubAck(Ack::ok(4)));
            assert_eq!(rig.fates[&fitting], Fate::DELIVERED);
            let downgraded = Fate::Delivered { maybe_twice: false, maybe_lost: false, downgraded: true };
            assert_eq!(rig.fates[&willing], downgraded);
        }
    }
}

#[test]
fn retain_unavailable_with_a_stored_retained_row_3_2_2_14() {
    let mut rig = Rig::new(|_| {});
    let strict = rig.publish_row(1, |row| row.retain = true);
    rig.publish_row(1, |row| (row.retain, row.if_unsupported) = (true, IfUnsupported::Downgrade));
    rig.link_up();
    rig.accept_with(false, |properties| properties.retain_available = Some(false));
    assert_eq!(rig.fates[&strict], Fate::Refused(ReasonCode::RetainNotSupported));
    let Packet::Publish(publish) = &rig.sends[0] else { panic!("{:?}", rig.sends) };
    assert!(!publish.retain);
}

#[test]
fn maximum_packet_size_below_a_waiting_and_an_in_flight_row_3_2_2_15() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    let large = bytes::Bytes::from(vec![0; 500]);
    let in_flight = rig.publish_row(1, |row| row.payload = large.clone());
    rig.cut();
    let waiting = rig.publish_row(1, |row| row.payload = large);
    let small = rig.publish(1);
    rig.link_up();
    rig.accept_with(true, |properties| properties.maximum_packet_size = Some(100));
    for id in [in_flight, waiting] {
        assert_eq!(rig.fates[&id], Fate::Refused(ReasonCode::PacketTooLarge));
    }
    assert_eq!(words(&rig.sent()), [format!("publish1 {}", small + 1)]);
}

#[test]
fn a_packet_that_is_none_closes_with_its_reason_and_the_session_goes_on() {
    for reason in [ReasonCode::MalformedPacket, ReasonCode::PacketTooLarge, ReasonCode::TopicAliasInvalid] {
        let mut rig = Rig::new(|_| {});
        rig.online(false);
        rig.publish(1);
        rig.sent();
        rig.input(Input::Broken(WireError { reason, text: "broken".to_owned() }));
        assert_eq!(words(&rig.sent()), [format!("disconnect {:02x}", reason.code())]);
        rig.closed();
        assert!(matches!(rig.last_state(), Some(State::Waiting { why: Why::Protocol(..), .. })));
        assert!(rig.events.iter().any(|event| matches!(event, Event::Warning { .. })));
        rig.pass(130_000);
        rig.online(true);
        assert_eq!(words(&rig.sent()), ["publish1 2 dup"]);
    }
}

#[test]
fn three_too_large_messages_far_apart_are_not_three_running() {
    let mut rig = Rig::new(|options| options.version = Version::V311);
    for number in 0..5 {
        rig.online(number > 0);
        rig.input(Input::Broken(WireError { reason: ReasonCode::PacketTooLarge, text: "large".to_owned() }));
        rig.closed();
        rig.pass(130_000);
        assert!(!rig.session.skips_too_large(), "{number}");
        // A link that lived without one.
        rig.online(true);
        rig.pass(1_000);
        rig.message(0, 0, b"x");
        rig.cut();
    }
}

#[test]
fn times_to_live_go_on_the_wire_reduced_and_rounded_up_3_3_2_6() {
    let mut rig = Rig::new(|_| {});
    let expires = rig.now.store_ms + 10_000;
    for _ in 0..2 {
        rig.publish_row(1, |row| row.expires_ms = Some(expires));
    }
    rig.pass(8_500);
    rig.link_up();
    rig.accept_with(false, |properties| properties.receive_maximum = Some(1));
    let expiry = |rig: &mut Rig| match rig.sent().remove(0) {
        Packet::Publish(publish) => publish.props.unwrap().expiry_s,
        other => panic!("{other:?}"),
    };
    assert_eq!(expiry(&mut rig), Some(2));
    rig.pass(2_000);
    assert_eq!(rig.fates[&2], Fate::Expired);
    rig.cut();
    rig.online(true);
    assert_eq!(expiry(&mut rig), Some(1), "sent once, never expired by us");
}

#[test]
fn a_waiting_row_that_expires_behind_a_window_is_never_sent() {
    let mut rig = Rig::new(|options| options.inflight = 1);
    rig.online(false);
    rig.publish(1);
    let expires = rig.now.store_ms + 1_000;
    rig.publish_row(1, |row| row.expires_ms = Some(expires));
    rig.publish(1);
    rig.sent();
    rig.advance(5_000);
    rig.packet(Packet::PubAck(Ack::ok(2)));
    assert_eq!(words(&rig.sent()), ["publish1 4"]);
    assert_eq!(rig.fates[&2], Fate::Expired);
}
