//! What an app is told: states, fates, gaps, events, status.

use std::sync::Arc;

use super::consumer::Skipped;
use super::credentials::{CredentialsError, CredentialsEvent};
use super::message::{MessageId, QoS};
use super::reason::ReasonCode;
pub use super::status::{ConsumerStatus, OutboxDepth, Status, SubscriptionStatus};
use super::tls::TlsFailure;
use super::topic::TopicFilter;

pub use super::metrics::{LinkMetrics, Metrics, Storage};

/// What became of a message (P9). Asked by id, also after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Committed, not yet sent.
    Waiting,
    /// Sent, or about to be sent, and not yet finished.
    InFlight,
    /// QoS 0: handed to the network once.
    Sent,
    /// The broker has taken it.
    Delivered {
        /// The session was lost while it was unfinished: the broker may have it twice.
        maybe_twice: bool,
        /// The broker no longer knew it when it was released (PUBCOMP 0x92).
        maybe_lost: bool,
        /// Sent or acknowledged with a lower QoS, or without the retain flag.
        downgraded: bool,
    },
    /// The broker, or its announced limits, refused it.
    Refused(ReasonCode),
    /// Its time to live ran out before it was sent.
    Expired,
    /// Set aside, for the broker cannot take it; it may go out later, under the id that `Superseded` then names.
    Parked(ReasonCode),
    /// This newer message took its place before it was sent.
    Superseded(MessageId),
    /// The app took it back before it was sent.
    Cancelled,
    /// The outbox was at its limit, and the policy chose this one.
    Dropped,
    /// Finished, but nothing proves how.
    Unknown,
    /// So old that its record has been pruned.
    Forgotten,
    /// The id belongs to another store.
    OtherStore,
}

impl Fate {
    /// Delivered, nothing to remark.
    pub const DELIVERED: Self = Self::Delivered { maybe_twice: false, maybe_lost: false, downgraded: false };

    /// Whether this is an end: neither waiting nor in flight.
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting | Self::InFlight)
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// No connection could be made; the system's words.
    Unreachable(String),
    /// TLS could not be had, or the server ended it; the failure says what to do.
    Tls(TlsFailure),
    /// The WebSocket server refused our credentials before MQTT began; its words.
    Refused(String),
    /// The proxy refused the user name and password for itself, or wants some; which, and its words. They have nothing to do
    /// with the broker's.
    ProxyRefused(String),
    /// The link was cut by the other side or the network.
    Cut(String),
    /// The broker closed the link in order, without a word.
    Closed,
    /// Nothing was heard for one and a half keep alives.
    KeepAlive,
    /// The broker took no byte of what is to be sent, for half a minute or the keep alive, whichever is longer.
    WriteTimeout,
    /// No CONNACK came in time.
    ConnackTimeout,
    /// The broker refused the CONNECT or ended the link with this reason.
    Broker(ReasonCode),
    /// We closed because the broker broke the protocol; the reason we sent and what was wrong.
    Protocol(ReasonCode, String),
    /// The store could not commit; the store's words.
    Store(String),
    /// The inbox is full and nothing is done with.
    InboxFull,
    /// The app asked for it.
    Asked,
    /// Neither options nor store name a broker.
    NoBroker,
    /// The platform says that there is no network.
    NoNetwork,
    /// The platform says that the network has changed while an attempt was under way.
    NetworkChanged,
    /// There were no credentials, or an authentication exchange failed.
    Credentials(CredentialsError),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(text) => write!(f, "broker not reachable: {text}"),
            Self::Tls(failure) => write!(f, "TLS: {failure}"),
            Self::Refused(text) | Self::ProxyRefused(text) => write!(f, "credentials refused: {text}"),
            Self::Cut(text) => write!(f, "link cut: {text}"),
            Self::Closed => f.write_str("link cut: closed by the broker"),
            Self::KeepAlive => f.write_str("keep alive: nothing heard from the broker"),
            Self::WriteTimeout => f.write_str("write time-out: the broker takes no bytes"),
            Self::ConnackTimeout => f.write_str("no CONNACK in time"),
            Self::Broker(reason) => write!(f, "{reason}"),
            Self::Protocol(reason, text) => write!(f, "closed with {reason}: {text}"),
            Self::Store(text) => write!(f, "store: {text}"),
            Self::InboxFull => f.write_str("inbox full"),
            Self::Asked => f.write_str("asked for"),
            Self::NoBroker => f.write_str("no broker is known; name one"),
            Self::NoNetwork => f.write_str("no network"),
            Self::NetworkChanged => f.write_str("the network has changed"),
            Self::Credentials(error) => write!(f, "credentials: {error}"),
        }
    }
}

/// The state of the connection; conflated: only the newest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Not connected, and not wanted.
    Offline(Why),
    /// An attempt is under way.
    Connecting {
        /// Counts from 1 since the last connection.
        attempt: u32,
    },
    /// CONNACK came, and what follows from it is committed.
    Online {
        /// The broker still had our session [3.2.2.1.1].
        session_present: bool,
    },
    /// Waiting for the next attempt.
    Waiting {
        /// How long from the moment of this state, in milliseconds.
        retry_in_ms: u64,
        /// What ended the last attempt or link.
        why: Why,
    },
    /// Another client took the session over (0x8E); no attempt until `connect` is called.
    TakenOver,
    /// `pause` was called: no socket and no file is open until `resume` is.
    Paused,
}

/// Why messages may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// The broker had lost the session (P8).
    SessionLost,
    /// A message was larger than our maximum.
    TooLarge,
    /// QoS 0 messages were dropped because there was no room for them.
    Qos0Dropped,
    /// The inbox was at its limit, and the oldest messages had to go before every consumer was done with them.
    InboxOverflow,
    /// We were away for longer than the broker keeps messages.
    PossiblyDropped,
    /// The store is a copy of an earlier state: a backup that was restored, or a clone.
    Restored,
    /// The store's file was damaged, and not all of it could be read.
    StoreDamaged,
}

impl GapCause {
    /// The word used in the store, in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionLost => "session_lost",
            Self::TooLarge => "too_large",
            Self::Qos0Dropped => "qos0_dropped",
            Self::InboxOverflow => "inbox_overflow",
            Self::PossiblyDropped => "possibly_dropped",
            Self::Restored => "restored",
            Self::StoreDamaged => "store_damaged",
        }
    }
    /// The cause of a word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::SessionLost,
            Self::TooLarge,
            Self::Qos0Dropped,
            Self::InboxOverflow,
            Self::PossiblyDropped,
            Self::Restored,
            Self::StoreDamaged,
        ];
        all.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// A stretch of time in which messages may be missing. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Which subscriptions are concerned.
    pub filters: Vec<TopicFilter>,
    /// Why.
    pub cause: GapCause,
    /// The last moment at which all was well.
    pub from_ms: i64,
    /// The moment from which all is well again; None while it is open.
    pub to_ms: Option<i64>,
    /// The last message received before it.
    pub after_seq: u64,
    /// The size of what was too large, in bytes.
    pub bytes: Option<u64>,
}

/// Something that happened. Nothing of it is lost silently: a slow reader is told how many it missed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection's state changed.
    State(State),
    /// Messages came to their end, in this order.
    Settled(Arc<[(MessageId, Fate)]>),
    /// The broker had lost the session; subscriptions and waiting messages are being issued anew (P8). Unix milliseconds.
    SessionLost {
        /// When this was learnt.
        at_ms: i64,
    },
    /// A gap was closed: messages may be missing in it.
    Gap(Gap),
    /// A consumer was moved over messages that it was not done with: its lag policy, or the inbox's policy at its limit.
    Skipped {
        /// Its name.
        consumer: String,
        /// Which. [`Consumer::skipped`](crate::Consumer::skipped) has the sum of all.
        skipped: Skipped,
    },
    /// The broker grants this subscription: said at its SUBACK, and at every connect at which the grant still holds.
    Subscribed {
        /// Which.
        filter: TopicFilter,
        /// The granted QoS; may be lower than asked for.
        qos: QoS,
    },
    /// The broker has taken an UNSUBSCRIBE.
    Unsubscribed {
        /// Which.
        filter: TopicFilter,
    },
    /// The broker refused a subscription; it is tried again at the next connection.
    SubscribeRefused {
        /// Which.
        filter: TopicFilter,
        /// Why.
        reason: ReasonCode,
    },
    /// Credentials were refreshed, refused, or could not be had.
    Credentials(CredentialsEvent),
    /// Something that the app's developer should know, in words; never payloads or credentials.
    Warning {
        /// A stable word for it.
        code: &'static str,
        /// What, where, how to mend it.
        text: String,
    },
    /// This reader was too slow: so many events were dropped for it.
    Missed(u64),
}
