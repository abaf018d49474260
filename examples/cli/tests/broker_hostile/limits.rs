//! What the broker announces and what we announced: sizes, quotas, QoS, retain, aliases, keep alive.

use homing::QoS;
use homing::ReasonCode;
use homing::wire::packet::{ConnAckProperties, Packet};
use homing_testkit::process::{Event, Homing, Pipe};
use homing_testkit::script_broker::{PATIENCE, puback, publish};
use serde_json::json;

use crate::{Stage, accepted, state, verdict};

fn announced(change: impl FnOnce(&mut ConnAckProperties)) -> ConnAckProperties {
    let mut properties = ConnAckProperties::default();
    change(&mut properties);
    properties
}

/// Publishes one message while nobody listens, so that it is stored before the broker's limits are known.
fn stored(stage: &Stage, operation: &serde_json::Value) -> u64 {
    let offline = Homing::clone(&stage.homing);
    let mut pipe: Pipe = offline.pipe([""; 0]);
    pipe.send(operation);
    let id = pipe.until(PATIENCE, "accepted", |event| match event {
        Event::Accepted { id, .. } => Some(*id),
        _ => None,
    });
    pipe.kill();
    // Its connection waits in the listener's queue; it is not the one that the test goes on with.
    while let Some(peer) = stage.broker.try_accept(std::time::Duration::ZERO) {
        drop(peer);
    }
    id
}

#[test]
fn a_stored_message_over_the_maximum_qos_is_refused_3_2_2_3_4() {
    let stage = Stage::new("5");
    let id = stored(&stage, &json!({"op": "publish", "topic": "t", "payload": "x", "qos": 2}));
    let mut pipe = stage.pipe();
    let _peer = stage.broker.greet_with(false, announced(|properties| properties.maximum_qos = Some(1)));
    assert_eq!(verdict(&mut pipe, id), "refused 0x9b QoS not supported");
}

#[test]
fn a_stored_retained_message_without_retain_is_refused_3_2_2_3_5() {
    let stage = Stage::new("5");
    let id = stored(&stage, &json!({"op": "publish", "topic": "t", "payload": "x", "qos": 1, "retain": true}));
    let mut pipe = stage.pipe();
    let _peer = stage.broker.greet_with(false, announced(|properties| properties.retain_available = Some(false)));
    assert_eq!(verdict(&mut pipe, id), "refused 0x9a retain not supported");
}

#[test]
fn a_stored_message_over_the_maximum_packet_size_is_refused_3_2_2_3_6() {
    let stage = Stage::new("5");
    let id = stored(&stage, &json!({"op": "publish", "topic": "t", "payload": "x".repeat(1000), "qos": 1}));
    let mut pipe = stage.pipe();
    pipe.publish_numbers("t", 0..1, 1);
    let mut peer = stage.broker.greet_with(false, announced(|properties| properties.maximum_packet_size = Some(500)));
    assert_eq!(verdict(&mut pipe, id), "refused 0x95 packet too large");
    assert_eq!(peer.publish().payload, "0");
}

#[test]
fn a_message_in_flight_over_a_shrunk_maximum_is_refused_not_sent_3_2_2_3_6() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    pipe.send(&json!({"op": "publish", "ref": "0", "topic": "t", "payload": "x".repeat(1000), "qos": 1}));
    pipe.publish_numbers("t", 1..2, 1);
    let id = accepted(&mut pipe, 0);
    peer.publish();
    let small = peer.publish();
    peer.close();
    let mut peer = stage.broker.greet_with(true, announced(|properties| properties.maximum_packet_size = Some(500)));
    let again = peer.publish();
    assert_eq!((again.pid, again.dup), (small.pid, true));
    assert_eq!(verdict(&mut pipe, id), "refused 0x95 packet too large");
}

#[test]
fn over_our_receive_maximum_closes_with_0x93_3_3_4_9() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "2"]);
    let mut peer = stage.broker.accept();
    let maximum = peer.connect().receive_maximum;
    peer.send(&homing_testkit::script_broker::connack(false, ReasonCode::Success, ConnAckProperties::default()));
    peer.grant();
    for pid in 1..=maximum + 1 {
        peer.send(&publish("in/a", "x", QoS::ExactlyOnce, pid, false));
    }
    assert_eq!(peer.closed_with(), Some(ReasonCode::ReceiveMaximumExceeded));
    state(&mut pipe, "waiting");
}

#[test]
fn an_announced_length_of_256_mib_closes_at_the_header_with_0x95_3_1_2_11_4() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    state(&mut pipe, "connected");
    let before = memory(&pipe);
    peer.raw(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(peer.closed_with(), Some(ReasonCode::PacketTooLarge));
    assert!(memory(&pipe) < before + 8192, "the announced length was allocated");
}

#[test]
fn an_announced_length_of_256_mib_closes_at_the_header_v3() {
    let stage = Stage::new("3");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    state(&mut pipe, "connected");
    peer.raw(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    peer.closed();
    state(&mut pipe, "waiting");
}

/// Peak resident memory in KiB.
fn memory(pipe: &Pipe) -> u64 {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", pipe.id())).expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn topic_aliases_that_we_never_allowed_close_with_0x94_3_3_2_3_4() {
    for alias in [0_u8, 1] {
        let stage = Stage::new("5");
        let _pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        peer.raw(&[0x30, 8, 0, 1, b't', 3, 0x23, 0, alias, b'x']);
        assert_eq!(peer.closed_with(), Some(ReasonCode::TopicAliasInvalid), "alias {alias}");
    }
}

#[test]
fn an_empty_topic_without_an_alias_closes_with_0x82_3_3_2_3_4() {
    let stage = Stage::new("5");
    let _pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    peer.raw(&[0x30, 4, 0, 0, 0, b'x']);
    assert_eq!(peer.closed_with(), Some(ReasonCode::ProtocolError));
}

#[test]
fn a_server_keep_alive_replaces_ours_3_2_2_3_14() {
    let stage = Stage::new("5");
    let _pipe = stage.pipe();
    let mut peer = stage.broker.greet_with(false, announced(|properties| properties.server_keep_alive = Some(1)));
    let end = std::time::Duration::from_secs(3);
    assert_eq!(peer.try_packet(end), Ok(Packet::PingReq), "keep alive was 60 s, the server's is 1 s");
}

#[test]
fn a_server_keep_alive_of_0_ends_the_pings_3_2_2_3_14() {
    let stage = Stage::new("5");
    let homing = stage.homing.clone().flag("--keep-alive", "1s");
    let mut pipe = homing.pipe([""; 0]);
    let mut peer = stage.broker.greet_with(false, announced(|properties| properties.server_keep_alive = Some(0)));
    let silence = peer.try_packet(std::time::Duration::from_millis(2500));
    assert_eq!(silence, Err(homing_testkit::script_broker::NoPacket::TimedOut));
    pipe.publish_numbers("t", 0..1, 1);
    let pid = peer.publish().pid;
    peer.send(&puback(pid));
    let id = accepted(&mut pipe, 0);
    assert_eq!(verdict(&mut pipe, id), "delivered");
}

#[test]
fn a_dead_link_is_noticed_within_one_and_a_half_keep_alives_3_1_2_10() {
    let stage = Stage::new("5");
    let homing = stage.homing.clone().flag("--keep-alive", "2s");
    let mut pipe = homing.pipe([""; 0]);
    let mut peer = stage.broker.greet(false);
    state(&mut pipe, "connected");
    let started = std::time::Instant::now();
    assert_eq!(peer.packet(), Packet::PingReq);
    let (reason, _) = state(&mut pipe, "waiting");
    let seconds = started.elapsed().as_secs_f64();
    assert!((1.9..3.8).contains(&seconds), "noticed after {seconds} s: {reason}");
}

#[test]
fn a_missing_pingresp_while_messages_flow_is_put_up_with_3_1_2_10() {
    let stage = Stage::new("5");
    let homing = stage.homing.clone().flag("--keep-alive", "1s");
    let pipe = homing.pipe(["in/#", "-q", "1", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let mut number = 0;
    // The backlog that a PINGRESP stands behind: messages without a pause, every acknowledgement read.
    while std::time::Instant::now() < end {
        number = number % 60_000 + 1;
        peer.send(&publish("in/a", "x", QoS::AtLeastOnce, number, false));
        loop {
            match peer.packet() {
                Packet::PubAck(_) => break,
                Packet::PingReq => {}
                other => panic!("{other:?}"),
            }
        }
    }
    pipe.publish_numbers("t", 0..1, 1);
    loop {
        match peer.packet() {
            Packet::Publish(packet) => break assert_eq!(packet.payload, "0"),
            Packet::PingReq => {}
            other => panic!("{other:?}"),
        }
    }
}
