//! A 3.1.1 message over the maximum is read through, in its place among the others (P10).

use bytes::BytesMut;

use super::packet::{Ack, Packet, Protocol, PublishPacket};
use super::{Decoder, Skipped, encode};
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;

fn publish(qos: QoS, pid: u16, bytes: usize) -> Packet {
    let topic = TopicName::new("a/large/one").unwrap();
    let payload = vec![7; bytes].into();
    Packet::Publish(PublishPacket { dup: false, qos, retain: false, topic, pid, payload, props: None })
}

/// Feeds the bytes in pieces; what came out, in order.
fn decode(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Vec<Result<Packet, Skipped>> {
    let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer).unwrap() {
                Some(packet) => out.push(Ok(packet)),
                None => match decoder.take_skipped() {
                    Some(skipped) => out.push(Err(skipped)),
                    None => break,
                },
            }
        }
        assert!(buffer.len() <= 2_000, "what is read through is not kept: {} bytes", buffer.len());
    }
    out
}

#[test]
fn a_message_over_the_maximum_is_read_through_in_its_place() {
    let large = publish(QoS::ExactlyOnce, 9, 100_000);
    let mut bytes = BytesMut::new();
    for packet in [&Packet::PubAck(Ack::ok(1)), &large, &publish(QoS::AtLeastOnce, 10, 5), &Packet::PingResp] {
        encode(packet, Protocol::V4, &mut bytes).unwrap();
    }
    let total = super::encoded_len(&large, Protocol::V4) as u64;
    let skipped =
        Skipped { topic: TopicName::new("a/large/one").unwrap(), qos: QoS::ExactlyOnce, pid: 9, bytes: total };
    for piece in [1, 3, 7, 1_000] {
        let mut decoder = Decoder::new(Protocol::V4, 1_000);
        decoder.skip_too_large();
        let out = decode(&mut decoder, &bytes, piece);
        let expected = [
            Ok(Packet::PubAck(Ack::ok(1))),
            Err(skipped.clone()),
            Ok(publish(QoS::AtLeastOnce, 10, 5)),
            Ok(Packet::PingResp),
        ];
        assert_eq!(out, expected, "in pieces of {piece}");
    }
}

#[test]
fn without_the_wish_and_in_mqtt_5_it_is_an_error_0x95() {
    for (protocol, wished) in [(Protocol::V4, false), (Protocol::V5, true)] {
        let mut bytes = BytesMut::new();
        encode(&publish(QoS::AtLeastOnce, 9, 2_000), protocol, &mut bytes).unwrap();
        let mut decoder = Decoder::new(protocol, 1_000);
        if wished {
            decoder.skip_too_large();
        }
        assert_eq!(decoder.decode(&mut bytes).unwrap_err().reason, ReasonCode::PacketTooLarge);
    }
}
