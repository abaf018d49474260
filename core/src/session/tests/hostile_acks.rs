//! Hostile broker: acknowledgements that are wrong, late, double or strange.

use super::rig::{Rig, ack, words};
use crate::model::event::{Event, Fate, Why};
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};

/// One message is out under identifier 2.
fn sent(qos: u8, version: Version) -> Rig {
    let mut rig = Rig::new(|options| options.version = version);
    rig.online(false);
    rig.publish(qos);
    assert_eq!(words(&rig.sent()), [format!("publish{qos} 2")]);
    rig
}

#[test]
fn with_the_quota_empty_pubrel_subscribe_and_pingreq_flow_3_3_4_8() {
    let mut rig = Rig::new(|options| options.inflight = 1);
    rig.online(false);
    rig.publish(2);
    rig.publish(2);
    rig.sent();
    rig.subscribe("a");
    rig.packet(Packet::PubRec(Ack::ok(2)));
    rig.pass(60_000);
    assert_eq!(words(&rig.sent()), ["subscribe a", "pubrel 2", "pingreq"]);
}

#[test]
fn pubrec_0x97_frees_quota_and_identifier_without_pubrel_4_3_3_4() {
    let mut rig = Rig::new(|options| options.inflight = 1);
    rig.online(false);
    rig.publish(2);
    rig.publish(2);
    rig.sent();
    rig.packet(Packet::PubRec(ack(2, ReasonCode::QuotaExceeded)));
    assert_eq!(words(&rig.sent()), ["publish2 3"]);
    assert_eq!(rig.fates[&1], Fate::Refused(ReasonCode::QuotaExceeded));
}

#[test]
fn puback_0x87_is_never_sent_again_also_after_a_restart_4_3_2() {
    let mut rig = sent(1, Version::V5);
    rig.packet(Packet::PubAck(ack(2, ReasonCode::NotAuthorized)));
    assert_eq!(rig.fates[&1], Fate::Refused(ReasonCode::NotAuthorized));
    rig.restart();
    rig.online(true);
    assert!(rig.sent().is_empty() && rig.outbox.is_empty());
}

#[test]
fn no_matching_subscribers_is_a_success_3_4_2_1() {
    let mut rig = sent(1, Version::V5);
    rig.packet(Packet::PubAck(ack(2, ReasonCode::NoMatchingSubscribers)));
    assert_eq!(rig.fates[&1], Fate::DELIVERED);
    let mut rig = sent(2, Version::V5);
    rig.packet(Packet::PubRec(ack(2, ReasonCode::NoMatchingSubscribers)));
    assert_eq!(words(&rig.sent()), ["pubrel 2"]);
}

#[test]
fn a_wrong_kind_of_acknowledgement_closes_with_0x82_and_keeps_the_row() {
    for (qos, wrong) in
        [(2, Packet::PubAck(Ack::ok(2))), (1, Packet::PubRec(Ack::ok(2))), (2, Packet::PubComp(Ack::ok(2)))]
    {
        let mut rig = sent(qos, Version::V5);
        rig.packet(wrong.clone());
        assert_eq!(words(&rig.sent()), ["disconnect 82"], "{wrong:?}");
        assert!(rig.outbox.contains_key(&1) && rig.fates.is_empty());
        rig.closed();
        assert!(!rig.open, "no tight loop");
        rig.pass(130_000);
        rig.online(true);
        assert_eq!(words(&rig.sent()), [format!("publish{qos} 2 dup")]);
    }
}

#[test]
fn puback_for_qos_2_from_a_311_broker_is_a_downgrade_told_once_a_link() {
    let mut rig = sent(2, Version::V311);
    rig.publish(2);
    rig.packet(Packet::PubAck(Ack::ok(2)));
    rig.packet(Packet::PubAck(Ack::ok(3)));
    let downgraded = Fate::Delivered { maybe_twice: false, maybe_lost: false, downgraded: true };
    assert_eq!((&rig.fates[&1], &rig.fates[&2]), (&downgraded, &downgraded));
    let told = rig.events.iter().filter(|event| matches!(event, Event::Warning { code: "qos2_downgraded", .. }));
    assert_eq!(told.count(), 1);
}

#[test]
fn acknowledgements_for_unknown_identifiers_are_counted_and_ignored() {
    let mut rig = sent(1, Version::V5);
    for packet in [Packet::PubAck(Ack::ok(77)), Packet::PubComp(Ack::ok(77)), Packet::PubAck(Ack::ok(65_535))] {
        rig.packet(packet);
    }
    assert!(rig.sent().is_empty() && !rig.close);
    assert_eq!(rig.session.metrics().stray_acks, 3);
}

#[test]
fn pubrec_for_an_unknown_identifier_is_answered_3_6_2_1() {
    let mut rig = sent(1, Version::V5);
    rig.packet(Packet::PubRec(Ack::ok(77)));
    assert_eq!(words(&rig.sent()), ["pubrel 77 92"]);
    let mut rig = sent(1, Version::V311);
    rig.packet(Packet::PubRec(Ack::ok(77)));
    assert_eq!(words(&rig.sent()), ["pubrel 77"]);
}

#[test]
fn a_broker_that_closes_on_that_answer_gets_none_on_the_next_link() {
    let mut rig = sent(1, Version::V311);
    rig.packet(Packet::PubRec(Ack::ok(77)));
    rig.input(Input::LinkDown(Why::Cut("eof".to_owned())));
    rig.pass(130_000);
    rig.online(true);
    rig.sent();
    rig.packet(Packet::PubRec(Ack::ok(77)));
    assert!(rig.sent().is_empty() && !rig.close);
}

#[test]
fn pubrec_twice_gets_pubrel_twice_and_keeps_its_place() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(2);
    rig.publish(2);
    rig.sent();
    for pid in [2, 3, 2] {
        rig.packet(Packet::PubRec(Ack::ok(pid)));
    }
    assert_eq!(words(&rig.sent()), ["pubrel 2", "pubrel 3", "pubrel 2"]);
    assert_eq!(rig.released, [1, 2]);
}

#[test]
fn pubcomp_0x92_is_maybe_lost() {
    let mut rig = sent(2, Version::V5);
    rig.packet(Packet::PubRec(Ack::ok(2)));
    rig.packet(Packet::PubComp(ack(2, ReasonCode::PacketIdentifierNotFound)));
    assert_eq!(rig.fates[&1], Fate::Delivered { maybe_twice: false, maybe_lost: true, downgraded: false });
}

#[test]
fn acknowledgements_in_any_order_end_each_message_once() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for _ in 0..50 {
        rig.publish(1);
    }
    for pid in (2..52).rev().chain(2..52) {
        rig.packet(Packet::PubAck(Ack::ok(pid)));
    }
    assert_eq!((rig.fates.len(), rig.outbox.len()), (50, 0));
    assert_eq!(rig.session.metrics().stray_acks, 50);
}

#[test]
fn a_message_of_a_lost_session_says_maybe_twice() {
    let mut rig = sent(2, Version::V5);
    rig.cut();
    rig.online(false);
    let Packet::Publish(publish) = rig.sent().remove(0) else { panic!("no PUBLISH") };
    rig.packet(Packet::PubRec(Ack::ok(publish.pid)));
    rig.packet(Packet::PubComp(Ack::ok(publish.pid)));
    assert_eq!(rig.fates[&1], Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false });
}
