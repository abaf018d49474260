//! Packets that break the standard, one clause a test, and packets that break it and must be survived.

use bytes::BytesMut;

use super::Decoder;
use super::packet::{Ack, Auth, Disconnect, Packet, Protocol, SubAck};
use super::tests::read;
use crate::model::credentials::AuthData;
use crate::model::reason::ReasonCode::{self, MalformedPacket, PacketTooLarge, ProtocolError, TopicAliasInvalid};

const BOTH: [Protocol; 2] = [Protocol::V4, Protocol::V5];
const V4: &[Protocol] = &[Protocol::V4];
const V5: &[Protocol] = &[Protocol::V5];

#[track_caller]
fn refused(bytes: &[u8], protocols: &[Protocol], reason: ReasonCode) {
    for protocol in protocols {
        let result = Decoder::new(*protocol, 1 << 20).decode(&mut BytesMut::from(bytes));
        assert_eq!(result.map_err(|error| error.reason), Err(reason), "{protocol:?} {bytes:02x?}");
    }
}

/// `body` behind a fixed header.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[first, body.len() as u8], body].concat()
}

/// A QoS 0 PUBLISH of MQTT 5 to `t` with these properties.
fn publish_with(props: &[u8]) -> Vec<u8> {
    framed(0x30, &[&b"\x00\x01t"[..], &[props.len() as u8], props, b"payload"].concat())
}

fn connack_with(props: &[u8]) -> Vec<u8> {
    framed(0x20, &[&[0, 0, props.len() as u8], props].concat())
}

#[test]
fn mqtt_2_1_3_1_reserved_flags() {
    for first in [0x11, 0x21, 0x41, 0x54, 0x60, 0x6a, 0x63, 0x78, 0x80, 0x91, 0xa0, 0xb2, 0xc1, 0xd8, 0xe1] {
        refused(&[first], &BOTH, MalformedPacket);
    }
    refused(&[0xf1], V5, MalformedPacket);
}

#[test]
fn mqtt_2_1_2_reserved_packet_types() {
    refused(&[0x00], &BOTH, MalformedPacket);
    refused(&[0xf0], V4, MalformedPacket);
}

#[test]
fn mqtt_1_5_5_1_lengths_that_are_not_minimal() {
    refused(&[0xd0, 0x80, 0x00], &BOTH, MalformedPacket);
    refused(&[0x40, 0x82, 0x00, 0, 1], &BOTH, MalformedPacket);
    refused(&[0xd0, 0x80, 0x80, 0x80, 0x00], &BOTH, MalformedPacket);
    refused(&framed(0x30, b"\x00\x01t\x80\x00"), V5, MalformedPacket);
}

#[test]
fn mqtt_1_5_5_lengths_of_five_bytes() {
    refused(&[0x30, 0xff, 0xff, 0xff, 0xff], &BOTH, MalformedPacket);
    refused(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], &BOTH, MalformedPacket);
}

#[test]
fn mqtt_3_1_2_24_over_our_maximum_at_the_fixed_header_without_allocation() {
    for protocol in BOTH {
        let mut buffer = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
        let before = buffer.capacity();
        let error = Decoder::new(protocol, 16 << 20).decode(&mut buffer).unwrap_err();
        assert_eq!((error.reason, buffer.capacity()), (PacketTooLarge, before));
        assert_eq!(Decoder::new(protocol, u32::MAX).decode(&mut buffer), Ok(None));
        assert_eq!(buffer.capacity(), before, "nothing is reserved for what has not come");
    }
    let eight = framed(0x30, b"\x00\x01tabc");
    assert!(Decoder::new(Protocol::V4, 8).decode(&mut BytesMut::from(&eight[..])).unwrap().is_some());
    let error = Decoder::new(Protocol::V4, 7).decode(&mut BytesMut::from(&eight[..])).unwrap_err();
    assert_eq!(error.reason, PacketTooLarge, "the maximum counts the fixed header too");
}

#[test]
fn mqtt_3_3_1_4_qos_3() {
    refused(&[0x36], &BOTH, MalformedPacket);
    refused(&[0x3f], &BOTH, MalformedPacket);
}

#[test]
fn mqtt_2_2_1_packet_identifier_0() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        refused(&framed(first, &[0, 0]), &BOTH, ProtocolError);
    }
    refused(&framed(0x32, b"\x00\x01t\x00\x00"), &BOTH, ProtocolError);
    refused(&framed(0x90, &[0, 0, 0, 0]), &BOTH, ProtocolError);
    refused(&framed(0xb0, &[0, 0]), &BOTH, ProtocolError);
}

#[test]
fn mqtt_3_3_2_2_wildcards_in_a_topic_name() {
    refused(&framed(0x30, b"\x00\x03a/+\x00"), &BOTH, MalformedPacket);
    refused(&framed(0x30, b"\x00\x01#\x00"), &BOTH, MalformedPacket);
}

#[test]
fn mqtt_1_5_4_1_bad_utf8_and_surrogates() {
    refused(&framed(0x30, b"\x00\x02\xc3\x28\x00"), &BOTH, MalformedPacket);
    refused(&framed(0x30, b"\x00\x03\xed\xa0\x80\x00"), &BOTH, MalformedPacket);
    refused(&publish_with(b"\x03\x00\x03\xed\xbf\xbf"), V5, MalformedPacket);
    refused(&publish_with(b"\x26\x00\x01a\x00\x01\xff"), V5, MalformedPacket);
    refused(&connack_with(b"\x1f\x00\x01\xff"), V5, MalformedPacket);
}

#[test]
fn mqtt_1_5_4_2_null_character() {
    refused(&framed(0x30, b"\x00\x03a\x00b\x00"), &BOTH, MalformedPacket);
    refused(&publish_with(b"\x26\x00\x01\x00\x00\x01v"), V5, MalformedPacket);
    refused(&connack_with(b"\x12\x00\x01\x00"), V5, MalformedPacket);
}

#[test]
fn mqtt_3_3_2_1_empty_topic_without_alias() {
    refused(&framed(0x30, b"\x00\x00\x00"), &BOTH, ProtocolError);
}

#[test]
fn mqtt_3_1_2_26_any_topic_alias() {
    refused(&publish_with(&[0x23, 0, 1]), V5, TopicAliasInvalid);
    refused(&publish_with(&[0x23, 0, 0]), V5, TopicAliasInvalid);
    refused(&framed(0x30, b"\x00\x00\x03\x23\x00\x05"), V5, TopicAliasInvalid);
}

#[test]
fn mqtt_3_2_2_3_receive_maximum_0_and_maximum_packet_size_0() {
    refused(&connack_with(&[0x21, 0, 0]), V5, ProtocolError);
    refused(&connack_with(&[0x27, 0, 0, 0, 0]), V5, ProtocolError);
}

#[test]
fn mqtt_2_2_2_2_properties_twice() {
    let once: &[&[u8]] = &[
        &[0x11, 0, 0, 0, 1],
        &[0x21, 0, 9],
        &[0x24, 1],
        &[0x25, 1],
        &[0x27, 0, 0, 1, 0],
        b"\x12\x00\x01c",
        &[0x22, 0, 0],
        b"\x1f\x00\x01r",
        &[0x28, 1],
        &[0x29, 1],
        &[0x2a, 1],
        &[0x13, 0, 5],
        b"\x1a\x00\x01i",
        b"\x1c\x00\x01s",
        b"\x15\x00\x01m",
    ];
    for prop in once {
        assert!(matches!(read(&connack_with(prop), Protocol::V5), Packet::ConnAck(_)));
        refused(&connack_with(&[*prop, *prop].concat()), V5, ProtocolError);
    }
    let data = b"\x16\x00\x01d\x15\x00\x01m";
    assert!(matches!(read(&connack_with(data), Protocol::V5), Packet::ConnAck(_)));
    refused(&connack_with(b"\x16\x00\x01d\x15\x00\x01m\x16\x00\x01d"), V5, ProtocolError);
    let once: &[&[u8]] = &[&[1, 1], &[2, 0, 0, 0, 1], b"\x03\x00\x01c", b"\x08\x00\x01r", b"\x09\x00\x01d"];
    for prop in once {
        assert!(matches!(read(&publish_with(prop), Protocol::V5), Packet::Publish(_)));
        refused(&publish_with(&[*prop, *prop].concat()), V5, ProtocolError);
    }
    let many = publish_with(b"\x0b\x01\x0b\xff\xff\xff\x7f\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01v");
    let Packet::Publish(publish) = read(&many, Protocol::V5) else { panic!("no PUBLISH") };
    let props = publish.props.unwrap();
    assert_eq!((props.subscription_ids, props.user.len()), (vec![1, 268_435_455], 2));
}

#[test]
fn mqtt_2_2_2_2_properties_in_the_wrong_packet_and_unknown_ones() {
    refused(&publish_with(&[0x21, 0, 9]), V5, MalformedPacket);
    refused(&publish_with(&[0x11, 0, 0, 0, 1]), V5, MalformedPacket);
    refused(&connack_with(&[0x01, 1]), V5, MalformedPacket);
    refused(&framed(0x40, &[0, 1, 0, 3, 0x13, 0, 1]), V5, MalformedPacket);
    refused(&framed(0x90, &[0, 1, 2, 0x28, 1, 0]), V5, MalformedPacket);
    for unknown in [0x00, 0x04, 0x2b, 0x3f, 0x7f, 0x80, 0xff] {
        refused(&publish_with(&[unknown, 0, 0, 0, 0]), V5, MalformedPacket);
    }
}

#[test]
fn mqtt_3_2_2_3_flags_that_are_neither_0_nor_1() {
    for id in [0x24, 0x25, 0x28, 0x29, 0x2a] {
        refused(&connack_with(&[id, 2]), V5, ProtocolError);
    }
    refused(&publish_with(&[0x01, 2]), V5, ProtocolError);
}

#[test]
fn mqtt_3_3_2_3_8_subscription_identifier_0() {
    refused(&publish_with(&[0x0b, 0]), V5, ProtocolError);
    refused(&publish_with(&[0x0b, 0x80, 0]), V5, MalformedPacket);
    refused(&publish_with(&[0x0b, 0xff, 0xff, 0xff, 0xff]), V5, MalformedPacket);
}

#[test]
fn mqtt_2_2_2_1_property_sections_that_run_past_their_end() {
    // Longer than the packet.
    refused(&framed(0x30, b"\x00\x01t\x7f"), V5, MalformedPacket);
    refused(&framed(0x20, &[0, 0, 5, 0x21, 0]), V5, MalformedPacket);
    // A property that crosses the section's end into the payload, which has bytes enough.
    refused(&framed(0x30, b"\x00\x01t\x02\x02\x00\x00\x00\x01payload"), V5, MalformedPacket);
    refused(&framed(0x30, b"\x00\x01t\x03\x03\x00\x05payload"), V5, MalformedPacket);
    refused(&framed(0x30, b"\x00\x01t\x02\x0b\x80\x01payload"), V5, MalformedPacket);
    // No section at all.
    refused(&framed(0x30, b"\x00\x01t"), V5, MalformedPacket);
    refused(&framed(0x90, &[0, 1]), V5, MalformedPacket);
    // Bytes behind a section that ends a packet.
    refused(&framed(0x40, &[0, 1, 0, 0, 9]), V5, MalformedPacket);
    refused(&framed(0xe0, &[0, 0, 9]), V5, MalformedPacket);
    refused(&framed(0x20, &[0, 0, 0, 9]), V5, MalformedPacket);
}

#[test]
fn mqtt_3_2_2_1_reserved_connack_flags() {
    refused(&framed(0x20, &[2, 0]), &BOTH, MalformedPacket);
    refused(&framed(0x20, &[0x81, 0, 0]), V5, MalformedPacket);
    refused(&framed(0x20, &[0, 0, 0]), V4, MalformedPacket);
    refused(&framed(0x20, &[0]), &BOTH, MalformedPacket);
}

#[test]
fn mqtt_3_9_3_2_suback_without_or_with_impossible_codes() {
    refused(&framed(0x90, &[0, 1]), V4, MalformedPacket);
    refused(&framed(0x90, &[0, 1, 0]), V5, MalformedPacket);
    refused(&framed(0x90, &[0, 1, 3]), V4, MalformedPacket);
    refused(&framed(0xb0, &[0, 1, 0]), V5, MalformedPacket);
    let Packet::SubAck(ack) = read(&framed(0x90, &[0, 1, 0x80]), Protocol::V4) else { panic!("no SUBACK") };
    assert_eq!(ack, SubAck { pid: 1, reasons: vec![ReasonCode::UnspecifiedError] });
    let Packet::SubAck(ack) = read(&framed(0x90, &[0, 1, 0, 2, 0xee]), Protocol::V5) else { panic!("no SUBACK") };
    assert_eq!(ack.reasons, [ReasonCode::GrantedQos2, ReasonCode::Other(0xee)]);
}

#[test]
fn mqtt_3_14_2_1_short_disconnect() {
    let cases: [(&[u8], ReasonCode); 4] = [
        (b"\xe0\x00", ReasonCode::Success),
        (b"\xe0\x01\x8b", ReasonCode::ServerShuttingDown),
        (b"\xe0\x02\x8b\x00", ReasonCode::ServerShuttingDown),
        (b"\xe0\x01\xc3", ReasonCode::Other(0xc3)),
    ];
    for (bytes, reason) in cases {
        assert_eq!(read(bytes, Protocol::V5), Packet::Disconnect(Disconnect::new(reason)));
    }
}

#[test]
fn mqtt_3_4_2_1_short_acknowledgements() {
    for (first, packet) in [
        (0x40, Packet::PubAck as fn(Ack) -> Packet),
        (0x50, Packet::PubRec),
        (0x62, Packet::PubRel),
        (0x70, Packet::PubComp),
    ] {
        let not_found = Ack { pid: 9, reason: ReasonCode::PacketIdentifierNotFound };
        assert_eq!(read(&framed(first, &[0, 9]), Protocol::V5), packet(Ack::ok(9)));
        assert_eq!(read(&framed(first, &[0, 9, 0x92]), Protocol::V5), packet(not_found));
        assert_eq!(read(&framed(first, &[0, 9, 0x92, 0]), Protocol::V5), packet(not_found));
        assert_eq!(read(&framed(first, b"\x00\x09\x92\x04\x1f\x00\x01r"), Protocol::V5), packet(not_found));
        refused(&framed(first, &[9]), &BOTH, MalformedPacket);
        refused(&framed(first, &[]), &BOTH, MalformedPacket);
    }
}

#[test]
fn mqtt5_bytes_behind_3_1_1_acknowledgements_are_ignored_and_counted() {
    let mut decoder = Decoder::new(Protocol::V4, 1 << 20);
    let mut buffer = BytesMut::from(&b"\x70\x04\x00\x09\x92\x00\x40\x03\x00\x09\x10\xb0\x04\x00\x09\x00\x11"[..]);
    assert_eq!(decoder.decode(&mut buffer), Ok(Some(Packet::PubComp(Ack::ok(9)))));
    assert_eq!(decoder.decode(&mut buffer), Ok(Some(Packet::PubAck(Ack::ok(9)))));
    assert_eq!(decoder.ignored_bytes(), 3);
    assert_eq!(decoder.decode(&mut buffer), Ok(Some(Packet::UnsubAck(SubAck { pid: 9, reasons: vec![] }))));
    assert_eq!((decoder.ignored_bytes(), buffer.len()), (5, 0));
}

#[test]
fn a_3_1_1_connack_answers_a_connect_of_5() {
    for (code, reason) in [
        (1, ReasonCode::UnsupportedProtocolVersion),
        (2, ReasonCode::ClientIdentifierNotValid),
        (5, ReasonCode::NotAuthorized),
        (0x84, ReasonCode::UnsupportedProtocolVersion),
    ] {
        for protocol in BOTH {
            let Packet::ConnAck(connack) = read(&[0x20, 2, 0, code], protocol) else { panic!("no CONNACK") };
            assert_eq!((connack.reason, connack.session_present), (reason, false));
        }
    }
    refused(&[0x20, 2, 0, 0], V5, MalformedPacket);
}

#[test]
fn mqtt_3_15_auth() {
    let method = Some("M".to_owned());
    assert_eq!(
        read(b"\xf0\x06\x18\x04\x15\x00\x01M", Protocol::V5),
        Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, method, data: None })
    );
    assert_eq!(
        read(&[0xf0, 0], Protocol::V5),
        Packet::Auth(Auth { reason: ReasonCode::Success, method: None, data: None })
    );
    refused(&[0xf0, 1, 0x80], V5, ProtocolError);
}

#[test]
fn mqtt_3_15_auth_with_data() {
    let Packet::Auth(auth) = read(b"\xf0\x0b\x18\x09\x15\x00\x01M\x16\x00\x02\xff\x00", Protocol::V5) else {
        panic!("no AUTH")
    };
    assert_eq!(auth.data.as_ref().map(|data| data.as_bytes()), Some(&b"\xff\x00"[..]));
    // Data twice, data alone, data that runs past its section, a reason for other packets, 3.1.1.
    refused(b"\xf0\x0c\x18\x0a\x15\x00\x01M\x16\x00\x00\x16\x00\x00", V5, ProtocolError);
    refused(b"\xf0\x05\x18\x03\x16\x00\x00", V5, ProtocolError);
    refused(b"\xf0\x09\x18\x07\x15\x00\x01M\x16\xff\xff", V5, MalformedPacket);
    refused(b"\xf0\x06\x87\x04\x15\x00\x01M", V5, ProtocolError);
    refused(b"\xf0\x06\x18\x04\x15\x00\x01M", V4, MalformedPacket);
    // CONNACK: data without a method.
    refused(b"\x20\x07\x00\x00\x04\x16\x00\x01x", V5, ProtocolError);
}

#[test]
fn the_longest_authentication_data_comes_back_and_longer_is_not_written() {
    let auth = |length: usize| {
        let data = Some(AuthData::new(vec![7; length]));
        Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, method: Some("M".to_owned()), data })
    };
    let bytes = super::tests::bytes_of(&auth(65_535), Protocol::V5);
    assert_eq!(read(&bytes, Protocol::V5), auth(65_535));
    let mut out = bytes::BytesMut::from("before");
    super::encode(&auth(65_536), Protocol::V5, &mut out).unwrap_err();
    assert_eq!(out, "before");
}

#[test]
fn a_disconnect_with_a_reason_on_a_3_1_1_link_is_understood() {
    for bytes in [&b"\xe0\x01\x8e"[..], b"\xe0\x02\x8e\x00"] {
        let taken_over = Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver));
        assert_eq!(read(bytes, Protocol::V4), taken_over);
    }
}

#[test]
fn an_empty_response_topic_is_none_and_a_wildcard_in_it_malformed() {
    let Packet::Publish(publish) = read(&publish_with(b"\x08\x00\x00"), Protocol::V5) else { panic!("no PUBLISH") };
    assert_eq!(publish.props, None);
    refused(&publish_with(b"\x08\x00\x01#"), V5, MalformedPacket);
}

#[test]
fn pings_with_content_and_other_lengths_that_are_wrong() {
    refused(&[0xd0, 1, 0], &BOTH, MalformedPacket);
    refused(&[0xc0, 1, 0], &BOTH, MalformedPacket);
    refused(&framed(0x30, &[0]), &BOTH, MalformedPacket);
    refused(&framed(0x30, b"\x00\x05abc"), &BOTH, MalformedPacket);
    refused(&framed(0x32, b"\x00\x01t\x01"), &BOTH, MalformedPacket);
    refused(&framed(0x82, b"\x00\x01\x00\x01t\x03"), V4, MalformedPacket);
    refused(&framed(0x82, b"\x00\x01\x00\x00\x01t\xc0"), V5, MalformedPacket);
    refused(&framed(0x82, b"\x00\x01\x00\x00\x0d$share/g/filt\x04"), V5, ProtocolError);
    refused(&framed(0x82, b"\x00\x01\x00\x01t\x00\x00\x01u\x00"), V4, ReasonCode::ImplementationSpecificError);
    refused(&framed(0x10, b"\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00"), &BOTH, ReasonCode::UnsupportedProtocolVersion);
    refused(&framed(0x10, b"\x00\x04MQTT\x04\x03\x00\x00\x00\x00"), &BOTH, MalformedPacket);
    refused(&framed(0x10, b"\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x00"), &BOTH, MalformedPacket);
}
