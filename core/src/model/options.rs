//! What an app chooses: broker, session, limits, durability. Checked when a client is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::broker_url::BrokerUrl;
use super::credentials::CredentialsSource;
use super::error::Error;
use super::glance::Glance;
use super::http_header::HttpHeader;
#[cfg(feature = "encryption")]
use super::key::KeyProvider;
use super::message::Publish;
use super::profile::Profile;
use super::proxy::Proxy;
use super::tls::TlsOptions;
use super::topic::{ClientId, TopicFilter};
use super::transport::Transport;

/// Which version of MQTT to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Version {
    /// 5 first; 3.1.1 if the broker says that it does not know 5. Decided once per broker, and stored (default).
    #[default]
    Auto,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Durability {
    /// When it would survive a power cut: one sync to the drive a turn (default).
    #[default]
    PowerLoss,
    /// When it would survive the death of the process; a power cut may lose the last commits, a kill never does.
    ProcessKill,
}

/// What to do when the broker already holds a session of this client id that this store does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ForeignSession {
    /// End it and begin our own (default): its packet identifiers are not ours, and a shared one would swallow a message.
    #[default]
    Discard,
    /// Take it over, with the messages that the broker still holds for it.
    Adopt,
}

/// The message that the broker publishes when this client is gone without a DISCONNECT [3.1.2.5].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Will {
    /// Topic, payload, QoS, retain, properties; its `ttl` becomes the message expiry interval.
    pub message: Publish,
    /// How long the broker waits before it publishes [3.1.3.2.2]; MQTT 5 only, whole seconds.
    pub delay: Duration,
}

impl Will {
    /// A will that is published at once.
    pub fn new(message: Publish) -> Self {
        Self { message, delay: Duration::ZERO }
    }
}

/// What to do when the inbox is at its limit and every message in it is still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum InboxFull {
    /// Acknowledgements are withheld: the broker keeps the rest, and the link goes on pinging (default). QoS 0 messages,
    /// which no broker keeps, are dropped, and a gap says so.
    #[default]
    Pause,
    /// The oldest messages go although consumers are not done with them; a gap `inbox_overflow` says so, and each
    /// consumer is told what it was moved over.
    DropOldest,
}

/// What `publish` does when the outbox is at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OutboxFull {
    /// `PublishError::LimitReached` (default).
    #[default]
    Refuse,
    /// The oldest waiting messages that were never sent make room, normal ones before urgent ones: `Fate::Dropped`. If
    /// nothing may go, or the message alone is over the limit, it is refused.
    DropOldest,
    /// The new message gets an id and the verdict `Fate::Dropped` at once.
    DropNewest,
}

/// What `publish` does with a QoS 0 message while there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Qos0Offline {
    /// It waits like any other (default).
    #[default]
    Queue,
    /// `PublishError::Offline`.
    Refuse,
    /// It gets an id and the verdict `Fate::Dropped` at once.
    Drop,
}

/// A queue's limit; whichever is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Number of messages.
    pub messages: u64,
    /// Their size in bytes: topic, payload and properties.
    pub bytes: u64,
}

/// Names one installation of the app: 1 to 64 bytes that the app makes at random once, and keeps where backups do not
/// reach (see `docs/backup.md`). A store that was driven under another one is a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceToken(Vec<u8>);

impl DeviceToken {
    /// Checks the length.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty one, or one over 64 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        match bytes.len() {
            1..=64 => Ok(Self(bytes)),
            other => Err(Error::Invalid { what: "device token", problem: format!("{other} bytes; 1 to 64 are taken") }),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(redacted)")
    }
}

/// Everything a client is opened with. Start from [`Options::new`] and set what differs.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The store's file. Its folder is made if missing. Beside it stand `-wal`, `-shm`, `-lock`, on Unix the
    /// socket `-wake`, and `-glance` if asked for.
    pub store: PathBuf,
    /// The broker; None: the one the store knows (without one the client stays offline).
    pub broker: Option<BrokerUrl>,
    /// More addresses of the same broker (at home, away), tried in this order when `broker` does not answer; at most 15, none
    /// twice. User name and password in an address are for that address alone. The list, `broker` included, is the broker's
    /// identity: a list that shares an address with the one in the store is the same broker, and the session goes on; a list
    /// that shares none is another broker, and the session is given up with a gap (see `docs/addresses.md`).
    pub other_addresses: Vec<BrokerUrl>,
    /// The app's word that the broker is the one that the store knows although no address is the same (it has moved); default
    /// false.
    pub same_broker: bool,
    /// None: the store's own; a new store makes a random one. An existing store with another one is refused.
    pub client_id: Option<ClientId>,
    /// Trust, certificate, pins and so on, for `mqtts://` and `wss://`; default: the platform's trust.
    pub tls: TlsOptions,
    /// For every CONNECT: [`Credentials`](crate::Credentials), or a [`CredentialsProvider`](crate::CredentialsProvider) that
    /// makes them; but not for addresses that hold a user name of their own.
    pub credentials: Option<CredentialsSource>,
    /// The service that the broker belongs to; default: generic. It computes the credentials, knows the limits and keeps
    /// the pace of a cloud service (docs/clouds.md).
    pub profile: Profile,
    /// How the broker is reached; default: straight.
    pub proxy: Proxy,
    /// Further headers of the WebSocket request, for `ws://` and `wss://`; default: none.
    pub websocket_headers: Vec<HttpHeader>,
    /// Makes the byte stream in place of TCP and of a proxy; default: none.
    pub transport: Option<Arc<dyn Transport>>,
    /// The MQTT version.
    pub version: Version,
    /// Default 60 s; zero turns it off; at most 65,535 s. A server keep alive replaces it [3.2.2.3.14].
    pub keep_alive: Duration,
    /// How long the broker should keep the session while we are away (MQTT 5); default 7 days. Zero: a non-persistent
    /// session, in MQTT 3.1.1 too (clean session). 3.1.1 has no number for it: the broker's own limit holds.
    pub session_expiry: Duration,
    /// Default: power loss.
    pub durability: Durability,
    /// Our own bound of unfinished outgoing QoS 1 and 2 messages; default 1,000; the broker's receive maximum counts too.
    pub inflight: u16,
    /// MQTT 3.1.1: our bound of unfinished outgoing QoS 2 messages; default 20, for mosquitto cuts the link at its 21st.
    pub inflight_qos2: u16,
    /// How many unacknowledged QoS 1 and 2 messages the broker may send us (MQTT 5 receive maximum); default 1,024.
    pub receive_maximum: u16,
    /// The largest packet we take (MQTT 5 maximum packet size), in bytes; default 16 MiB.
    pub max_packet: u32,
    /// The largest payload that `publish` takes, in bytes; default 16 MiB.
    pub max_payload: usize,
    /// Default: 2,000,000 messages, 1 GiB, parked ones included. Not below what the store holds already.
    pub outbox_limit: Limit,
    /// What happens at that limit; default: `publish` is refused.
    pub outbox_full: OutboxFull,
    /// QoS 0 without a connection; default: it waits.
    pub qos0_offline: Qos0Offline,
    /// Default: 2,000,000 messages, 1 GiB; at the limit done messages go first, then `inbox_full` says. Not below what the
    /// store holds already.
    pub inbox_limit: Limit,
    /// At the inbox's limit; default: pause.
    pub inbox_full: InboxFull,
    /// How long the broker keeps messages for a client that is away, if less than the session expiry: then a longer
    /// absence is a gap `possibly_dropped`. None (default): as long as the session.
    pub broker_keeps: Option<Duration>,
    /// Messages that every consumer is done with leave the inbox so long after they were received; default 30 days.
    pub retention: Duration,
    /// What to do with a session that is not ours.
    pub foreign_session: ForeignSession,
    /// The will, if any.
    pub will: Option<Will>,
    /// Bounds of the time between two attempts to connect; default 0.5 s to 120 s.
    pub retry: (Duration, Duration),
    /// The shortest time between two CONNECTs, whatever asks for the second one: a retry, another address, a redirect, the
    /// app; at most an hour; default zero. Across restarts it is held against the last CONNECT that the store knows of: one
    /// that was accepted, or that is unanswered though the session was ours; refused ones leave no trace there.
    pub connect_pace: Duration,
    /// The name of the first consumer made with a new store; default `default`.
    pub first_consumer: String,
    /// What it wants; empty (default): everything.
    pub first_consumer_filters: Vec<TopicFilter>,
    /// The key of an encrypted store, asked for at each opening; default: none, the store is plain.
    #[cfg(feature = "encryption")]
    pub key: Option<KeyProvider>,
    /// Tells a copy of the store on another device from the store itself; default: none, nothing is compared. A store that
    /// has none yet takes it.
    pub device_token: Option<DeviceToken>,
    /// A file with last values for widgets; default: none.
    pub glance: Option<Glance>,
    /// The wanted connection at the start: true (default) connects at once.
    pub connect: bool,
}

impl Options {
    /// The defaults, for a store file.
    pub fn new(store: impl Into<PathBuf>) -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            store: store.into(),
            broker: None,
            proxy: Proxy::default(),
            websocket_headers: Vec::new(),
            transport: None,
            other_addresses: Vec::new(),
            same_broker: false,
            client_id: None,
            tls: TlsOptions::default(),
            credentials: None,
            profile: Profile::default(),
            version: Version::default(),
            keep_alive: Duration::from_secs(60),
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            durability: Durability::default(),
            inflight: 1000,
            inflight_qos2: 20,
            receive_maximum: 1024,
            max_packet: 16 << 20,
            max_payload: 16 << 20,
            outbox_limit: Limit { messages: 2_000_000, bytes: GIB },
            outbox_full: OutboxFull::default(),
            qos0_offline: Qos0Offline::default(),
            inbox_limit: Limit { messages: 2_000_000, bytes: GIB },
            inbox_full: InboxFull::default(),
            broker_keeps: None,
            retention: Duration::from_secs(30 * 24 * 3600),
            foreign_session: ForeignSession::default(),
            will: None,
            retry: (Duration::from_millis(500), Duration::from_secs(120)),
            connect_pace: Duration::ZERO,
            first_consumer: "default".to_owned(),
            first_consumer_filters: Vec::new(),
            #[cfg(feature = "encryption")]
            key: None,
            device_token: None,
            glance: None,
            connect: true,
        }
    }
}

impl fmt::Debug for Options {
    /// Names the store only: everything else may lead to credentials or payloads (P12).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("store", &self.store).finish_non_exhaustive()
    }
}
