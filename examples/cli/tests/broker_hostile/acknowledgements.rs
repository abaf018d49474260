//! Answers to our messages: refused, doubled, for nobody, of the wrong kind.

use homing::ReasonCode;
use homing::wire::packet::{Ack, ConnAckProperties, Packet};
use homing_testkit::process::{Event, Pipe};
use homing_testkit::script_broker::{PATIENCE, Peer, puback, pubcomp, pubrec, pubrel};

use crate::{Stage, accepted, verdict};

/// A connection on which number 0 has just been sent with this QoS: the client, the broker's end, id and packet identifier.
fn sent(stage: &Stage, qos: u8) -> (Pipe, Peer, u64, u16) {
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    pipe.publish_numbers("t", 0..1, qos);
    let id = accepted(&mut pipe, 0);
    let pid = peer.publish().pid;
    (pipe, peer, id, pid)
}

/// The link still carries a message to its end.
fn works(pipe: &mut Pipe, peer: &mut Peer) {
    pipe.publish_numbers("t", 1000..1001, 1);
    let id = accepted(pipe, 1000);
    let packet = peer.publish();
    assert_eq!(packet.payload, "1000");
    peer.send(&puback(packet.pid));
    assert_eq!(verdict(pipe, id), "delivered");
}

#[test]
fn pubrec_0x97_frees_the_quota_and_no_pubrel_follows_4_9_0() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let properties = ConnAckProperties { receive_maximum: Some(1), ..ConnAckProperties::default() };
    let mut peer = stage.broker.greet_with(false, properties);
    pipe.publish_numbers("t", 0..2, 2);
    let id = accepted(&mut pipe, 0);
    let pid = peer.publish().pid;
    peer.send(&Packet::PubRec(Ack { pid, reason: ReasonCode::QuotaExceeded }));
    assert_eq!(peer.publish().payload, "1");
    assert_eq!(verdict(&mut pipe, id), "refused 0x97 quota exceeded");
}

#[test]
fn no_matching_subscribers_0x10_is_success_3_4_2_1() {
    for qos in [1, 2] {
        let stage = Stage::new("5");
        let (mut pipe, mut peer, id, pid) = sent(&stage, qos);
        let ack = Ack { pid, reason: ReasonCode::NoMatchingSubscribers };
        if qos == 1 {
            peer.send(&Packet::PubAck(ack));
        } else {
            peer.send(&Packet::PubRec(ack));
            assert_eq!(peer.packet(), pubrel(pid));
            peer.send(&pubcomp(pid));
        }
        assert_eq!(verdict(&mut pipe, id), "delivered");
    }
}

#[test]
fn puback_for_a_qos2_publish_closes_and_keeps_the_row_4_3_3() {
    let stage = Stage::new("5");
    let (pipe, mut peer, id, pid) = sent(&stage, 2);
    peer.send(&puback(pid));
    assert_eq!(peer.closed_with(), Some(ReasonCode::ProtocolError));
    let mut peer = stage.broker.greet(true);
    let again = peer.publish();
    assert_eq!((again.pid, again.dup), (pid, true));
    assert_eq!(stage.fate(id), "in_flight");
    drop(pipe);
}

#[test]
fn pubrec_for_a_qos1_publish_closes_and_keeps_the_row_4_3_2() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let (pipe, mut peer, id, pid) = sent(&stage, 1);
        peer.send(&pubrec(pid));
        let reason = peer.closed_with();
        assert!(mqtt == "3" || reason == Some(ReasonCode::ProtocolError), "{reason:?}");
        assert_eq!(stage.broker.greet(true).publish().pid, pid);
        assert_eq!(stage.fate(id), "in_flight");
        drop(pipe);
    }
}

#[test]
fn puback_for_a_qos2_publish_is_a_downgrade_v3() {
    let stage = Stage::new("3");
    let (mut pipe, mut peer, id, pid) = sent(&stage, 2);
    peer.send(&puback(pid));
    assert_eq!(verdict(&mut pipe, id), "delivered downgraded");
    works(&mut pipe, &mut peer);
}

#[test]
fn pubcomp_before_pubrec_closes_and_keeps_the_row_4_3_3() {
    let stage = Stage::new("5");
    let (pipe, mut peer, id, pid) = sent(&stage, 2);
    peer.send(&pubcomp(pid));
    assert_eq!(peer.closed_with(), Some(ReasonCode::ProtocolError));
    assert_eq!(stage.broker.greet(true).publish().pid, pid);
    assert_eq!(stage.fate(id), "in_flight");
    drop(pipe);
}

#[test]
fn puback_and_pubcomp_for_unknown_identifiers_are_ignored_4_3_2() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        for pid in [1, 7, 60_000, 65_535] {
            peer.send(&puback(pid));
            peer.send(&pubcomp(pid));
        }
        works(&mut pipe, &mut peer);
    }
}

#[test]
fn pubrec_for_an_unknown_identifier_gets_pubrel_4_3_3() {
    for (mqtt, reason) in [("3", ReasonCode::Success), ("5", ReasonCode::PacketIdentifierNotFound)] {
        let stage = Stage::new(mqtt);
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        peer.send(&pubrec(77));
        assert_eq!(peer.packet(), Packet::PubRel(Ack { pid: 77, reason }));
        works(&mut pipe, &mut peer);
    }
}

#[test]
fn a_link_closed_on_that_pubrel_is_not_answered_so_again_4_3_3() {
    let stage = Stage::new("5");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    peer.send(&pubrec(77));
    assert!(matches!(peer.packet(), Packet::PubRel(_)));
    peer.close();
    let mut peer = stage.broker.greet(true);
    peer.send(&pubrec(77));
    works(&mut pipe, &mut peer);
}

#[test]
fn pubrec_twice_gets_pubrel_twice_4_3_3() {
    for mqtt in ["3", "5"] {
        let stage = Stage::new(mqtt);
        let (mut pipe, mut peer, id, pid) = sent(&stage, 2);
        for _ in 0..2 {
            peer.send(&pubrec(pid));
            assert_eq!(peer.packet(), pubrel(pid));
        }
        peer.send(&pubcomp(pid));
        assert_eq!(verdict(&mut pipe, id), "delivered");
        works(&mut pipe, &mut peer);
    }
}

#[test]
fn pubcomp_0x92_is_the_end_and_says_maybe_lost_3_7_2_1() {
    let stage = Stage::new("5");
    let (mut pipe, mut peer, id, pid) = sent(&stage, 2);
    peer.send(&pubrec(pid));
    assert_eq!(peer.packet(), pubrel(pid));
    peer.send(&Packet::PubComp(Ack { pid, reason: ReasonCode::PacketIdentifierNotFound }));
    assert_eq!(verdict(&mut pipe, id), "delivered maybe_lost");
    works(&mut pipe, &mut peer);
}

#[test]
fn short_and_long_forms_of_acknowledgements_3_4_2() {
    // Length 2: success; 3: a reason without properties; 4 and more: with properties.
    let forms: [fn(u8, u8) -> Vec<u8>; 3] = [
        |high, low| vec![0x40, 2, high, low],
        |high, low| vec![0x40, 3, high, low, 0x10],
        |high, low| vec![0x40, 10, high, low, 0, 6, 0x1f, 0, 3, b'w', b'h', b'y'],
    ];
    for form in forms {
        let stage = Stage::new("5");
        let (mut pipe, mut peer, id, pid) = sent(&stage, 1);
        peer.raw(&form((pid >> 8) as u8, pid as u8));
        assert_eq!(verdict(&mut pipe, id), "delivered");
    }
}

#[test]
fn acknowledgements_with_bytes_of_mqtt_5_behind_them_are_read_v3() {
    let stage = Stage::new("3");
    let (mut pipe, mut peer, id, pid) = sent(&stage, 2);
    let (high, low) = ((pid >> 8) as u8, pid as u8);
    peer.raw(&[0x50, 4, high, low, 0x00, 0x00]);
    assert_eq!(peer.packet(), pubrel(pid));
    peer.raw(&[0x70, 4, high, low, 0x92, 0x00]);
    assert!(verdict(&mut pipe, id).starts_with("delivered"));
    works(&mut pipe, &mut peer);
}

#[test]
fn pubrel_and_pingreq_flow_with_an_empty_quota_3_3_4_8() {
    let stage = Stage::new("5");
    let homing = stage.homing.clone().flag("--keep-alive", "1s");
    let mut pipe = homing.pipe([""; 0]);
    let properties = ConnAckProperties { receive_maximum: Some(1), ..ConnAckProperties::default() };
    let mut peer = stage.broker.greet_with(false, properties);
    pipe.publish_numbers("t", 0..5, 2);
    let pid = peer.publish().pid;
    peer.send(&pubrec(pid));
    assert_eq!(peer.packet(), pubrel(pid));
    assert_eq!(peer.packet(), Packet::PingReq);
    peer.send(&Packet::PingResp);
    pipe.raw("{\"op\":\"subscribe\",\"filter\":\"in/#\",\"qos\":1}\n".to_owned());
    peer.grant();
    pipe.until(PATIENCE, "subscribed", |event| matches!(event, Event::Subscribed { .. }).then_some(()));
}

#[test]
fn a_broker_that_never_answers_gets_no_more_than_the_window_4_9_0() {
    let stage = Stage::new("3");
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    pipe.publish_numbers("t", 0..100, 2);
    accepted(&mut pipe, 99);
    for number in 0..20 {
        assert_eq!(peer.publish().payload, format!("{number}"));
    }
    // 3.1.1 announces no maximum: mosquitto cuts the link at the 21st unfinished QoS 2 PUBLISH.
    peer.send(&pubrel(9));
    assert_eq!(peer.packet(), pubcomp(9));
}
