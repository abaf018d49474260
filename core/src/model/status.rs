//! Store and session at a glance.

use super::consumer::{Lag, Skipped};
use super::event::{Metrics, Storage};
use super::message::{QoS, StoreId};
use super::topic::TopicFilter;

/// Depth of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxDepth {
    /// Not yet sent.
    pub waiting: u64,
    /// Sent and unfinished.
    pub in_flight: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Set aside; neither waiting nor in flight.
    pub parked: u64,
}

/// A consumer at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// What it wants; empty: everything.
    pub filters: Vec<TopicFilter>,
    /// Everything up to here is done.
    pub cursor: u64,
    /// Messages after the cursor.
    pub behind: u64,
    /// How far it may fall behind.
    pub lag: Lag,
    /// All that it was moved over so far.
    pub skipped: Option<Skipped>,
}

/// A subscription at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// Which topics.
    pub filter: TopicFilter,
    /// Asked for.
    pub qos: QoS,
    /// Granted in the session we know of, as the broker last said (it may be asked again behind a CONNECT without an answer);
    /// None: not (yet).
    pub granted: Option<QoS>,
}

/// Store and session at a glance; exact at the moment of the read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The store's id.
    pub store_id: StoreId,
    /// The client identifier.
    pub client_id: String,
    /// The broker's address, without credentials.
    pub broker: Option<String>,
    /// `connecting`, `connected`, `waiting` or `disconnected` as the driver last wrote it; `not_driven` without a driver.
    pub connection: String,
    /// The schema's version.
    pub schema_version: u32,
    /// Whether the broker still had the session at the last connect; None: never connected.
    pub session_present: Option<bool>,
    /// The last CONNACK that accepted: Unix milliseconds.
    pub last_connect_ms: Option<i64>,
    /// The outbox.
    pub outbox: OutboxDepth,
    /// Messages in the inbox, done ones that retention still keeps included.
    pub inbox_messages: u64,
    /// Their bytes.
    pub inbox_bytes: u64,
    /// All consumers, by name.
    pub consumers: Vec<ConsumerStatus>,
    /// All subscriptions, by filter.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// Number of recorded gaps.
    pub gaps: u64,
    /// Whether there is room for more, as the driver last wrote it.
    pub storage: Storage,
    /// The store is a copy that was put back, and its outbox waits for the app's word.
    pub held: bool,
    /// Counters as the driver last wrote them, and when (Unix milliseconds).
    pub metrics: Option<(Metrics, i64)>,
}
