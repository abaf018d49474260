//! What a reconnect makes of the session: whose it is, what goes again, under which identifiers, in which order.

use homing::QoS;
use homing::ReasonCode;
use homing::wire::packet::{ConnAckProperties, Packet};
use homing_testkit::process::Event;
use homing_testkit::script_broker::{PATIENCE, Peer, connack, puback, pubcomp, publish, pubrec, pubrel};

use crate::{Stage, accepted, message, state, verdict};

/// Identifier and payload of the PUBLISHes that come next, each with this DUP flag.
fn publishes(peer: &mut Peer, count: usize, dup: bool) -> Vec<(u16, String)> {
    let one = |peer: &mut Peer| {
        let packet = peer.publish();
        assert_eq!(packet.dup, dup, "DUP of {packet:?}");
        (packet.pid, String::from_utf8(packet.payload.to_vec()).expect("text"))
    };
    (0..count).map(|_| one(peer)).collect()
}

fn receive_maximum(count: u16) -> ConnAckProperties {
    ConnAckProperties { receive_maximum: Some(count), ..ConnAckProperties::default() }
}

#[test]
fn session_present_without_state_is_ended_not_adopted_3_2_2_4() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let pipe = stage.pipe();
        pipe.publish_numbers("t", 0..1, 2);
        for (clean_start, session_present) in [(false, true), (true, false)] {
            let mut peer = stage.broker.accept();
            assert_eq!(peer.connect().clean_start, clean_start);
            peer.send(&connack(session_present, ReasonCode::Success, ConnAckProperties::default()));
            assert!(
                matches!(peer.closed()[..], [Packet::Disconnect(_)]),
                "nothing but DISCONNECT on a session that is not ours"
            );
        }
        let mut peer = stage.broker.accept();
        assert!(!peer.connect().clean_start, "the session that stays is begun with clean start 0");
        peer.send(&connack(false, ReasonCode::Success, ConnAckProperties::default()));
        assert_eq!(publishes(&mut peer, 1, false)[0].1, "0");
    }
}

#[test]
fn session_present_after_a_clean_start_closes_3_2_2_4() {
    let stage = Stage::new("5");
    let homing = stage.homing.clone().flag("--session-expiry", "0s");
    let _pipe = homing.pipe([""; 0]);
    let mut peer = stage.broker.accept();
    assert!(peer.connect().clean_start);
    peer.send(&connack(true, ReasonCode::Success, ConnAckProperties::default()));
    assert_eq!(peer.closed_with(), Some(ReasonCode::ProtocolError));
}

#[test]
fn a_lost_session_keeps_the_outbox_3_2_2_5() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        pipe.publish_numbers("t", 0..3, 2);
        let ids: Vec<u64> = (0..3).map(|number| accepted(&mut pipe, number)).collect();
        let first = publishes(&mut peer, 3, false);
        // The second is past its PUBREC, the others are not: all three are unfinished, so all three go again.
        peer.send(&pubrec(first[1].0));
        assert_eq!(peer.packet(), pubrel(first[1].0));
        peer.close();
        let mut peer = stage.broker.greet(false);
        let again = publishes(&mut peer, 3, false);
        assert_eq!(again.iter().map(|(_, payload)| payload.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
        for (pid, _) in &again {
            peer.send(&pubrec(*pid));
            assert_eq!(peer.packet(), pubrel(*pid));
            peer.send(&pubcomp(*pid));
        }
        for id in ids {
            assert_eq!(verdict(&mut pipe, id), "delivered maybe_twice");
        }
    }
}

#[test]
fn after_a_lost_session_an_old_identifier_is_a_new_message_3_2_2_5() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "2", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    peer.send(&publish("in/a", "old", QoS::ExactlyOnce, 7, false));
    assert_eq!(peer.packet(), pubrec(7));
    peer.close();
    let mut peer = stage.broker.greet(false);
    peer.grant();
    peer.send(&publish("in/a", "new", QoS::ExactlyOnce, 7, false));
    assert_eq!(peer.packet(), pubrec(7));
    assert_eq!((message(&mut pipe), message(&mut pipe)), ("old".to_owned(), "new".to_owned()));
}

#[test]
fn a_lost_session_is_told_with_a_gap_3_2_2_5() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "1"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    peer.close();
    let mut peer = stage.broker.greet(false);
    pipe.until(PATIENCE, "session_lost", |event| matches!(event, Event::SessionLost { .. }).then_some(()));
    peer.grant();
    let (filters, why) = pipe.until(PATIENCE, "gap", |event| match event {
        Event::Gap { filters, why, to: Some(_), .. } => Some((filters.clone(), why.clone())),
        _ => None,
    });
    assert_eq!((filters, why.as_str()), (vec!["in/#".to_owned()], "session_lost"));
}

#[test]
fn on_resume_the_same_identifiers_in_the_same_order_before_anything_new_4_4_0_1_and_4_6_0_1() {
    for (mqtt, kill) in [("3", false), ("5", false), ("3", true), ("5", true)] {
        let stage = Stage::new(mqtt);
        let start = |inflight: u16| stage.homing.clone().flag("--inflight", inflight).pipe([""; 0]);
        let mut pipe = start(5);
        let mut peer = stage.broker.greet(false);
        pipe.publish_numbers("t", 0..3, 1);
        pipe.publish_numbers("t", 3..8, 2);
        accepted(&mut pipe, 7);
        let first = publishes(&mut peer, 5, false);
        if kill {
            pipe.kill();
            pipe = start(8);
        } else {
            peer.close();
        }
        let mut peer = stage.broker.greet(true);
        assert_eq!(publishes(&mut peer, 5, true), first);
        if !kill {
            // The window is still 5: room for what is new comes from the three of QoS 1.
            first[..3].iter().for_each(|(pid, _)| peer.send(&puback(*pid)));
        }
        let rest = publishes(&mut peer, 3, false);
        assert_eq!(rest.iter().map(|(_, payload)| payload.as_str()).collect::<Vec<_>>(), ["5", "6", "7"]);
        drop(pipe);
    }
}

#[test]
fn past_pubrec_only_pubrel_goes_again_4_3_3_6_and_in_pubrec_order_4_6_0_4() {
    for (mqtt, kill) in [("3", false), ("5", false), ("3", true), ("5", true)] {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        pipe.publish_numbers("t", 0..4, 2);
        let pids: Vec<u16> = publishes(&mut peer, 4, false).into_iter().map(|(pid, _)| pid).collect();
        for at in [2, 0, 3] {
            peer.send(&pubrec(pids[at]));
            assert_eq!(peer.packet(), pubrel(pids[at]));
        }
        if kill {
            pipe.kill();
            pipe = stage.pipe();
        } else {
            peer.close();
        }
        let mut peer = stage.broker.greet(true);
        let (mut released, mut resent) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            match peer.packet() {
                Packet::PubRel(ack) => released.push(ack.pid),
                Packet::Publish(publish) => resent.push((publish.pid, publish.dup)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(released, [pids[2], pids[0], pids[3]]);
        assert_eq!(resent, [(pids[1], true)]);
        drop(pipe);
    }
}

#[test]
fn receive_maximum_1_holds_on_resume_with_1000_unacknowledged_3_3_4_9() {
    let stage = Stage::new("5");
    let pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    pipe.publish_numbers("t", 0..1000, 1);
    let first = publishes(&mut peer, 1000, false);
    peer.close();
    let mut peer = stage.broker.greet_with(true, receive_maximum(1));
    for (pid, payload) in &first[..50] {
        assert_eq!(publishes(&mut peer, 1, true), [(*pid, payload.clone())]);
        // What comes next shows that nothing else was under way: an unasked PUBLISH would stand before the PUBREL's answer.
        peer.send(&pubrel(9));
        assert!(matches!(peer.packet(), Packet::PubComp(_)));
        peer.send(&puback(*pid));
    }
    drop(pipe);
}

#[test]
fn a_smaller_receive_maximum_after_a_reconnect_holds_3_3_4_9() {
    let stage = Stage::new("5");
    let pipe = stage.pipe();
    let mut peer = stage.broker.greet_with(false, receive_maximum(100));
    pipe.publish_numbers("t", 0..200, 2);
    let first = publishes(&mut peer, 100, false);
    peer.close();
    let mut peer = stage.broker.greet_with(true, receive_maximum(5));
    assert_eq!(publishes(&mut peer, 5, true), first[..5]);
    peer.send(&pubrel(9));
    assert!(matches!(peer.packet(), Packet::PubComp(_)), "a sixth PUBLISH");
    for (pid, _) in &first[..5] {
        peer.send(&pubrec(*pid));
        assert_eq!(peer.packet(), pubrel(*pid), "PUBREL needs no quota, and PUBREC gives none back");
    }
    for (pid, _) in &first[..5] {
        peer.send(&pubcomp(*pid));
    }
    assert_eq!(publishes(&mut peer, 5, true), first[5..10]);
    drop(pipe);
}

#[test]
fn a_power_cut_between_store_and_pubrec_gives_one_row_4_3_3() {
    let stage = Stage::new("5");
    let arguments = ["in/#", "-q", "2"];
    let mut pipe = stage.homing.pipe(arguments);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    peer.send(&publish("in/a", "once", QoS::ExactlyOnce, 7, false));
    assert_eq!(message(&mut pipe), "once");
    pipe.kill();
    let mut pipe = stage.homing.pipe(arguments);
    let mut peer = stage.broker.greet(true);
    peer.send(&publish("in/a", "once", QoS::ExactlyOnce, 7, true));
    assert_eq!(peer.packet(), pubrec(7));
    peer.send(&pubrel(7));
    assert_eq!(peer.packet(), pubcomp(7));
    pipe.close_stdin();
    drop(peer);
    assert!(pipe.finish(PATIENCE).1.success());
    assert_eq!(stage.homing.json(["inbox", "--json"]).len(), 1);
}

#[test]
fn nothing_is_sent_again_on_a_live_link_4_4_0() {
    let stage = Stage::new("5");
    let homing = stage.homing.clone().flag("--keep-alive", "1s");
    let pipe = homing.pipe([""; 0]);
    let mut peer = stage.broker.greet(false);
    pipe.publish_numbers("t", 0..3, 1);
    publishes(&mut peer, 3, false);
    for _ in 0..3 {
        assert_eq!(peer.packet(), Packet::PingReq);
        peer.send(&Packet::PingResp);
    }
    drop(pipe);
}

#[test]
fn a_message_that_the_broker_had_refused_stays_refused_after_a_restart_4_3_2() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    pipe.publish_numbers("t", 0..1, 1);
    let id = accepted(&mut pipe, 0);
    let pid = peer.publish().pid;
    peer.send(&Packet::PubAck(homing::wire::packet::Ack { pid, reason: ReasonCode::NotAuthorized }));
    assert_eq!(verdict(&mut pipe, id), "refused 0x87 not authorized");
    pipe.kill();
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(true);
    pipe.publish_numbers("t", 1..2, 1);
    assert_eq!(peer.publish().payload, "1", "a refused message went again");
    assert_eq!(stage.fate(id), "refused");
    assert_eq!(state(&mut pipe, "connected").0, "");
}
