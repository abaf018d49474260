//! Every packet, both versions: what is written is read back, also byte by byte, and random bytes never panic.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::packet::*;
use super::tests::bytes_of;
use super::{Decoder, encoded_len, packet};
use crate::model::message::{Properties, Publish, QoS, RetainHandling, Subscription};
use crate::model::options::{Credentials, Will};
use crate::model::reason::ReasonCode;
use crate::model::topic::{TopicFilter, TopicName};

fn text() -> impl Strategy<Value = String> {
    "[a-zäß€𝄞 /$]{0,40}"
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn topic() -> impl Strategy<Value = TopicName> {
    "[a-zäß€𝄞 /$]{1,40}".prop_map(|text| TopicName::new(text).unwrap())
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    "(\\$share/g/)?[a-z€]{1,9}(/\\+)?(/#)?".prop_map(|text| TopicFilter::new(text).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn pid() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn reason() -> impl Strategy<Value = ReasonCode> {
    any::<u8>().prop_map(ReasonCode::from)
}

prop_compose! {
    fn properties()(
        payload_is_utf8: bool,
        content_type in of(text()),
        response_topic in of(topic()),
        correlation_data in of(data()),
        user in vec((text(), text()), 0..4),
        subscription_ids in vec(1..=268_435_455u32, 0..4),
        expiry_s in of(any::<u32>()),
    ) -> Properties {
        Properties { payload_is_utf8, content_type, response_topic, correlation_data, user, subscription_ids, expiry_s }
    }
}

prop_compose! {
    fn publish(protocol: Protocol)(
        dup: bool, qos in qos(), retain: bool, topic in topic(), pid in pid(), payload in data(), props in properties(),
    ) -> Packet {
        Packet::Publish(PublishPacket {
            dup, qos, retain, topic, payload,
            pid: if qos == QoS::AtMostOnce { 0 } else { pid },
            props: (protocol == Protocol::V5 && !props.is_empty()).then(|| Box::new(props)),
        })
    }
}

prop_compose! {
    fn will(protocol: Protocol)(
        topic in topic(), payload in data(), qos in qos(), retain: bool, properties in properties(),
        ttl in of(1..1000u64), delay in 0..1000u64,
    ) -> Will {
        let mut will = Will::new(Publish::new(topic, payload).qos(qos).retain(retain));
        if protocol == Protocol::V5 {
            will.delay = std::time::Duration::from_secs(delay);
            will.message.ttl = ttl.map(std::time::Duration::from_secs);
            will.message.properties = Properties { subscription_ids: vec![], expiry_s: None, ..properties };
        }
        will
    }
}

prop_compose! {
    fn connect(protocol: Protocol)(
        client_id in text(), clean_start: bool, keep_alive: u16, session_expiry: u32, receive_maximum in 1..=u16::MAX,
        maximum_packet_size in of(1..=u32::MAX),
        credentials in of((text(), of(vec(any::<u8>(), 0..50)))), will in of(will(protocol)),
    ) -> Packet {
        let five = protocol == Protocol::V5;
        Packet::Connect(Box::new(Connect {
            protocol, client_id, clean_start, keep_alive, will,
            session_expiry: if five { session_expiry } else { 0 },
            receive_maximum: if five { receive_maximum } else { u16::MAX },
            maximum_packet_size: maximum_packet_size.filter(|_| five),
            credentials: credentials.map(|(user, password)| Credentials::new(user, password)),
        }))
    }
}

prop_compose! {
    fn connack_properties()(
        session_expiry in of(any::<u32>()), receive_maximum in of(1..=u16::MAX), maximum_qos in of(0..=1u8),
        retain_available: Option<bool>, maximum_packet_size in of(1..=u32::MAX), assigned_client_id in of(text()),
        topic_alias_maximum: Option<u16>,
        (reason_string, server_reference, authentication_method) in (of(text()), of(text()), of(text())),
        (wildcard_available, subscription_ids_available, shared_available) in any::<(Option<bool>, Option<bool>, Option<bool>)>(),
        server_keep_alive: Option<u16>,
    ) -> ConnAckProperties {
        ConnAckProperties {
            session_expiry, receive_maximum, maximum_qos, retain_available, maximum_packet_size, assigned_client_id,
            topic_alias_maximum, reason_string, wildcard_available, subscription_ids_available, shared_available,
            server_keep_alive, server_reference, authentication_method,
        }
    }
}

fn connack(protocol: Protocol) -> impl Strategy<Value = Packet> {
    let v4 = (any::<bool>(), prop_oneof![Just(0u8), 0x80..=0xffu8]).prop_map(|(session_present, code)| ConnAck {
        session_present,
        reason: code.into(),
        properties: ConnAckProperties::default(),
    });
    let v5 = (any::<bool>(), reason(), connack_properties())
        .prop_map(|(session_present, reason, properties)| ConnAck { session_present, reason, properties });
    let either = if protocol == Protocol::V4 { v4.boxed() } else { v5.boxed() };
    either.prop_map(|connack| Packet::ConnAck(Box::new(connack)))
}

prop_compose! {
    fn subscribe(protocol: Protocol)(
        pid in pid(), filter in filter(), qos in qos(), no_local: bool, retain_as_published: bool,
        retain in 0..3u8, id in of(1..=268_435_455u32),
    ) -> Packet {
        let mut wish = Subscription::new(filter, qos);
        if protocol == Protocol::V5 {
            wish.no_local = no_local && !wish.filter.is_shared();
            wish.retain_as_published = retain_as_published;
            wish.retain_handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never][usize::from(retain)];
            wish.id = id.and_then(std::num::NonZeroU32::new);
        }
        Packet::Subscribe(Subscribe { pid, wish })
    }
}

fn ack(protocol: Protocol) -> impl Strategy<Value = Ack> {
    (pid(), reason()).prop_map(move |(pid, reason)| match protocol {
        Protocol::V4 => Ack::ok(pid),
        Protocol::V5 => Ack { pid, reason },
    })
}

fn suback(protocol: Protocol) -> impl Strategy<Value = Packet> {
    let granted = (pid(), vec(prop_oneof![0..=2u8, 0x80..=0xffu8], 1..4)).prop_map(|(pid, codes)| {
        Packet::SubAck(SubAck { pid, reasons: codes.into_iter().map(ReasonCode::from).collect() })
    });
    let unsubscribed = (pid(), vec(reason(), 1..4)).prop_map(move |(pid, reasons)| {
        Packet::UnsubAck(SubAck { pid, reasons: if protocol == Protocol::V4 { vec![] } else { reasons } })
    });
    prop_oneof![granted, unsubscribed]
}

fn ending(protocol: Protocol) -> impl Strategy<Value = Packet> {
    if protocol == Protocol::V4 {
        return Just(Packet::Disconnect(Disconnect::new(ReasonCode::Success))).boxed();
    }
    let disconnect = (reason(), of(any::<u32>()), of(text()), of(text())).prop_map(
        |(reason, session_expiry, server_reference, reason_string)| {
            Packet::Disconnect(Disconnect { reason, session_expiry, server_reference, reason_string })
        },
    );
    let auth = (prop_oneof![Just(0u8), Just(0x18), Just(0x19)], of(text()))
        .prop_map(|(code, method)| Packet::Auth(Auth { reason: code.into(), method }));
    prop_oneof![disconnect, auth].boxed()
}

fn any_packet() -> impl Strategy<Value = (Protocol, Packet)> {
    prop_oneof![Just(Protocol::V4), Just(Protocol::V5)].prop_flat_map(|protocol| {
        let packet = prop_oneof![
            4 => publish(protocol),
            1 => ack(protocol).prop_map(Packet::PubAck),
            1 => ack(protocol).prop_map(Packet::PubRec),
            1 => ack(protocol).prop_map(Packet::PubRel),
            1 => ack(protocol).prop_map(Packet::PubComp),
            2 => connect(protocol),
            2 => connack(protocol),
            2 => subscribe(protocol),
            1 => suback(protocol),
            1 => (pid(), filter()).prop_map(|(pid, filter)| Packet::Unsubscribe(packet::Unsubscribe { pid, filter })),
            2 => ending(protocol),
            1 => Just(Packet::PingReq),
            1 => Just(Packet::PingResp),
        ];
        (Just(protocol), packet)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_packet_comes_back(( protocol, packet) in any_packet()) {
        let mut bytes = bytes_of(&packet, protocol);
        prop_assert_eq!(bytes.len(), encoded_len(&packet, protocol));
        let back = Decoder::new(protocol, u32::MAX).decode(&mut bytes);
        prop_assert_eq!(back, Ok(Some(packet)));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn every_packet_comes_back_byte_by_byte((protocol, packet) in any_packet()) {
        let bytes = bytes_of(&packet, protocol);
        let mut decoder = Decoder::new(protocol, u32::MAX);
        let mut buffer = BytesMut::new();
        for (at, byte) in bytes.iter().enumerate() {
            buffer.extend_from_slice(&[*byte]);
            let back = decoder.decode(&mut buffer);
            let wanted = (at + 1 == bytes.len()).then(|| packet.clone());
            prop_assert_eq!(back, Ok(wanted));
        }
    }

    #[test]
    fn one_byte_changed_or_cut_off_never_panics((protocol, packet) in any_packet(), at: prop::sample::Index, byte: u8) {
        let bytes = bytes_of(&packet, protocol);
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] = byte;
        drain(&changed, protocol);
        // A body that is shorter than it was, in a frame that says so.
        let short = &bytes[1..][..at.index(bytes.len())];
        let mut framed = vec![bytes[0], 0];
        framed.extend(short.iter().skip(1).take(127));
        framed[1] = (framed.len() - 2) as u8;
        drain(&framed, protocol);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..600)) {
        drain(&bytes, Protocol::V4);
        drain(&bytes, Protocol::V5);
    }

    #[test]
    fn random_bodies_never_panic(first: u8, body in vec(any::<u8>(), 0..127)) {
        let framed = [&[first, body.len() as u8], &body[..]].concat();
        drain(&framed, Protocol::V4);
        drain(&framed, Protocol::V5);
    }
}

/// Reads to the first error; what was read can be written again.
fn drain(bytes: &[u8], protocol: Protocol) {
    let mut decoder = Decoder::new(protocol, 1 << 20);
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(packet)) = decoder.decode(&mut buffer) {
        let protocol = decoder.protocol();
        let again = bytes_of(&packet, protocol);
        let mut again = again;
        assert!(Decoder::new(protocol, u32::MAX).decode(&mut again).is_ok());
    }
}
