//! Messages as an app sees them, and the ids by which it speaks of them.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::topic::{TopicFilter, TopicName};

/// Quality of service [MQTT 5.0, 4.3].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum QoS {
    /// 0: sent once, never acknowledged.
    AtMostOnce = 0,
    /// 1: sent until acknowledged; may arrive twice.
    AtLeastOnce = 1,
    /// 2: arrives exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of a number, if it is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// 0, 1 or 2.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// 16 random bytes made when a store is created; ids and positions carry it, so that those of another store are noticed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}

/// The id of a published message: unique within its store for the store's whole life, rising in publish order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId {
    store: StoreId,
    n: u64,
}

impl MessageId {
    /// Puts an id together again, from the store's id and the number that [`MessageId::number`] gave.
    pub const fn new(store: StoreId, n: u64) -> Self {
        Self { store, n }
    }
    /// The store that gave the id.
    pub const fn store(&self) -> StoreId {
        self.store
    }
    /// The number within the store; fits a JSON number.
    pub const fn number(&self) -> u64 {
        self.n
    }
}

/// The place of a received message in its store's inbox. Record it with your own data for exactly once to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    store: StoreId,
    seq: u64,
}

impl Position {
    /// Puts a position together again, from the store's id and the sequence number.
    pub const fn new(store: StoreId, seq: u64) -> Self {
        Self { store, seq }
    }
    /// The store that the message stands in.
    pub const fn store(&self) -> StoreId {
        self.store
    }
    /// The sequence number: rises with arrival; holes are normal.
    pub const fn seq(&self) -> u64 {
        self.seq
    }
}

/// MQTT 5 properties of a message. All are carried end to end; 3.1.1 carries none of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Properties {
    /// The payload is UTF-8 text (payload format indicator 1) [3.3.2.3.2].
    pub payload_is_utf8: bool,
    /// MIME type or the like [3.3.2.3.9].
    pub content_type: Option<String>,
    /// Where an answer should go [3.3.2.3.5].
    pub response_topic: Option<TopicName>,
    /// Which request an answer belongs to [3.3.2.3.6].
    pub correlation_data: Option<Bytes>,
    /// Pairs of text, in order; a name may stand more than once [3.3.2.3.7].
    pub user: Vec<(String, String)>,
    /// Received messages: the identifiers of the subscriptions that matched [3.3.2.3.8]. Ignored when publishing.
    pub subscription_ids: Vec<u32>,
    /// Received messages: what was left of the message expiry interval at arrival, in seconds [3.3.2.3.3].
    /// Ignored when publishing: use [`Publish::ttl`].
    pub expiry_s: Option<u32>,
}

impl Properties {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do with a message whose QoS or retain flag the broker does not support [3.2.2.3.4], [3.2.2.3.5].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum IfUnsupported {
    /// The message ends with the verdict refused (default).
    #[default]
    Refuse,
    /// It is sent with the highest QoS the broker takes, or without the retain flag; the verdict says `downgraded`.
    Downgrade,
    /// It is set aside (`Fate::Parked`) until a broker takes it.
    Park,
}

/// Which of the two queues a message stands in. Each keeps its own order (P5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Lane {
    /// In publish order (default).
    #[default]
    Normal,
    /// Before every normal message that was not sent yet.
    Urgent,
}

/// A message to publish.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Publish {
    /// Where to.
    pub topic: TopicName,
    /// The content; at most `Options::max_payload` bytes.
    pub payload: Bytes,
    /// Default: at least once.
    pub qos: QoS,
    /// The broker keeps it as the topic's retained message.
    pub retain: bool,
    /// If it cannot be sent within this time it expires, and its verdict says so; what is left when it is sent goes on
    /// as the message expiry interval (MQTT 5). None: no limit. Counted in whole milliseconds, at least 1.
    pub ttl: Option<Duration>,
    /// What to do when the broker does not support its QoS or retain flag.
    pub if_unsupported: IfUnsupported,
    /// Which queue.
    pub lane: Lane,
    /// A later message with the same key takes the place of this one while it waits: `Fate::Superseded`. 1 to 255 bytes.
    pub supersede: Option<String>,
    /// Handing in the same key again within 7 days stores nothing and gives the id of the first message. 1 to 255 bytes.
    /// Each key costs a row of its own: for what must not be ordered twice, not for every reading.
    pub idempotency: Option<String>,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl Publish {
    /// A message with QoS 1, not retained, without a time limit.
    pub fn new(topic: TopicName, payload: impl Into<Bytes>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            ttl: None,
            if_unsupported: IfUnsupported::default(),
            lane: Lane::default(),
            supersede: None,
            idempotency: None,
            properties: Properties::default(),
        }
    }
    /// With this quality of service.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }
    /// Retained or not.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }
    /// With a time limit.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
    /// In this queue.
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }
    /// Taking the place of waiting messages with the same key.
    #[must_use]
    pub fn supersede(mut self, key: impl Into<String>) -> Self {
        self.supersede = Some(key.into());
        self
    }
    /// Accepted once, however often it is handed in with this key.
    #[must_use]
    pub fn idempotency(mut self, key: impl Into<String>) -> Self {
        self.idempotency = Some(key.into());
        self
    }
    /// With MQTT 5 properties.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }
}

impl fmt::Debug for Publish {
    /// Without the payload (P12).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("bytes", &self.payload.len())
            .field("qos", &self.qos)
            .finish_non_exhaustive()
    }
}

/// A received message, as it stands in the inbox.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its place; hand it to `done`.
    pub at: Position,
    /// The topic it came on.
    pub topic: TopicName,
    /// The content.
    pub payload: Bytes,
    /// The QoS it was delivered with.
    pub qos: QoS,
    /// The broker sent it as a retained message.
    pub retained: bool,
    /// A retained message that says again what the topic's last value says already.
    pub replay: bool,
    /// The broker marked it as perhaps delivered before (DUP); a hint only.
    pub dup: bool,
    /// When it was stored: Unix time in milliseconds, by the wall clock of that moment.
    pub received_ms: i64,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl fmt::Debug for Message {
    /// Without the payload (P12).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("at", &self.at)
            .field("topic", &self.topic)
            .field("bytes", &self.payload.len())
            .field("qos", &self.qos)
            .finish_non_exhaustive()
    }
}

/// Which retained messages the broker sends when a subscription is made [3.8.3.1]. MQTT 5 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    Always = 0,
    /// Only if the subscription did not exist yet (default: a repeated SUBSCRIBE brings no doubles).
    #[default]
    IfNew = 1,
    /// Never.
    Never = 2,
}

/// A durable wish to receive: kept in the store and made again whenever the broker has lost it (P8).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Subscription {
    /// Which topics.
    pub filter: TopicFilter,
    /// The highest QoS wanted.
    pub qos: QoS,
    /// Do not send back what this client published [3.8.3.1]; forbidden for shared subscriptions [MQTT-3.8.3-4].
    pub no_local: bool,
    /// Keep the retain flag as it was published [3.8.3.1].
    pub retain_as_published: bool,
    /// Retained messages at subscribe.
    pub retain_handling: RetainHandling,
    /// Comes back with each message that matched, 1 to 268,435,455 [3.8.2.1.2].
    pub id: Option<NonZeroU32>,
}

impl Subscription {
    /// A wish with the defaults of MQTT 5.
    pub fn new(filter: TopicFilter, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::default(),
            id: None,
        }
    }
}
