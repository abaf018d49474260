//! Windows, resends, refusals.

use super::rig::{Rig, ack, words};
use crate::model::event::Fate;
use crate::model::message::{IfUnsupported, Properties, QoS};
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};
use crate::wire::{encoded_len, packet::Protocol};

#[test]
fn a_message_whose_properties_are_over_the_brokers_maximum_is_refused_not_sent() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.maximum_packet_size = Some(400));
    let user = vec![(String::new(), String::new()); 100];
    let id = rig.publish_row(1, |row| row.props = Some(Box::new(Properties { user, ..Properties::default() })));
    assert!(rig.sent().iter().all(|packet| encoded_len(packet, Protocol::V5) <= 400), "sent over the maximum");
    assert_eq!(rig.fates[&id], Fate::Refused(ReasonCode::PacketTooLarge));
}

#[test]
fn refusals_do_not_make_one_turn_of_the_whole_outbox() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..20_000 {
        rig.publish_row(1, |row| row.retain = true);
    }
    rig.largest = 0;
    rig.link_up();
    rig.accept_with(false, |properties| properties.retain_available = Some(false));
    rig.pass(1_000);
    assert_eq!(rig.fates.len(), 20_000);
    assert!(rig.largest < 3_000, "{} writes in one turn", rig.largest);
}

#[test]
fn expiries_do_not_make_one_turn_of_the_whole_outbox() {
    let mut rig = Rig::new(|_| {});
    let expires = Some(rig.now.store_ms + 5_000);
    for _ in 0..20_000 {
        rig.publish_row(1, |row| row.expires_ms = expires);
    }
    rig.largest = 0;
    rig.pass(6_000);
    assert_eq!(rig.fates.len(), 20_000);
    assert!(rig.fates.values().all(|fate| *fate == Fate::Expired));
    assert!(rig.largest < 3_000, "{} writes in one turn", rig.largest);
}

#[test]
fn refusals_behind_a_stuck_message_stay_within_the_span() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.retain_available = Some(false));
    let stuck = rig.publish(1);
    for _ in 0..60_000 {
        rig.publish_row(1, |row| row.retain = true);
    }
    let sent_through = rig.hot.lanes[0].sent_through;
    assert!(sent_through - stuck <= 57_344, "{sent_through}");
    let pid = 1 + (stuck % 57_344) as u16;
    rig.packet(Packet::PubAck(Ack::ok(pid)));
    rig.pass(1_000);
    assert_eq!(rig.fates.len(), 60_001);
}

#[test]
fn a_row_that_has_no_form_on_the_wire_is_refused() {
    let mut rig = Rig::new(|options| options.max_payload = 268_000_000);
    rig.online(false);
    let user = vec![(String::new(), "x".repeat(65_000)); 10];
    let payload = bytes::Bytes::from(vec![0; 268_000_000]);
    let id = rig.publish_row(1, |row| {
        row.payload = payload;
        row.props = Some(Box::new(Properties { user, ..Properties::default() }));
    });
    assert_eq!(rig.fates.get(&id), Some(&Fate::Refused(ReasonCode::PacketTooLarge)));
}

fn pids(rig: &mut Rig) -> Vec<u16> {
    let publish = |packet: &Packet| match packet {
        Packet::Publish(publish) => Some(publish.pid),
        _ => None,
    };
    rig.sent().iter().filter_map(publish).collect()
}

#[test]
fn acknowledgements_of_rows_not_yet_resent_do_not_upset_the_window() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for qos in [1, 2, 1, 2, 2] {
        rig.publish(qos);
    }
    let sent = pids(&mut rig);
    rig.cut();
    rig.link_up();
    rig.accept_with(true, |properties| properties.receive_maximum = Some(1));
    assert_eq!(pids(&mut rig), [sent[0]]);
    rig.packet(Packet::PubAck(Ack::ok(sent[2])));
    rig.packet(Packet::PubRec(Ack::ok(sent[3])));
    rig.packet(Packet::PubRec(ack(sent[4], ReasonCode::QuotaExceeded)));
    rig.packet(Packet::PubComp(Ack::ok(sent[3])));
    rig.packet(Packet::PubAck(Ack::ok(sent[0])));
    assert_eq!(pids(&mut rig), [sent[1]]);
    rig.packet(Packet::PubRec(Ack::ok(sent[1])));
    rig.packet(Packet::PubComp(Ack::ok(sent[1])));
    assert_eq!(rig.fates.len(), 5);
    rig.publish(1);
    assert_eq!(pids(&mut rig).len(), 1);
}

#[test]
fn a_link_without_credit_goes_on_when_it_has_some() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.credit = 0;
    for _ in 0..3 {
        rig.publish(1);
    }
    assert!(pids(&mut rig).is_empty() && rig.session.wants_credit());
    rig.credit = 1;
    for left in [2, 1, 0] {
        rig.input(Input::Tick);
        assert_eq!(pids(&mut rig).len(), 1, "{left} left");
    }
}

#[test]
fn qos_0_keeps_its_place_behind_a_full_window() {
    let mut rig = Rig::new(|options| options.inflight = 1);
    rig.online(false);
    rig.publish(1);
    rig.publish(1);
    let id = rig.publish(0);
    let sent = pids(&mut rig);
    assert_eq!((sent.len(), rig.fates.len()), (1, 0));
    rig.packet(Packet::PubAck(Ack::ok(sent[0])));
    assert_eq!(rig.fates[&id], Fate::Sent);
    assert_eq!(pids(&mut rig).len(), 2);
}

#[test]
fn a_311_broker_gets_at_most_twenty_qos_2_messages_also_on_resume() {
    let mut rig = Rig::new(|options| options.version = Version::V311);
    rig.online(false);
    for _ in 0..60 {
        rig.publish(2);
    }
    let sent = pids(&mut rig);
    assert_eq!(sent.len(), 20);
    for pid in &sent[..10] {
        rig.packet(Packet::PubRec(Ack::ok(*pid)));
    }
    assert!(pids(&mut rig).is_empty(), "until PUBCOMP they count");
    rig.cut();
    rig.online(true);
    let words = words(&rig.sends);
    assert!(words[..10].iter().all(|word| word.starts_with("pubrel")), "{words:?}");
    assert_eq!(pids(&mut rig).len(), 10);
    for pid in &sent[..10] {
        rig.packet(Packet::PubComp(Ack::ok(*pid)));
    }
    assert_eq!(pids(&mut rig).len(), 10, "ten new ones");
}

#[test]
fn a_downgraded_message_is_finished_by_its_puback_after_a_restart() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.maximum_qos = Some(1));
    let id = rig.publish_row(2, |row| row.if_unsupported = IfUnsupported::Downgrade);
    let first = pids(&mut rig);
    rig.restart();
    rig.link_up();
    rig.accept_with(true, |properties| properties.maximum_qos = Some(1));
    let Packet::Publish(publish) = &rig.sends[0] else { panic!("{:?}", rig.sends) };
    assert!(publish.dup && publish.qos == QoS::AtLeastOnce && publish.pid == first[0]);
    rig.packet(Packet::PubAck(Ack::ok(first[0])));
    assert_eq!(rig.fates[&id], Fate::Delivered { maybe_twice: false, maybe_lost: false, downgraded: true });
}
