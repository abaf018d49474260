//! What each service takes. A static lower bound of what a CONNACK would say, for services that say nothing and cut the link.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use crate::model::message::QoS;

/// Limits of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceLimits {
    /// The highest QoS, of messages, subscriptions and the will.
    pub max_qos: QoS,
    /// Retained messages are kept.
    pub retain: bool,
    /// CONNECT may carry a will.
    pub will: bool,
    /// The largest payload, in bytes.
    pub max_payload: usize,
    /// The longest topic name or filter, in bytes. What stands before the topic proper does not count, here and for the
    /// slashes: `$share/NAME/`, and for AWS `$aws/rules/NAME/`.
    pub max_topic: usize,
    /// The most slashes in a topic name or filter.
    pub max_slashes: usize,
    /// The longest client identifier, in bytes.
    pub max_client_id: usize,
    /// The keep alives that are taken, shortest and longest, in seconds; a shortest of 0 allows to turn it off.
    pub keep_alive_s: (u16, u16),
    /// The longest session expiry; a longer wish is lowered to it.
    pub session_expiry: Option<Duration>,
    /// PUBLISH packets that a client may send in a second; what is more waits in the outbox.
    pub publishes_per_second: Option<NonZeroU16>,
    /// Bytes of payload that a client may send in a second; what is more waits too.
    pub bytes_per_second: Option<NonZeroU32>,
    /// The most unacknowledged QoS 1 messages of a client.
    pub max_inflight: u16,
    /// The shortest time between two CONNECTs of a client.
    pub connect_every: Duration,
    /// How long messages are kept for a client that is away, if for less long than its session.
    pub keeps: Option<Duration>,
    /// How many messages are kept for a client that is away.
    pub keeps_messages: Option<u32>,
}

impl ServiceLimits {
    /// The distance to keep between two CONNECTs as we send them: services count from arrival to arrival.
    pub(crate) const fn connect_distance(&self) -> Duration {
        match self.connect_every.is_zero() {
            true => Duration::ZERO,
            false => self.connect_every.saturating_add(Duration::from_millis(100)),
        }
    }

    /// What is wrong with a topic name or filter for this service; None: nothing.
    pub(crate) fn topic_problem(&self, topic: &str) -> Option<String> {
        let (topic, longest) = (counted(topic), self.max_topic);
        let (bytes, slashes) = (topic.len(), topic.bytes().filter(|byte| *byte == b'/').count());
        if bytes > longest {
            return Some(format!("takes topics of at most {longest} bytes; this one has {bytes}"));
        }
        let most = self.max_slashes;
        (slashes > most).then(|| format!("takes topics with at most {most} slashes; this one has {slashes}"))
    }

    pub(super) const NONE: Self = Self {
        max_qos: QoS::ExactlyOnce,
        retain: true,
        will: true,
        max_payload: usize::MAX,
        max_topic: usize::MAX,
        max_slashes: usize::MAX,
        max_client_id: usize::MAX,
        keep_alive_s: (0, u16::MAX),
        session_expiry: None,
        publishes_per_second: None,
        bytes_per_second: None,
        max_inflight: u16::MAX,
        connect_every: Duration::ZERO,
        keeps: None,
        keeps_messages: None,
    };

    pub(super) const TENCENT: Self = Self {
        max_qos: QoS::AtLeastOnce,
        retain: false,
        will: false,
        max_payload: 16 << 10,
        max_topic: 255,
        keep_alive_s: (0, 900),
        publishes_per_second: NonZeroU16::new(30),
        connect_every: Duration::from_secs(5),
        keeps: Some(Duration::from_secs(24 * 3600)),
        keeps_messages: Some(150),
        ..Self::NONE
    };

    // What is over the pace is thrown away without a PUBACK, what is over a size costs the link.
    pub(super) const AWS: Self = Self {
        max_qos: QoS::AtLeastOnce,
        max_payload: 128 << 10,
        max_topic: 256,
        max_slashes: 7,
        max_client_id: 128,
        keep_alive_s: (30, 1_200),
        publishes_per_second: NonZeroU16::new(100),
        bytes_per_second: NonZeroU32::new(512 << 10),
        max_inflight: 100,
        connect_every: Duration::from_secs(1),
        ..Self::NONE
    };

    // A keep alive of 0 is longer than any.
    pub(super) const AZURE_IOT_HUB: Self = Self {
        max_qos: QoS::AtLeastOnce,
        retain: false,
        max_payload: 256 << 10,
        keep_alive_s: (1, 1_177),
        ..Self::NONE
    };

    // The rest its CONNACK says, for it is MQTT 5.
    pub(super) const AZURE_EVENT_GRID: Self =
        Self { max_qos: QoS::AtLeastOnce, session_expiry: Some(Duration::from_secs(8 * 3600)), ..Self::NONE };
}

/// Without what services do not count.
fn counted(topic: &str) -> &str {
    let named = |prefix: &str, topic| {
        let (name, rest) = str::strip_prefix(topic, prefix)?.split_once('/')?;
        (!name.is_empty() && !rest.is_empty() && !name.contains(['+', '#'])).then_some(rest)
    };
    let topic = named("$share/", topic).unwrap_or(topic);
    named("$aws/rules/", topic).unwrap_or(topic)
}
