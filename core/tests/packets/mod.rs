//! Strategies for every packet of both versions, as they come back from the wire: what a version cannot say is at its default.

use bytes::Bytes;
use homing::internals::message::Properties;
use homing::wire::packet::*;
use homing::{
    AuthData, Credentials, Publish, QoS, ReasonCode, RetainHandling, Subscription, TopicFilter, TopicName, Will,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// Which reason codes packets carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reasons {
    /// Any byte: brokers invent some.
    Any,
    /// Those that the standard gives to the packet.
    Standard,
}

impl Reasons {
    fn or(self, standard: &'static [u8]) -> BoxedStrategy<ReasonCode> {
        match self {
            Self::Any => any::<u8>().prop_map(ReasonCode::from).boxed(),
            Self::Standard => prop::sample::select(standard).prop_map(ReasonCode::from).boxed(),
        }
    }
}

const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const PUBREL: &[u8] = &[0x00, 0x92];
const CONNACK: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
    0x9c, 0x9d, 0x9f,
];
const SUBACK: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];
const DISCONNECT: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];

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
        let mut props = Properties::default();
        props.payload_is_utf8 = payload_is_utf8;
        props.content_type = content_type;
        props.response_topic = response_topic;
        props.correlation_data = correlation_data;
        props.user = user;
        props.subscription_ids = subscription_ids;
        props.expiry_s = expiry_s;
        props
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
            will.message.properties = properties;
            will.message.properties.subscription_ids.clear();
            will.message.properties.expiry_s = None;
        }
        will
    }
}

fn auth_data() -> impl Strategy<Value = AuthData> {
    vec(any::<u8>(), 0..50).prop_map(AuthData::new)
}

prop_compose! {
    fn connect(protocol: Protocol)(
        client_id in text(), clean_start: bool, keep_alive: u16, session_expiry: u32, receive_maximum in 1..=u16::MAX,
        maximum_packet_size in of(1..=u32::MAX),
        credentials in of((text(), of(vec(any::<u8>(), 0..50)))), will in of(will(protocol)),
        enhanced in of((text(), of(auth_data()))),
    ) -> Packet {
        let five = protocol == Protocol::V5;
        Packet::Connect(Box::new(Connect {
            protocol, client_id, clean_start, keep_alive, will,
            session_expiry: if five { session_expiry } else { 0 },
            receive_maximum: if five { receive_maximum } else { u16::MAX },
            maximum_packet_size: maximum_packet_size.filter(|_| five),
            credentials: match (credentials, enhanced.filter(|_| five)) {
                (None, None) => None,
                (None, Some((method, data))) => Some(Credentials::enhanced(method, data)),
                (Some((user, password)), None) => Some(Credentials::new(user, password)),
                (Some((user, password)), Some((method, data))) => {
                    Some(Credentials::new(user, password).with_enhanced(method, data))
                }
            },
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
        server_keep_alive: Option<u16>, authentication_data in of(auth_data()),
    ) -> ConnAckProperties {
        ConnAckProperties {
            session_expiry, receive_maximum, maximum_qos, retain_available, maximum_packet_size, assigned_client_id,
            topic_alias_maximum, reason_string, wildcard_available, subscription_ids_available, shared_available,
            server_keep_alive, server_reference,
            authentication_data: authentication_data.filter(|_| authentication_method.is_some()),
            authentication_method,
        }
    }
}

fn connack(protocol: Protocol, reasons: Reasons) -> BoxedStrategy<Packet> {
    let codes = match protocol {
        Protocol::V4 => {
            prop::sample::select(&[0x00, 0x84, 0x85, 0x88, 0x86, 0x87][..]).prop_map(ReasonCode::from).boxed()
        }
        Protocol::V5 => reasons.or(CONNACK),
    };
    (any::<bool>(), codes, connack_properties())
        .prop_map(move |(session_present, reason, properties)| {
            let properties = if protocol == Protocol::V4 { ConnAckProperties::default() } else { properties };
            // Only acceptance can come with a session [MQTT-3.2.2-6]; the session is the one to judge, but other codecs do.
            let session_present = session_present && reason == ReasonCode::Success;
            Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties }))
        })
        .boxed()
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

fn ack(protocol: Protocol, reason: BoxedStrategy<ReasonCode>) -> BoxedStrategy<Ack> {
    (pid(), reason)
        .prop_map(move |(pid, reason)| match protocol {
            Protocol::V4 => Ack::ok(pid),
            Protocol::V5 => Ack { pid, reason },
        })
        .boxed()
}

fn suback(protocol: Protocol, reasons: Reasons) -> BoxedStrategy<Packet> {
    let granted = match (protocol, reasons) {
        (Protocol::V4, _) => prop::sample::select(&[0x00, 0x01, 0x02, 0x80u8][..]).boxed(),
        (Protocol::V5, Reasons::Standard) => prop::sample::select(SUBACK).boxed(),
        (Protocol::V5, Reasons::Any) => prop_oneof![0..=2u8, 0x80..=0xffu8].boxed(),
    };
    let granted = (pid(), vec(granted.prop_map(ReasonCode::from), 1..4))
        .prop_map(|(pid, reasons)| Packet::SubAck(SubAck { pid, reasons }));
    let gone = (pid(), vec(reasons.or(UNSUBACK), 1..4)).prop_map(move |(pid, reasons)| {
        Packet::UnsubAck(SubAck { pid, reasons: if protocol == Protocol::V4 { vec![] } else { reasons } })
    });
    prop_oneof![granted, gone].boxed()
}

fn ending(protocol: Protocol, reasons: Reasons) -> BoxedStrategy<Packet> {
    if protocol == Protocol::V4 {
        return Just(Packet::Disconnect(Disconnect::new(ReasonCode::Success))).boxed();
    }
    let disconnect = (reasons.or(DISCONNECT), of(any::<u32>()), of(text()), of(text())).prop_map(
        |(reason, session_expiry, server_reference, reason_string)| {
            Packet::Disconnect(Disconnect { reason, session_expiry, server_reference, reason_string })
        },
    );
    // A method may be missing only together with everything else [3.15.2.1].
    let auth = (prop::sample::select(&[0x00, 0x18, 0x19u8][..]), text(), of(auth_data()))
        .prop_map(|(code, method, data)| Packet::Auth(Auth { reason: code.into(), method: Some(method), data }));
    prop_oneof![disconnect, auth].boxed()
}

/// Any packet, and the version it is meant for.
pub(crate) fn any_packet(reasons: Reasons) -> impl Strategy<Value = (Protocol, Packet)> {
    prop_oneof![Just(Protocol::V4), Just(Protocol::V5)].prop_flat_map(move |protocol| {
        let packet = prop_oneof![
            4 => publish(protocol),
            1 => ack(protocol, reasons.or(PUBACK)).prop_map(Packet::PubAck),
            1 => ack(protocol, reasons.or(PUBACK)).prop_map(Packet::PubRec),
            1 => ack(protocol, reasons.or(PUBREL)).prop_map(Packet::PubRel),
            1 => ack(protocol, reasons.or(PUBREL)).prop_map(Packet::PubComp),
            3 => connect(protocol),
            3 => connack(protocol, reasons),
            2 => subscribe(protocol),
            2 => suback(protocol, reasons),
            1 => (pid(), filter()).prop_map(|(pid, filter)| Packet::Unsubscribe(Unsubscribe { pid, filter })),
            2 => ending(protocol, reasons),
            1 => Just(Packet::PingReq),
            1 => Just(Packet::PingResp),
        ];
        (Just(protocol), packet)
    })
}
