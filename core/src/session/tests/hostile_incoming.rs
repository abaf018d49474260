//! Hostile broker: what it delivers, and how often.

use super::rig::{Rig, words};
use crate::model::event::Event;
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Auth, ConnAck, ConnAckProperties, Packet};

fn online(version: Version) -> Rig {
    let mut rig = Rig::new(|options| options.version = version);
    rig.online(false);
    rig.sent();
    rig
}

#[test]
fn pubrel_for_an_unknown_identifier_3_7_2_1() {
    let mut rig = online(Version::V5);
    rig.packet(Packet::PubRel(Ack::ok(5)));
    assert_eq!(words(&rig.sent()), ["pubcomp 5 92"]);
    let mut rig = online(Version::V311);
    rig.packet(Packet::PubRel(Ack::ok(5)));
    assert_eq!(words(&rig.sent()), ["pubcomp 5"]);
}

#[test]
fn qos_2_repeated_without_dup_before_pubrel_stands_once_4_3_3_10() {
    let mut rig = online(Version::V5);
    rig.message(2, 5, b"x");
    rig.message(2, 5, b"x");
    assert_eq!(words(&rig.sent()), ["pubrec 5", "pubrec 5"]);
    assert_eq!(rig.inbox.len(), 1);
}

fn with_dup(rig: &mut Rig, qos: u8, pid: u16, payload: &[u8]) {
    let Packet::Publish(mut publish) = super::rig::message(qos, pid, payload) else { unreachable!() };
    publish.dup = true;
    rig.packet(Packet::Publish(publish));
}

#[test]
fn the_same_identifier_after_pubcomp_is_a_new_message_even_with_dup_4_3_3_12() {
    let mut rig = online(Version::V5);
    rig.message(2, 5, b"x");
    rig.packet(Packet::PubRel(Ack::ok(5)));
    with_dup(&mut rig, 2, 5, b"x");
    assert_eq!(rig.inbox.len(), 2);
    assert_eq!(words(&rig.sent()).last().unwrap(), "pubrec 5");
}

#[test]
fn the_same_qos_1_identifier_after_puback_is_a_new_message_even_with_dup_4_3_2_5() {
    let mut rig = online(Version::V5);
    rig.message(1, 5, b"x");
    with_dup(&mut rig, 1, 5, b"x");
    assert_eq!(rig.inbox.len(), 2);
    assert_eq!(words(&rig.sent()), ["puback 5", "puback 5"]);
}

#[test]
fn a_kill_between_the_row_and_pubrec_leaves_one_row_4_3_3() {
    let mut rig = online(Version::V5);
    rig.message(2, 5, b"x");
    rig.restart();
    rig.online(true);
    rig.sent();
    with_dup(&mut rig, 2, 5, b"x");
    assert_eq!(words(&rig.sent()), ["pubrec 5"]);
    rig.packet(Packet::PubRel(Ack::ok(5)));
    assert_eq!(words(&rig.sent())[0], "pubcomp 5");
    assert_eq!(rig.inbox.len(), 1);
}

#[test]
fn pubrels_in_another_order_than_their_publishes_and_twice() {
    let mut rig = online(Version::V5);
    for pid in 1..=3 {
        rig.message(2, pid, &[pid as u8]);
    }
    rig.sent();
    for pid in [3, 1, 3, 2] {
        rig.packet(Packet::PubRel(Ack::ok(pid)));
    }
    assert_eq!(words(&rig.sent()), ["pubcomp 3", "pubcomp 1", "pubcomp 3 92", "pubcomp 2"]);
    let order: Vec<u8> = rig.inbox.iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn pubrel_never_repeated_after_a_cut_does_not_block_the_identifier_of_others() {
    let mut rig = online(Version::V311);
    rig.message(2, 5, b"old");
    rig.cut();
    rig.online(true);
    rig.sent();
    rig.message(2, 6, b"new");
    assert_eq!(words(&rig.sent()), ["pubrec 6"]);
    // Thirty seconds late.
    rig.pass(30_000);
    rig.sent();
    rig.packet(Packet::PubRel(Ack::ok(5)));
    assert_eq!(words(&rig.sent())[0], "pubcomp 5");
}

#[test]
fn what_only_clients_send_a_second_connack_and_auth_close_with_0x82() {
    let connack =
        ConnAck { session_present: false, reason: ReasonCode::Success, properties: ConnAckProperties::default() };
    let auth = Auth { reason: ReasonCode::ReAuthenticate, method: Some("x".to_owned()), data: None };
    for packet in [Packet::PingReq, Packet::ConnAck(Box::new(connack)), Packet::Auth(auth)] {
        let mut rig = online(Version::V5);
        rig.packet(packet);
        assert_eq!(words(&rig.sent()), ["disconnect 82"]);
        rig.closed();
        assert!(!rig.open);
        assert!(rig.events.iter().any(|event| matches!(event, Event::Warning { code: "protocol_violation", .. })));
    }
}

#[test]
fn nothing_is_heard_after_a_violation_in_the_same_turn() {
    let mut rig = online(Version::V5);
    let late = super::rig::message(1, 5, b"late");
    rig.turn(vec![Input::Packet(Packet::PingReq), Input::Packet(late), Input::Packet(Packet::PubRel(Ack::ok(1)))]);
    assert_eq!(words(&rig.sent()), ["disconnect 82"]);
    assert!(rig.inbox.is_empty());
}

#[test]
fn a_pingresp_to_an_earlier_ping_does_not_prove_later_pubcomps() {
    let mut rig = online(Version::V5);
    // Two pings are out, the first one is answered.
    rig.pass(60_000);
    rig.message(2, 5, b"x");
    for _ in 0..3 {
        rig.pass(25_000);
        rig.message(0, 0, b"alive");
    }
    assert_eq!(words(&rig.sent()).iter().filter(|word| *word == "pingreq").count(), 2);
    rig.packet(Packet::PubRel(Ack::ok(5)));
    rig.packet(Packet::PingResp);
    assert!(rig.received.contains_key(&5), "its PUBCOMP may not have arrived");
}
