//! SUBACKs of all sorts, and when a subscription is made again.

use homing::QoS;
use homing::ReasonCode;
use homing::wire::packet::{Packet, SubAck};
use homing_testkit::process::Event;
use homing_testkit::script_broker::{PATIENCE, puback, publish};

use crate::{Stage, message};

#[test]
fn a_refused_subscription_is_an_error_with_its_reason_3_9_3() {
    for (mqtt, code) in [("3", ReasonCode::UnspecifiedError), ("5", ReasonCode::NotAuthorized)] {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.homing.pipe(["in/#", "-q", "1"]);
        let mut peer = stage.broker.greet(false);
        let pid = peer.subscribe().pid;
        peer.send(&Packet::SubAck(SubAck { pid, reasons: vec![code] }));
        let found = pipe.until(PATIENCE, "error", |event| match event {
            Event::Error { code, message, .. } => Some((code.clone(), message.clone())),
            _ => None,
        });
        assert_eq!(found.0, "subscribe_refused", "{}", found.1);
    }
}

#[test]
fn one_refused_and_one_granted_are_told_apart_3_9_3() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/a", "in/b", "-q", "1", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    for _ in 0..2 {
        let subscribe = peer.subscribe();
        let refused = subscribe.wish.filter.as_str() == "in/a";
        let reason = if refused { ReasonCode::NotAuthorized } else { ReasonCode::GrantedQos1 };
        peer.send(&Packet::SubAck(SubAck { pid: subscribe.pid, reasons: vec![reason] }));
    }
    assert_eq!(pipe.subscribed("in/b", PATIENCE), 1);
    peer.send(&publish("in/b", "x", QoS::AtLeastOnce, 7, false));
    assert_eq!(message(&mut pipe), "x");
}

#[test]
fn a_lower_granted_qos_is_told_3_8_4() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "2"]);
    let mut peer = stage.broker.greet(false);
    let pid = peer.subscribe().pid;
    peer.send(&Packet::SubAck(SubAck { pid, reasons: vec![ReasonCode::Success] }));
    assert_eq!(pipe.subscribed("in/#", PATIENCE), 0);
}

#[test]
fn a_suback_with_the_wrong_count_closes_3_9_3() {
    for reasons in [vec![], vec![ReasonCode::GrantedQos1, ReasonCode::GrantedQos1]] {
        let stage = Stage::new("5");
        let _pipe = stage.homing.pipe(["in/#", "-q", "1"]);
        let mut peer = stage.broker.greet(false);
        let [high, low] = peer.subscribe().pid.to_be_bytes();
        let count = reasons.len() as u8;
        peer.raw(
            &[&[0x90, 3 + count, high, low, 0], &reasons.iter().map(|reason| reason.code()).collect::<Vec<u8>>()[..]]
                .concat(),
        );
        let reason = peer.closed_with();
        assert!(matches!(reason, Some(ReasonCode::ProtocolError | ReasonCode::MalformedPacket)), "{reason:?}");
    }
}

#[test]
fn a_suback_that_never_comes_holds_nothing_up_and_is_asked_for_again_3_8_4() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "1", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    peer.subscribe();
    peer.send(&publish("in/a", "early", QoS::AtLeastOnce, 7, false));
    assert_eq!(peer.packet(), puback(7));
    assert_eq!(message(&mut pipe), "early");
    peer.close();
    let mut peer = stage.broker.greet(true);
    peer.grant();
    assert_eq!(pipe.subscribed("in/#", PATIENCE), 1);
}

#[test]
fn a_subscription_that_still_holds_is_not_made_again_3_8_4() {
    for (mqtt, kill) in [("3", false), ("5", false), ("3", true), ("5", true)] {
        let stage = Stage::new(mqtt);
        let arguments = ["in/#", "-q", "1", "--auto-done"];
        let mut pipe = stage.homing.pipe(arguments);
        let mut peer = stage.broker.greet(false);
        peer.grant();
        assert_eq!(pipe.subscribed("in/#", PATIENCE), 1);
        if kill {
            pipe.kill();
            pipe = stage.homing.pipe(arguments);
        } else {
            peer.close();
        }
        let mut peer = stage.broker.greet(true);
        assert_eq!(pipe.subscribed("in/#", PATIENCE), 1, "the grant is told at every connect");
        peer.send(&publish("in/a", "x", QoS::AtLeastOnce, 7, false));
        assert_eq!(peer.packet(), puback(7), "a SUBSCRIBE would have brought all retained messages again");
        assert_eq!(message(&mut pipe), "x");
    }
}

#[test]
fn messages_after_unsuback_are_acknowledged_3_10_4() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "1"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    pipe.subscribed("in/#", PATIENCE);
    pipe.raw("{\"op\":\"unsubscribe\",\"filter\":\"in/#\"}\n".to_owned());
    let Packet::Unsubscribe(unsubscribe) = peer.packet() else { panic!("no UNSUBSCRIBE") };
    peer.send(&Packet::UnsubAck(SubAck { pid: unsubscribe.pid, reasons: vec![ReasonCode::Success] }));
    pipe.until(PATIENCE, "unsubscribed", |event| matches!(event, Event::Unsubscribed { .. }).then_some(()));
    peer.send(&publish("in/a", "late", QoS::AtLeastOnce, 7, false));
    assert_eq!(peer.packet(), puback(7));
}
