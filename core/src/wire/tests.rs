//! What the codec does with packets as they should be: exact bytes, frames split anywhere, who owns what.

use bytes::{Bytes, BytesMut};

use super::packet::{Ack, Connect, Disconnect, Packet, Protocol, PublishPacket, SubAck, Subscribe, Unsubscribe};
use super::{Decoder, encode, encoded_len};
use crate::model::credentials::{AuthData, Credentials};
use crate::model::message::{Publish, QoS, Subscription};
use crate::model::options::Will;
use crate::model::reason::ReasonCode;
use crate::model::topic::{TopicFilter, TopicName};

pub(super) fn bytes_of(packet: &Packet, protocol: Protocol) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, protocol, &mut out).unwrap();
    assert_eq!(out.len(), encoded_len(packet, protocol), "{packet:?}");
    out
}

/// The first packet of these bytes, which must hold nothing else.
pub(super) fn read(bytes: &[u8], protocol: Protocol) -> Packet {
    let mut buffer = BytesMut::from(bytes);
    let packet = Decoder::new(protocol, u32::MAX).decode(&mut buffer).unwrap().unwrap();
    assert!(buffer.is_empty());
    packet
}

pub(super) fn message(topic: &str, qos: QoS, pid: u16, payload: impl Into<Bytes>) -> PublishPacket {
    PublishPacket {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        pid,
        payload: payload.into(),
        props: None,
    }
}

fn connect(protocol: Protocol) -> Connect {
    Connect {
        protocol,
        client_id: "c".to_owned(),
        clean_start: false,
        keep_alive: 60,
        session_expiry: 0,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        credentials: None,
        will: None,
    }
}

#[test]
fn exact_bytes_of_the_common_packets() {
    let publish = message("a/b", QoS::AtLeastOnce, 258, "hi");
    let cases: Vec<(Packet, Protocol, &[u8])> = vec![
        (Packet::Publish(publish.clone()), Protocol::V4, b"\x32\x09\x00\x03a/b\x01\x02hi"),
        (Packet::Publish(publish), Protocol::V5, b"\x32\x0a\x00\x03a/b\x01\x02\x00hi"),
        (Packet::PubAck(Ack::ok(1)), Protocol::V5, b"\x40\x02\x00\x01"),
        (Packet::PubRec(Ack { pid: 1, reason: ReasonCode::QuotaExceeded }), Protocol::V5, b"\x50\x04\x00\x01\x97\x00"),
        (Packet::PubRec(Ack { pid: 1, reason: ReasonCode::QuotaExceeded }), Protocol::V4, b"\x50\x02\x00\x01"),
        (Packet::PubRel(Ack::ok(1)), Protocol::V4, b"\x62\x02\x00\x01"),
        (Packet::PubComp(Ack::ok(1)), Protocol::V5, b"\x70\x02\x00\x01"),
        (Packet::PingReq, Protocol::V4, b"\xc0\x00"),
        (Packet::PingResp, Protocol::V5, b"\xd0\x00"),
        (Packet::Disconnect(Disconnect::new(ReasonCode::Success)), Protocol::V5, b"\xe0\x00"),
        (Packet::Disconnect(Disconnect::new(ReasonCode::ProtocolError)), Protocol::V5, b"\xe0\x02\x82\x00"),
        (Packet::Disconnect(Disconnect::new(ReasonCode::ProtocolError)), Protocol::V4, b"\xe0\x00"),
        (
            Packet::Connect(Box::new(connect(Protocol::V4))),
            Protocol::V4,
            b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x3c\x00\x01c",
        ),
        (
            Packet::Connect(Box::new(connect(Protocol::V5))),
            Protocol::V5,
            b"\x10\x13\x00\x04MQTT\x05\x00\x00\x3c\x05\x11\x00\x00\x00\x00\x00\x01c",
        ),
        (
            Packet::Unsubscribe(Unsubscribe { pid: 7, filter: TopicFilter::new("a/#").unwrap() }),
            Protocol::V5,
            b"\xa2\x08\x00\x07\x00\x00\x03a/#",
        ),
        (
            Packet::Subscribe(Subscribe {
                pid: 7,
                wish: Subscription::new(TopicFilter::new("a/#").unwrap(), QoS::ExactlyOnce),
            }),
            Protocol::V5,
            b"\x82\x09\x00\x07\x00\x00\x03a/#\x12",
        ),
        (Packet::UnsubAck(SubAck { pid: 7, reasons: vec![] }), Protocol::V4, b"\xb0\x02\x00\x07"),
    ];
    for (packet, protocol, wanted) in cases {
        assert_eq!(&bytes_of(&packet, protocol)[..], wanted, "{packet:?}");
    }
}

#[test]
fn connect_keeps_what_the_output_holds_already_and_carries_any_password() {
    let mut ours = connect(Protocol::V5);
    ours.credentials = Some(Credentials::new("", Some(vec![0xff, 0, 0xc0])));
    ours.will = Some(Will::new(Publish::new(TopicName::new("w").unwrap(), "gone").retain(true)));
    let mut out = bytes_of(&Packet::PingReq, Protocol::V5);
    let packet = Packet::Connect(Box::new(ours));
    encode(&packet, Protocol::V5, &mut out).unwrap();
    let mut decoder = Decoder::new(Protocol::V4, u32::MAX);
    assert_eq!(decoder.decode(&mut out).unwrap(), Some(Packet::PingReq));
    assert_eq!(decoder.decode(&mut out).unwrap(), Some(packet));
    assert_eq!(decoder.protocol(), Protocol::V5, "a server learns the version from CONNECT");
}

#[test]
fn connect_in_3_1_1_leaves_out_what_only_5_can_say() {
    let mut ours = connect(Protocol::V4);
    (ours.session_expiry, ours.receive_maximum, ours.maximum_packet_size) = (9, 9, Some(9));
    assert_eq!(
        bytes_of(&Packet::Connect(Box::new(ours)), Protocol::V4),
        bytes_of(&Packet::Connect(Box::new(connect(Protocol::V4))), Protocol::V4)
    );
}

#[test]
fn what_cannot_be_written_leaves_the_output_as_it_was() {
    let long = "x".repeat(65_536);
    let mut publish = message("t", QoS::AtMostOnce, 0, "");
    let mut props = crate::model::message::Properties::default();
    props.user.push(("name".to_owned(), long.clone()));
    publish.props = Some(Box::new(props));
    let mut with_user = connect(Protocol::V5);
    with_user.credentials = Some(Credentials::new(long.clone(), None));
    let mut with_will = connect(Protocol::V4);
    with_will.will = Some(Will::new(Publish::new(TopicName::new("w").unwrap(), long)));
    let packets = [
        (Packet::Publish(publish), Protocol::V5),
        (Packet::Publish(message("t", QoS::AtLeastOnce, 0, "")), Protocol::V4),
        (Packet::PubRel(Ack::ok(0)), Protocol::V4),
        (Packet::Connect(Box::new(with_user)), Protocol::V5),
        (Packet::Connect(Box::new(with_will)), Protocol::V4),
        (Packet::SubAck(SubAck { pid: 0, reasons: vec![ReasonCode::Success] }), Protocol::V5),
        (Packet::Auth(super::packet::Auth { reason: ReasonCode::Success, method: None, data: None }), Protocol::V4),
    ];
    for (packet, protocol) in packets {
        let mut out = BytesMut::from("before");
        encode(&packet, protocol, &mut out).unwrap_err();
        assert_eq!(out, "before");
    }
}

#[test]
fn a_publish_is_found_wherever_the_stream_is_cut() {
    let mut stream = BytesMut::new();
    for number in 1..=3u16 {
        let publish = message("a/b", QoS::ExactlyOnce, number, vec![7; 200 * usize::from(number)]);
        encode(&Packet::Publish(publish), Protocol::V5, &mut stream).unwrap();
        encode(&Packet::PubRel(Ack::ok(number)), Protocol::V5, &mut stream).unwrap();
    }
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::new(Protocol::V5, u32::MAX);
        let mut buffer = BytesMut::from(&stream[..cut]);
        let mut found = Vec::new();
        while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
            found.push(packet);
        }
        buffer.extend_from_slice(&stream[cut..]);
        while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
            found.push(packet);
        }
        assert_eq!(found.len(), 6, "cut at {cut}");
        assert!(buffer.is_empty());
    }
}

#[test]
fn the_payload_is_a_slice_of_the_read_buffer() {
    let mut buffer = bytes_of(&Packet::Publish(message("t", QoS::AtMostOnce, 0, "payload")), Protocol::V5);
    let range = buffer.as_ptr_range();
    let Some(Packet::Publish(publish)) = Decoder::new(Protocol::V5, u32::MAX).decode(&mut buffer).unwrap() else {
        panic!("no PUBLISH")
    };
    assert_eq!(publish.payload, "payload");
    assert!(range.contains(&publish.payload.as_ptr()));
}

#[test]
fn what_stands_behind_a_large_frame_does_not_hold_its_memory() {
    let large = Packet::Publish(message("t", QoS::AtMostOnce, 0, vec![1; 1 << 20]));
    let mut buffer = bytes_of(&large, Protocol::V4);
    encode(&Packet::Publish(message("t", QoS::AtMostOnce, 0, "small")), Protocol::V4, &mut buffer).unwrap();
    let range = buffer.as_ptr_range();
    let mut decoder = Decoder::new(Protocol::V4, u32::MAX);
    assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(large));
    assert!(!range.contains(&buffer.as_ptr()) && buffer.capacity() < 64 << 10);
    assert!(matches!(decoder.decode(&mut buffer), Ok(Some(Packet::Publish(small))) if small.payload == "small"));
}

#[test]
fn debug_shows_no_payload_and_no_credentials_p12() {
    let mut ours = connect(Protocol::V5);
    ours.credentials = Some(Credentials::new("secret-user", Some(b"secret-password".to_vec())));
    ours.will = Some(Will::new(Publish::new(TopicName::new("w").unwrap(), "secret-will")));
    let publish = message("t", QoS::AtMostOnce, 0, "secret-payload");
    assert!(!format!("{:?}{:?}", Packet::Connect(Box::new(ours)), Packet::Publish(publish)).contains("secret"));
    let data = Some(AuthData::new("secret-data"));
    let auth = super::packet::Auth { reason: ReasonCode::Success, method: Some("M".to_owned()), data: data.clone() };
    let mut connack = super::packet::ConnAckProperties::default();
    (connack.authentication_method, connack.authentication_data) = (Some("M".to_owned()), data);
    assert!(!format!("{auth:?}{connack:?}").contains("secret"));
}
