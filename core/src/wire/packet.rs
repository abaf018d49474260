//! One packet type for MQTT 3.1.1 and 5. What 3.1.1 cannot say is at its default when read and left out when written.

use bytes::Bytes;

use crate::model::credentials::{AuthData, Credentials};
use crate::model::message::{Properties, QoS, Subscription};
use crate::model::options::Will;
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;

/// The protocol version of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// 3.1.1, protocol level 4.
    V4,
    /// 5.0.
    V5,
}

/// A control packet, both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Client to server: begin.
    Connect(Box<Connect>),
    /// Server to client: answer to CONNECT.
    ConnAck(Box<ConnAck>),
    /// A message.
    Publish(PublishPacket),
    /// QoS 1 answer.
    PubAck(Ack),
    /// QoS 2, first answer.
    PubRec(Ack),
    /// QoS 2, release.
    PubRel(Ack),
    /// QoS 2, end.
    PubComp(Ack),
    /// Client to server: one subscription (never several: the packet identifier names the filter).
    Subscribe(Subscribe),
    /// Server to client.
    SubAck(SubAck),
    /// Client to server: one filter.
    Unsubscribe(Unsubscribe),
    /// Server to client; 3.1.1 has no reasons: empty.
    UnsubAck(SubAck),
    /// Client to server.
    PingReq,
    /// Server to client.
    PingResp,
    /// Either way in 5, client to server in 3.1.1.
    Disconnect(Disconnect),
    /// Enhanced authentication, MQTT 5.
    Auth(Auth),
}

/// CONNECT [3.1].
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// Version, and with it the format of the packet.
    pub protocol: Protocol,
    /// Client identifier; may be empty.
    pub client_id: String,
    /// Clean start; clean session in 3.1.1.
    pub clean_start: bool,
    /// Seconds.
    pub keep_alive: u16,
    /// MQTT 5, seconds; always sent.
    pub session_expiry: u32,
    /// MQTT 5; 65,535 is left out.
    pub receive_maximum: u16,
    /// MQTT 5; None is left out.
    pub maximum_packet_size: Option<u32>,
    /// User name and password, and (MQTT 5) authentication method and data. When they expire is not on the wire.
    pub credentials: Option<Credentials>,
    /// The will.
    pub will: Option<Will>,
}

impl std::fmt::Debug for Connect {
    /// Without credentials and will (P12).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("protocol", &self.protocol)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .finish_non_exhaustive()
    }
}

/// CONNACK [3.2].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// The broker still had the session.
    pub session_present: bool,
    /// Success or why not; 3.1.1's return codes are translated.
    pub reason: ReasonCode,
    /// MQTT 5 properties, at their defaults when absent.
    pub properties: ConnAckProperties,
}

/// What a CONNACK announces; `None` where absence and presence differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAckProperties {
    /// Seconds; absent: as asked for [3.2.2.3.2].
    pub session_expiry: Option<u32>,
    /// Absent: 65,535. Zero is a protocol error and never comes out of the codec.
    pub receive_maximum: Option<u16>,
    /// 0 or 1; absent: 2.
    pub maximum_qos: Option<u8>,
    /// Absent: true.
    pub retain_available: Option<bool>,
    /// Absent: no limit. Zero is a protocol error and never comes out of the codec.
    pub maximum_packet_size: Option<u32>,
    /// Given when our own was empty.
    pub assigned_client_id: Option<String>,
    /// Absent: 0.
    pub topic_alias_maximum: Option<u16>,
    /// For people.
    pub reason_string: Option<String>,
    /// Absent: true.
    pub wildcard_available: Option<bool>,
    /// Absent: true.
    pub subscription_ids_available: Option<bool>,
    /// Absent: true.
    pub shared_available: Option<bool>,
    /// Seconds; replaces ours.
    pub server_keep_alive: Option<u16>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// Enhanced authentication.
    pub authentication_method: Option<String>,
    /// Never without a method.
    pub authentication_data: Option<AuthData>,
}

/// PUBLISH [3.3].
#[derive(Clone, PartialEq, Eq)]
pub struct PublishPacket {
    /// Perhaps sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// The topic. A topic alias never comes out of the codec: we announce none, so it is error 0x94.
    pub topic: TopicName,
    /// Packet identifier, 0 only for QoS 0.
    pub pid: u16,
    /// The content; a slice of the read buffer's frame, not a copy.
    pub payload: Bytes,
    /// MQTT 5 properties; `expiry_s` is sent as the message expiry interval, `subscription_ids` only by servers.
    pub props: Option<Box<Properties>>,
}

impl std::fmt::Debug for PublishPacket {
    /// Without the payload (P12).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publish")
            .field("pid", &self.pid)
            .field("qos", &self.qos)
            .field("dup", &self.dup)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP [3.4 to 3.7]. The reason is success in 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Packet identifier, never 0.
    pub pid: u16,
    /// Why.
    pub reason: ReasonCode,
}

impl Ack {
    /// A success.
    pub const fn ok(pid: u16) -> Self {
        Self { pid, reason: ReasonCode::Success }
    }
}

/// SUBSCRIBE for one filter [3.8].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet identifier.
    pub pid: u16,
    /// Filter, QoS, options, subscription identifier; 3.1.1 sends filter and QoS only.
    pub wish: Subscription,
}

/// SUBACK and UNSUBACK [3.9], [3.11].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// Packet identifier.
    pub pid: u16,
    /// One a filter; 3.1.1's 0x80 is unspecified error.
    pub reasons: Vec<ReasonCode>,
}

/// UNSUBSCRIBE for one filter [3.10].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet identifier.
    pub pid: u16,
    /// The filter.
    pub filter: crate::model::topic::TopicFilter,
}

/// DISCONNECT [3.14].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; success (normal disconnection) in 3.1.1.
    pub reason: ReasonCode,
    /// Client to server, MQTT 5: a changed session expiry interval, seconds.
    pub session_expiry: Option<u32>,
    /// Server to client: another server to use.
    pub server_reference: Option<String>,
    /// For people.
    pub reason_string: Option<String>,
}

impl Disconnect {
    /// With a reason and nothing else.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { reason, session_expiry: None, server_reference: None, reason_string: None }
    }
}

/// AUTH [3.15]. What it says for people is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// The method, if named.
    pub method: Option<String>,
    /// The method's data; never without a method.
    pub data: Option<AuthData>,
}
