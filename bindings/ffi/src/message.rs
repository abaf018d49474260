//! Messages and wishes as they cross.

use std::num::NonZeroU32;
use std::time::Duration;

use homing::{Message, Properties, Publish, QoS, Subscription, TopicFilter, TopicName};

use crate::error::{FfiError, Result};
use crate::payload::Payload;

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum QosLevel {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2.
    ExactlyOnce,
}

impl From<QosLevel> for QoS {
    fn from(qos: QosLevel) -> Self {
        match qos {
            QosLevel::AtMostOnce => Self::AtMostOnce,
            QosLevel::AtLeastOnce => Self::AtLeastOnce,
            QosLevel::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

impl From<QoS> for QosLevel {
    fn from(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::AtMostOnce,
            QoS::AtLeastOnce => Self::AtLeastOnce,
            QoS::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

/// Which of the two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Lane {
    /// The usual one.
    Normal,
    /// Goes first.
    Urgent,
}

/// What becomes of a message that the broker does not support as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum IfUnsupported {
    /// Its end is the verdict refused.
    Refuse,
    /// It goes with less.
    Downgrade,
    /// It waits aside.
    Park,
}

/// Name and value.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct UserProperty {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// MQTT 5 properties.
#[derive(Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct MessageProperties {
    /// The payload is UTF-8 text.
    pub payload_is_utf8: bool,
    /// Content type.
    pub content_type: Option<String>,
    /// Response topic.
    pub response_topic: Option<String>,
    /// Correlation data.
    pub correlation_data: Option<Vec<u8>>,
    /// User properties.
    pub user: Vec<UserProperty>,
    /// Received messages: the identifiers of the subscriptions that they match.
    pub subscription_ids: Vec<u32>,
    /// Received messages: the expiry interval in seconds.
    pub expiry_s: Option<u32>,
}

impl MessageProperties {
    fn translate(self) -> Result<Properties> {
        let mut properties = Properties::default();
        properties.payload_is_utf8 = self.payload_is_utf8;
        properties.content_type = self.content_type;
        properties.response_topic = self.response_topic.map(TopicName::new).transpose()?;
        properties.correlation_data = self.correlation_data.map(Into::into);
        properties.user = self.user.into_iter().map(|property| (property.name, property.value)).collect();
        Ok(properties)
    }

    fn of(properties: Properties) -> Self {
        Self {
            payload_is_utf8: properties.payload_is_utf8,
            content_type: properties.content_type,
            response_topic: properties.response_topic.map(String::from),
            correlation_data: properties.correlation_data.map(|data| data.to_vec()),
            user: properties.user.into_iter().map(|(name, value)| UserProperty { name, value }).collect(),
            subscription_ids: properties.subscription_ids,
            expiry_s: properties.expiry_s,
        }
    }
}

/// A message to be published.
#[derive(Clone, uniffi::Record)]
pub struct Outgoing {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Payload,
    /// Quality of service.
    pub qos: QosLevel,
    /// Retained.
    pub retain: bool,
    /// Time to live in milliseconds.
    pub ttl_ms: Option<i64>,
    /// What to do about a broker that does not support it.
    pub if_unsupported: IfUnsupported,
    /// Which queue.
    pub lane: Lane,
    /// Supersede key.
    pub supersede: Option<String>,
    /// Idempotency key.
    pub idempotency: Option<String>,
    /// MQTT 5 properties; None: none.
    pub properties: Option<MessageProperties>,
}

impl Outgoing {
    pub(crate) fn translate(self) -> Result<Publish> {
        let mut message =
            Publish::new(TopicName::new(self.topic)?, self.payload.0).qos(self.qos.into()).retain(self.retain);
        message.ttl = self.ttl_ms.map(|ms| duration("ttl", ms)).transpose()?;
        message.if_unsupported = match self.if_unsupported {
            IfUnsupported::Refuse => homing::IfUnsupported::Refuse,
            IfUnsupported::Downgrade => homing::IfUnsupported::Downgrade,
            IfUnsupported::Park => homing::IfUnsupported::Park,
        };
        message.lane = match self.lane {
            Lane::Normal => homing::Lane::Normal,
            Lane::Urgent => homing::Lane::Urgent,
        };
        message.supersede = self.supersede;
        message.idempotency = self.idempotency;
        message.properties = self.properties.map_or_else(|| Ok(Properties::default()), MessageProperties::translate)?;
        Ok(message)
    }
}

/// A received message.
#[derive(Clone, uniffi::Record)]
pub struct ReceivedMessage {
    /// Its position in the inbox of the store that it was read from.
    pub seq: u64,
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Payload,
    /// Quality of service.
    pub qos: QosLevel,
    /// It was retained.
    pub retained: bool,
    /// A retained one that was known already.
    pub replay: bool,
    /// The broker may have sent it before.
    pub dup: bool,
    /// When it was received: Unix milliseconds.
    pub received_ms: i64,
    /// MQTT 5 properties; None: none.
    pub properties: Option<MessageProperties>,
}

impl From<Message> for ReceivedMessage {
    fn from(message: Message) -> Self {
        Self {
            seq: message.at.seq(),
            topic: message.topic.into(),
            payload: Payload(message.payload),
            qos: message.qos.into(),
            retained: message.retained,
            replay: message.replay,
            dup: message.dup,
            received_ms: message.received_ms,
            properties: (!message.properties.is_empty()).then(|| MessageProperties::of(message.properties)),
        }
    }
}

/// When the broker sends retained messages for a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum RetainHandling {
    /// Each time that it is made.
    Always,
    /// Only if it is new.
    IfNew,
    /// Not at all.
    Never,
}

/// A subscription that an app wishes.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Wish {
    /// Topic filter.
    pub filter: String,
    /// Quality of service asked for.
    pub qos: QosLevel,
    /// Not what this client published.
    pub no_local: bool,
    /// Keep the retain flag.
    pub retain_as_published: bool,
    /// Retained messages.
    pub retain_handling: RetainHandling,
    /// Subscription identifier; None: none.
    pub id: Option<u32>,
}

impl Wish {
    pub(crate) fn translate(self) -> Result<Subscription> {
        let mut wish = Subscription::new(filter(self.filter)?, self.qos.into());
        wish.no_local = self.no_local;
        wish.retain_as_published = self.retain_as_published;
        wish.retain_handling = match self.retain_handling {
            RetainHandling::Always => homing::RetainHandling::Always,
            RetainHandling::IfNew => homing::RetainHandling::IfNew,
            RetainHandling::Never => homing::RetainHandling::Never,
        };
        let zero = || FfiError::invalid("subscription identifier 0: 1 to 268435455 are taken");
        wish.id = self.id.map(|id| NonZeroU32::new(id).ok_or_else(zero)).transpose()?;
        Ok(wish)
    }
}

pub(crate) fn filter(text: String) -> Result<TopicFilter> {
    Ok(TopicFilter::new(text)?)
}

pub(crate) fn filters(texts: Vec<String>) -> Result<Vec<TopicFilter>> {
    texts.into_iter().map(filter).collect()
}

/// A time that an app gave.
pub(crate) fn duration(what: &str, ms: i64) -> Result<Duration> {
    let ms = u64::try_from(ms).map_err(|_| FfiError::invalid(format!("{what}: {ms} ms is negative")))?;
    Ok(Duration::from_millis(ms))
}
