//! Bytes that are no packets: the link is closed with the reason, the session goes on at the next connect.

use homing::ReasonCode;
use homing_testkit::process::Event;
use homing_testkit::script_broker::{PATIENCE, puback};

use crate::{Stage, accepted, state, verdict};

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;

/// After `bytes` the client closes, with one of these reasons in MQTT 5 (3.1.1 has none to give), says so, and a message
/// still reaches the broker over the next link.
fn closes(mqtt: &str, bytes: &[u8], reasons: &[ReasonCode]) {
    let stage = Stage::new(mqtt);
    let mut pipe = stage.pipe();
    let mut peer = stage.broker.greet(false);
    peer.raw(bytes);
    let reason = peer.closed_with();
    if mqtt == "5" {
        assert!(reason.is_some_and(|reason| reasons.contains(&reason)), "{bytes:02x?} was answered with {reason:?}");
    }
    assert_ne!(state(&mut pipe, "waiting").0, "", "the reason is reported");
    pipe.publish_numbers("t", 0..1, 1);
    let id = accepted(&mut pipe, 0);
    let mut peer = stage.broker.greet(true);
    let pid = peer.publish().pid;
    peer.send(&puback(pid));
    assert_eq!(verdict(&mut pipe, id), "delivered");
}

macro_rules! malformed {
    ($($name:ident: $mqtt:literal, $bytes:expr, $reasons:expr;)*) => {
        $(#[test]
        fn $name() {
            closes($mqtt, $bytes, $reasons);
        })*
    };
}

malformed! {
    wildcard_in_a_topic_name_3_3_2_2: "5", &[0x30, 6, 0, 3, b'a', b'/', b'#', 0], &[MALFORMED, ReasonCode::TopicNameInvalid];
    wildcard_in_a_topic_name_v3: "3", &[0x30, 5, 0, 3, b'a', b'/', b'+'], &[];
    bad_utf8_in_a_topic_1_5_4_1: "5", &[0x30, 5, 0, 2, 0xc3, 0x28, 0], &[MALFORMED];
    a_surrogate_in_a_topic_1_5_4_1: "5", &[0x30, 6, 0, 3, 0xed, 0xa0, 0x80, 0], &[MALFORMED];
    u0000_in_a_topic_1_5_4_2: "5", &[0x30, 5, 0, 2, b'a', 0, 0], &[MALFORMED];
    u0000_in_a_topic_v3: "3", &[0x30, 4, 0, 2, b'a', 0], &[];
    qos_3_3_3_1_4: "5", &[0x36, 7, 0, 1, b't', 0, 1, 0, b'x'], &[MALFORMED];
    qos_3_v3: "3", &[0x36, 6, 0, 1, b't', 0, 1, b'x'], &[];
    reserved_flags_on_puback_2_1_3: "5", &[0x41, 2, 0, 1], &[MALFORMED];
    reserved_flags_on_pubrel_3_6_1_1: "5", &[0x60, 2, 0, 1], &[MALFORMED];
    reserved_flags_on_pubrel_v3: "3", &[0x60, 2, 0, 1], &[];
    a_length_of_five_bytes_1_5_5: "5", &[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], &[MALFORMED];
    a_length_of_five_bytes_v3: "3", &[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], &[];
    packet_identifier_0_2_2_1: "5", &[0x32, 7, 0, 1, b't', 0, 0, 0, b'x'], &[MALFORMED, PROTOCOL];
    packet_identifier_0_v3: "3", &[0x32, 6, 0, 1, b't', 0, 0, b'x'], &[];
    puback_shorter_than_two_bytes_3_4_2: "5", &[0x40, 1, 0], &[MALFORMED];
    puback_shorter_than_two_bytes_v3: "3", &[0x40, 1, 0], &[];
    a_topic_longer_than_its_packet_1_5_4: "5", &[0x30, 3, 0, 9, b't'], &[MALFORMED];
    packet_type_0_2_1_2: "5", &[0x00, 0], &[MALFORMED];
    packet_type_15_v3: "3", &[0xf0, 0], &[];
    auth_without_a_method_4_12_0_6: "5", &[0xf0, 0], &[PROTOCOL];
    a_second_connack_3_2_0_2: "5", &[0x20, 3, 0, 0, 0], &[PROTOCOL];
    a_second_connack_v3: "3", &[0x20, 2, 0, 0], &[];
    a_packet_that_only_clients_send_2_1_2: "5", &[0xc0, 0], &[PROTOCOL];
    a_subscription_identifier_of_0_3_3_2_3_8: "5", &[0x30, 7, 0, 1, b't', 2, 0x0b, 0, b'x'], &[PROTOCOL, MALFORMED];
    a_property_twice_2_2_2_2: "5", &[0x30, 9, 0, 1, b't', 4, 0x01, 0, 0x01, 0, b'x'], &[PROTOCOL];
    a_property_that_publish_has_not_2_2_2_2: "5", &[0x30, 6, 0, 1, b't', 2, 0x24, 1], &[MALFORMED, PROTOCOL];
}

#[test]
fn a_length_that_is_not_minimal_is_closed_or_read_never_misread_1_5_5() {
    // [1.5.5-1] binds the sender; a receiver may read it. What it may not do is lose its place in the stream.
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "1", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    peer.raw(&[0x30, 0x88, 0x00, 0, 4, b'i', b'n', b'/', b'a', 0, b'x']);
    pipe.until(PATIENCE, "message or end of the link", |event| match event {
        Event::Message(message) => {
            let _: () = assert_eq!(message.payload.as_deref(), Some("x"));
            Some(())
        }
        Event::Connection { state, .. } => (state == "waiting").then_some(()),
        _ => None,
    });
}

#[test]
fn short_forms_of_disconnect_are_read_3_14_2() {
    for (bytes, words) in [(&[0xe0, 0][..], "0x00"), (&[0xe0, 1, 0x8b], "0x8b"), (&[0xe0, 2, 0x8b, 0], "0x8b")] {
        let stage = Stage::new("5");
        let mut pipe = stage.pipe();
        let mut peer = stage.broker.greet(false);
        peer.raw(bytes);
        peer.close();
        let (reason, _) = state(&mut pipe, "waiting");
        assert!(reason.contains(words), "{bytes:02x?}: {reason}");
    }
}

#[test]
fn bytes_one_at_a_time_are_packets_all_the_same_4_2() {
    let stage = Stage::new("5");
    let mut pipe = stage.homing.pipe(["in/#", "-q", "1", "--auto-done"]);
    let mut peer = stage.broker.greet(false);
    peer.grant();
    for byte in [0x32, 0x0a, 0, 4, b'i', b'n', b'/', b'a', 0, 7, 0, b'x'] {
        peer.raw(&[byte]);
    }
    assert_eq!(peer.packet(), puback(7));
    assert_eq!(crate::message(&mut pipe), "x");
}
