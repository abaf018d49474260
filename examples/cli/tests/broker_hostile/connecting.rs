//! CONNACK and what comes instead of it: refusals, other versions, silence, take-overs.

use std::time::Duration;

use homing::ReasonCode;
use homing::wire::packet::{ConnAckProperties, Disconnect, Packet, Protocol};
use homing_testkit::script_broker::{connack, puback};

use crate::{Stage, accepted, state, verdict};

/// Longer than the first wait between two attempts, shorter than the long one.
const A_WHILE: Duration = Duration::from_millis(2500);

#[test]
fn a_first_packet_that_is_no_connack_closes_3_2_0_1() {
    for bytes in [&[0xd0, 0][..], &[0x30, 4, 0, 1, b't', 0], &[0x90, 4, 0, 1, 0, 1], &[0xf0, 2, 0x18, 0]] {
        let stage = Stage::new("5");
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.accept();
        peer.connect();
        peer.raw(bytes);
        peer.closed();
        state(&mut pipe, "waiting");
        stage.broker.greet(false);
        state(&mut pipe, "connected");
    }
}

#[test]
fn bad_properties_of_a_connack_close_3_2_2_3() {
    // Receive maximum 0, receive maximum twice, maximum packet size 0, maximum QoS 2.
    let sections: [&[u8]; 4] = [&[0x21, 0, 0], &[0x21, 0, 9, 0x21, 0, 9], &[0x27, 0, 0, 0, 0], &[0x24, 2]];
    for section in sections {
        let stage = Stage::new("5");
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.accept();
        peer.connect();
        let length = section.len() as u8;
        peer.raw(&[&[0x20, 3 + length, 0, 0, length], section].concat());
        assert_eq!(peer.closed_with(), Some(ReasonCode::ProtocolError), "{section:02x?}");
        assert!(state(&mut pipe, "waiting").0.contains("0x82"));
    }
}

#[test]
fn a_connack_in_pieces_is_read_4_2() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.accept();
    peer.connect();
    for byte in [0x20, 3, 0, 0, 0] {
        peer.raw(&[byte]);
        std::thread::sleep(Duration::from_millis(100));
    }
    state(&mut pipe, "connected");
}

#[test]
fn without_a_connack_the_client_gives_up_in_time_3_1_4() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.accept();
    peer.connect();
    let packets = peer.closed();
    assert!(packets.iter().all(|packet| matches!(packet, Packet::Disconnect(_))), "{packets:?}");
    assert!(state(&mut pipe, "waiting").0.contains("CONNACK"));
    stage.broker.greet(false);
    state(&mut pipe, "connected");
}

#[test]
fn refusals_that_will_not_pass_are_not_tried_again_soon_3_2_2_2() {
    let v5 = [0x85, 0x86, 0x87, 0x8a, 0x8c].map(|code| ("5", vec![0x20, 3, 0, code, 0]));
    let v3 = [2, 4, 5].map(|code| ("3", vec![0x20, 2, 0, code]));
    for (mqtt, bytes) in v5.into_iter().chain(v3) {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.accept();
        peer.connect();
        peer.raw(&bytes);
        peer.close();
        let (reason, wait) = state(&mut pipe, "waiting");
        assert!(wait >= 60_000 && !reason.is_empty(), "{bytes:02x?}: {wait} ms, {reason}");
    }
}

#[test]
fn refusals_that_pass_are_tried_again_3_2_2_2() {
    let v5 = [0x88, 0x89, 0x97, 0x9f].map(|code| ("5", vec![0x20, 3, 0, code, 0]));
    for (mqtt, bytes) in v5.into_iter().chain([("3", vec![0x20, 2, 0, 3])]) {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.accept();
        peer.connect();
        peer.raw(&bytes);
        peer.close();
        let (_, wait) = state(&mut pipe, "waiting");
        assert!((500..=1000).contains(&wait), "{bytes:02x?}: {wait} ms");
        stage.broker.greet(false);
        state(&mut pipe, "connected");
    }
}

#[test]
fn an_error_connack_with_session_present_changes_nothing_3_2_2_6() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    pipe.publish_numbers("t", 0..1, 2);
    let id = accepted(&mut pipe, 0);
    let pid = peer.publish().pid;
    peer.close();
    let mut peer = stage.broker.accept();
    peer.connect();
    peer.raw(&[0x20, 3, 1, 0x88, 0]);
    peer.closed();
    let mut peer = stage.broker.greet(true);
    let again = peer.publish();
    assert_eq!((again.pid, again.dup), (pid, true));
    assert_eq!(stage.fate(id), "in_flight");
}

#[test]
fn auto_falls_back_on_a_connack_of_3_1_1_and_stays_there_3_1_2_2() {
    for bytes in [&[0x20, 2, 0, 1][..], &[0x20, 3, 0, 0x84, 0]] {
        let stage = Stage::new("auto");
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.accept();
        assert_eq!(peer.connect().protocol, Protocol::V5);
        peer.raw(bytes);
        peer.close();
        let mut peer = stage.broker.accept();
        assert_eq!(peer.connect().protocol, Protocol::V4);
        peer.send(&connack(false, ReasonCode::Success, ConnAckProperties::default()));
        state(&mut pipe, "connected");
        pipe.kill();
        let _pipe = stage.pipe();
        assert_eq!(stage.broker.accept().connect().protocol, Protocol::V4);
    }
}

#[test]
fn auto_does_not_fall_back_on_a_cut_3_1_2_2() {
    let stage = Stage::new("auto");
    let _pipe = stage.pipe();
    for _ in 0..3 {
        let mut peer = stage.broker.accept();
        assert_eq!(peer.connect().protocol, Protocol::V5);
        peer.reset();
    }
}

#[test]
fn a_take_over_is_not_fought_4_13_1() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    peer.send(&Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)));
    peer.close();
    assert_ne!(state(&mut pipe, "disconnected").0, "");
    assert!(stage.broker.try_accept(A_WHILE).is_none(), "connected again after a take-over");
    pipe.raw("{\"op\":\"connect\"}\n".to_owned());
    stage.broker.greet(true);
    state(&mut pipe, "connected");
}

#[test]
fn cuts_right_after_the_connack_make_no_tight_loop_4_1() {
    let stage = Stage::new("5");
    let _pipe = stage.pipe();
    let started = std::time::Instant::now();
    for _ in 0..4 {
        stage.broker.greet(false).reset();
    }
    let seconds = started.elapsed().as_secs_f64();
    assert!(seconds >= 1.5, "four links in {seconds} s; each wait is at least 0.5 s");
}

#[test]
fn a_foreign_host_named_by_the_broker_sees_nothing_4_13() {
    let other = homing_testkit::script_broker::ScriptBroker::listen();
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.accept();
    peer.connect();
    let server_reference = Some(other.address().to_string());
    let properties = ConnAckProperties { server_reference, ..ConnAckProperties::default() };
    peer.send(&connack(false, ReasonCode::ServerMoved, properties));
    peer.close();
    state(&mut pipe, "waiting");
    assert!(other.try_accept(A_WHILE).is_none(), "the redirect was followed");
}

#[test]
fn a_lowered_session_expiry_and_an_assigned_client_id_are_kept_3_2_2_3() {
    for expiry in [0, 60] {
        let stage = Stage::new("5");
        let mut pipe = stage.pipe();
        let properties = ConnAckProperties { session_expiry: Some(expiry), ..ConnAckProperties::default() };
        let mut peer = stage.broker.greet_with(false, properties);
        pipe.publish_numbers("t", 0..1, 2);
        let id = accepted(&mut pipe, 0);
        peer.publish();
        peer.close();
        // The broker has dropped the session, as it said it might: nothing waiting is lost.
        let mut peer = stage.broker.greet(false);
        let pid = peer.publish().pid;
        peer.send(&homing_testkit::script_broker::pubrec(pid));
        peer.packet();
        peer.send(&homing_testkit::script_broker::pubcomp(pid));
        assert_eq!(verdict(&mut pipe, id), "delivered maybe_twice");
    }
}

#[test]
fn an_orderly_end_keeps_the_session_3_14() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        pipe.publish_numbers("t", 0..1, 1);
        let id = accepted(&mut pipe, 0);
        let pid = peer.publish().pid;
        peer.send(&puback(pid));
        assert_eq!(verdict(&mut pipe, id), "delivered");
        pipe.close_stdin();
        match &peer.closed()[..] {
            [Packet::Disconnect(Disconnect { reason: ReasonCode::Success, session_expiry, .. })] => {
                assert_ne!(*session_expiry, Some(0), "the session was ended");
            }
            other => panic!("{other:?}"),
        }
    }
}
