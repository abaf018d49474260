//! Store and session at a glance, as they cross.

use homing::{Metrics, Status, Storage};

use crate::consumer::LagPolicy;
use crate::message::QosLevel;

/// Whether the store takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum StorageState {
    /// Yes.
    Ok,
    /// The disk is full.
    Full,
    /// A reader holds the write-ahead log at its bound.
    Reader,
}

impl From<Storage> for StorageState {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::Full => Self::Full,
            Storage::Reader => Self::Reader,
            _ => Self::Ok,
        }
    }
}

/// Counters since the client was opened.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Counters {
    /// Commits.
    pub commits: u64,
    /// Messages accepted.
    pub published: u64,
    /// Messages stored in the inbox.
    pub received: u64,
    /// PUBLISH packets sent.
    pub sent: u64,
    /// Of them again.
    pub resent: u64,
    /// Messages that came to their end.
    pub settled: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Connections tried.
    pub link_attempts: u64,
    /// Connections accepted.
    pub connects: u64,
    /// Messages in the outbox now.
    pub outbox_messages: u64,
    /// Messages in the inbox now.
    pub inbox_messages: u64,
    /// Whether the store takes more.
    pub storage: StorageState,
}

impl From<Metrics> for Counters {
    fn from(metrics: Metrics) -> Self {
        Self {
            commits: metrics.commits,
            published: metrics.published,
            received: metrics.received,
            sent: metrics.sent,
            resent: metrics.resent,
            settled: metrics.settled,
            bytes_out: metrics.bytes_out,
            bytes_in: metrics.bytes_in,
            link_attempts: metrics.link_attempts,
            connects: metrics.connects,
            outbox_messages: metrics.outbox_messages,
            inbox_messages: metrics.inbox_messages,
            storage: metrics.storage.into(),
        }
    }
}

/// A durable consumer.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// What it wants; empty: every message.
    pub filters: Vec<String>,
    /// Done with everything through this position.
    pub cursor: u64,
    /// Messages that it is not done with.
    pub behind: u64,
    /// What happens when it falls behind.
    pub lag: LagPolicy,
    /// Messages that it was moved over before it was done with them, ever.
    pub skipped: u64,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SubscriptionInfo {
    /// Which.
    pub filter: String,
    /// Asked for.
    pub qos: QosLevel,
    /// Granted; None: not yet.
    pub granted: Option<QosLevel>,
}

/// Store and session.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct StoreStatus {
    /// The store's id.
    pub store: String,
    /// MQTT client id.
    pub client_id: String,
    /// The broker that the session is with.
    pub broker: Option<String>,
    /// The connection in a word.
    pub connection: String,
    /// The last CONNACK's session present.
    pub session_present: Option<bool>,
    /// When the last connection was made: Unix milliseconds.
    pub last_connect_ms: Option<i64>,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages in flight.
    pub in_flight: u64,
    /// Messages set aside.
    pub parked: u64,
    /// Bytes of the outbox.
    pub outbox_bytes: u64,
    /// Messages in the inbox.
    pub inbox_messages: u64,
    /// Bytes of the inbox.
    pub inbox_bytes: u64,
    /// Durable consumers.
    pub consumers: Vec<ConsumerInfo>,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionInfo>,
    /// Number of gaps.
    pub gaps: u64,
    /// Whether the store takes more.
    pub storage: StorageState,
    /// A copy that was put back: the outbox waits for the app's word.
    pub held: bool,
}

impl From<Status> for StoreStatus {
    fn from(status: Status) -> Self {
        let consumer = |consumer: homing::ConsumerStatus| ConsumerInfo {
            name: consumer.name,
            filters: consumer.filters.into_iter().map(String::from).collect(),
            cursor: consumer.cursor,
            behind: consumer.behind,
            lag: consumer.lag.into(),
            skipped: consumer.skipped.map_or(0, |skipped| skipped.messages),
        };
        let subscription = |subscription: homing::SubscriptionStatus| SubscriptionInfo {
            filter: subscription.filter.into(),
            qos: subscription.qos.into(),
            granted: subscription.granted.map(Into::into),
        };
        Self {
            store: status.store_id.to_string(),
            client_id: status.client_id,
            broker: status.broker,
            connection: status.connection,
            session_present: status.session_present,
            last_connect_ms: status.last_connect_ms,
            waiting: status.outbox.waiting,
            in_flight: status.outbox.in_flight,
            parked: status.outbox.parked,
            outbox_bytes: status.outbox.bytes,
            inbox_messages: status.inbox_messages,
            inbox_bytes: status.inbox_bytes,
            consumers: status.consumers.into_iter().map(consumer).collect(),
            subscriptions: status.subscriptions.into_iter().map(subscription).collect(),
            gaps: status.gaps,
            storage: status.storage.into(),
            held: status.held,
        }
    }
}
