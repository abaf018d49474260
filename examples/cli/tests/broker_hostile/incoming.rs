//! Received messages: doubled or not, in strange orders, with marks that mean nothing.

use homing::QoS;
use homing::ReasonCode;
use homing::wire::packet::{Ack, Packet};
use homing_testkit::process::Pipe;
use homing_testkit::script_broker::{Peer, puback, pubcomp, publish, pubrec, pubrel};

use crate::{Stage, message};

/// A client with the subscription `in/#`, QoS 2, granted.
fn subscribed(stage: &Stage) -> (Pipe, Peer) {
    let pipe = stage.homing.pipe(["in/#", "-q", "2", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    (pipe, peer)
}

#[test]
fn qos2_repeated_before_pubrel_is_one_message_with_dup_or_without_4_3_3() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let (mut pipe, mut peer) = subscribed(&stage);
        for dup in [false, false, true] {
            peer.send(&publish("in/a", "once", QoS::ExactlyOnce, 7, dup));
            assert_eq!(peer.packet(), pubrec(7));
        }
        peer.send(&pubrel(7));
        assert_eq!(peer.packet(), pubcomp(7));
        peer.send(&publish("in/a", "next", QoS::ExactlyOnce, 8, false));
        assert_eq!((message(&mut pipe), message(&mut pipe)), ("once".to_owned(), "next".to_owned()));
    }
}

#[test]
fn the_same_qos2_identifier_after_pubcomp_is_a_new_message_dup_or_not_4_3_3() {
    let stage = Stage::new("5");
    let (mut pipe, mut peer) = subscribed(&stage);
    for (payload, dup) in [("a", false), ("b", true), ("c", false)] {
        peer.send(&publish("in/a", payload, QoS::ExactlyOnce, 7, dup));
        assert_eq!(peer.packet(), pubrec(7));
        peer.send(&pubrel(7));
        assert_eq!(peer.packet(), pubcomp(7));
        assert_eq!(message(&mut pipe), payload);
    }
}

#[test]
fn the_same_qos1_identifier_after_puback_is_a_new_message_dup_or_not_4_3_2_5() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let (mut pipe, mut peer) = subscribed(&stage);
        for (payload, dup) in [("a", false), ("a", true), ("b", false)] {
            peer.send(&publish("in/a", payload, QoS::AtLeastOnce, 7, dup));
            assert_eq!(peer.packet(), puback(7));
            assert_eq!(message(&mut pipe), payload);
        }
    }
}

#[test]
fn pubrel_for_an_unknown_identifier_is_answered_4_3_3() {
    for (mqtt, reason) in [("3", ReasonCode::Success), ("5", ReasonCode::PacketIdentifierNotFound)] {
        let stage = Stage::new(mqtt);
        let (_pipe, mut peer) = subscribed(&stage);
        for _ in 0..2 {
            peer.send(&pubrel(77));
            assert_eq!(peer.packet(), Packet::PubComp(Ack { pid: 77, reason }));
        }
    }
}

#[test]
fn pubrel_repeated_after_pubcomp_brings_no_second_message_4_3_3() {
    let stage = Stage::new("3");
    let (mut pipe, mut peer) = subscribed(&stage);
    peer.send(&publish("in/a", "once", QoS::ExactlyOnce, 7, false));
    assert_eq!(peer.packet(), pubrec(7));
    for _ in 0..3 {
        peer.send(&pubrel(7));
        assert_eq!(peer.packet(), pubcomp(7));
    }
    peer.send(&publish("in/a", "next", QoS::ExactlyOnce, 8, false));
    assert_eq!((message(&mut pipe), message(&mut pipe)), ("once".to_owned(), "next".to_owned()));
}

#[test]
fn pubrels_in_another_order_leave_the_inbox_in_publish_order_4_6_0() {
    let stage = Stage::new("5");
    let (mut pipe, mut peer) = subscribed(&stage);
    for (pid, payload) in [(1, "a"), (2, "b"), (3, "c")] {
        peer.send(&publish("in/a", payload, QoS::ExactlyOnce, pid, false));
        assert_eq!(peer.packet(), pubrec(pid));
    }
    for pid in [3, 1, 2] {
        peer.send(&pubrel(pid));
        assert_eq!(peer.packet(), pubcomp(pid));
    }
    assert_eq!([message(&mut pipe), message(&mut pipe), message(&mut pipe)], ["a", "b", "c"]);
}

#[test]
fn acknowledgements_leave_in_the_order_of_arrival_4_6_0_2() {
    let stage = Stage::new("5");
    let (_pipe, mut peer) = subscribed(&stage);
    for pid in 1..=100 {
        let qos = if pid % 3 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        peer.send(&publish("in/a", "x", qos, pid, false));
    }
    for pid in 1..=100 {
        assert_eq!(peer.packet(), if pid % 3 == 0 { pubrec(pid) } else { puback(pid) });
    }
}

#[test]
fn the_last_connections_unreleased_identifier_is_known_4_4_0() {
    for (mqtt, kill) in [("3", false), ("3", true), ("5", false), ("5", true)] {
        let stage = Stage::new(mqtt);
        let (mut pipe, mut peer) = subscribed(&stage);
        peer.send(&publish("in/a", "once", QoS::ExactlyOnce, 7, false));
        assert_eq!(peer.packet(), pubrec(7));
        if kill {
            pipe.kill();
            pipe = stage.homing.pipe(["in/#", "-q", "2", "--auto-done"]);
        } else {
            peer.close();
        }
        let mut peer = stage.broker.greet(true);
        // Some brokers deliver again without DUP.
        peer.send(&publish("in/a", "once", QoS::ExactlyOnce, 7, false));
        assert_eq!(peer.packet(), pubrec(7));
        peer.send(&pubrel(7));
        assert_eq!(peer.packet(), pubcomp(7));
        drop(pipe);
        assert_eq!(stage.homing.json(["inbox", "--json"]).len(), 1);
    }
}

#[test]
fn messages_nobody_asked_for_are_stored_and_acknowledged_3_8_4() {
    let stage = Stage::new("5");
    let (mut pipe, mut peer) = subscribed(&stage);
    let Packet::Publish(mut packet) = publish("in/a", "for another", QoS::AtLeastOnce, 7, false) else { return };
    packet.props = Some(Box::default());
    packet.props.as_mut().expect("properties").subscription_ids = vec![4711, 1];
    packet.retain = true;
    peer.send(&Packet::Publish(packet));
    assert_eq!(peer.packet(), puback(7));
    assert_eq!(message(&mut pipe), "for another");
}

#[test]
fn a_broker_that_sends_and_reads_nothing_blocks_nothing_4_2() {
    let stage = Stage::new("5");
    let (mut pipe, mut peer) = subscribed(&stage);
    // Ours first: far more than the kernel's buffers hold, to a broker that does not read.
    let large = "x".repeat(8000);
    for _ in 0..2000 {
        pipe.publish("big", "t", &large, 1);
    }
    for number in 0..1000_u16 {
        peer.send(&publish("in/a", &format!("{number}"), QoS::AtMostOnce, 0, false));
    }
    for number in 0..1000 {
        assert_eq!(message(&mut pipe), format!("{number}"));
    }
}
