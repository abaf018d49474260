//! States of the link and fates of messages as they cross.

use homing::{Cancel, Fate, ReasonCode, State, Why};

/// A reason code of MQTT 5 [2.4].
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Reason {
    /// The number.
    pub code: u8,
    /// Its name in words.
    pub text: String,
}

impl From<ReasonCode> for Reason {
    fn from(reason: ReasonCode) -> Self {
        Self { code: reason.code(), text: reason.text().to_owned() }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum TroubleKind {
    /// The broker could not be reached.
    Unreachable,
    /// TLS failed.
    Tls,
    /// The WebSocket server refused the credentials.
    Refused,
    /// The proxy refused its own credentials, or wants some.
    ProxyRefused,
    /// The link broke.
    Cut,
    /// The broker closed the link.
    ClosedByBroker,
    /// Nothing was heard for the keep alive.
    KeepAlive,
    /// The broker took no bytes.
    WriteTimeout,
    /// No CONNACK in time.
    ConnackTimeout,
    /// The broker refused, or said goodbye, with a reason code.
    Broker,
    /// Somebody broke the protocol.
    Protocol,
    /// The store.
    Store,
    /// The inbox is full.
    InboxFull,
    /// The app asked for it.
    Asked,
    /// No broker is known.
    NoBroker,
    /// The platform said that there is no network.
    NoNetwork,
    /// The network has changed.
    NetworkChanged,
    /// Credentials could not be had.
    Credentials,
    /// Something else; see the text.
    Other,
}

/// Why there is no connection, for code and for people.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// In words.
    pub text: String,
    /// The broker's word, if there is one.
    pub reason: Option<Reason>,
}

impl From<Why> for Trouble {
    fn from(why: Why) -> Self {
        let text = why.to_string();
        let (kind, reason) = match why {
            Why::Unreachable(_) => (TroubleKind::Unreachable, None),
            Why::Tls(_) => (TroubleKind::Tls, None),
            Why::Refused(_) => (TroubleKind::Refused, None),
            Why::ProxyRefused(_) => (TroubleKind::ProxyRefused, None),
            Why::Cut(_) => (TroubleKind::Cut, None),
            Why::Closed => (TroubleKind::ClosedByBroker, None),
            Why::KeepAlive => (TroubleKind::KeepAlive, None),
            Why::WriteTimeout => (TroubleKind::WriteTimeout, None),
            Why::ConnackTimeout => (TroubleKind::ConnackTimeout, None),
            Why::Broker(reason) => (TroubleKind::Broker, Some(reason)),
            Why::Protocol(reason, _) => (TroubleKind::Protocol, Some(reason)),
            Why::Store(_) => (TroubleKind::Store, None),
            Why::InboxFull => (TroubleKind::InboxFull, None),
            Why::Asked => (TroubleKind::Asked, None),
            Why::NoBroker => (TroubleKind::NoBroker, None),
            Why::NoNetwork => (TroubleKind::NoNetwork, None),
            Why::NetworkChanged => (TroubleKind::NetworkChanged, None),
            Why::Credentials(_) => (TroubleKind::Credentials, None),
            _ => (TroubleKind::Other, None),
        };
        Self { kind, text, reason: reason.map(Reason::from) }
    }
}

/// State of the connection.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum LinkState {
    /// Not connected, and not trying.
    Offline {
        /// Why.
        why: Trouble,
    },
    /// Connecting.
    Connecting {
        /// From 1.
        attempt: u32,
    },
    /// Connected.
    Online {
        /// The broker knew the session.
        session_present: bool,
    },
    /// Waiting before the next attempt.
    Waiting {
        /// How long.
        retry_in_ms: u64,
        /// Why.
        why: Trouble,
    },
    /// Another client has the session.
    TakenOver,
    /// Paused.
    Paused,
}

impl From<State> for LinkState {
    fn from(state: State) -> Self {
        match state {
            State::Offline(why) => Self::Offline { why: why.into() },
            State::Connecting { attempt } => Self::Connecting { attempt },
            State::Online { session_present } => Self::Online { session_present },
            State::Waiting { retry_in_ms, why } => Self::Waiting { retry_in_ms, why: why.into() },
            State::TakenOver => Self::TakenOver,
            State::Paused => Self::Paused,
            // A state that this crate does not know yet is none in which messages move.
            other => {
                Self::Offline { why: Trouble { kind: TroubleKind::Other, text: format!("{other:?}"), reason: None } }
            }
        }
    }
}

/// What became of a message (P9).
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum MessageFate {
    /// Stored, not sent.
    Waiting,
    /// Sent, not acknowledged.
    InFlight,
    /// QoS 0: handed to the network.
    Sent,
    /// Acknowledged by the broker.
    Delivered {
        /// The broker may have it twice.
        maybe_twice: bool,
        /// The broker may have lost it.
        maybe_lost: bool,
        /// It went with less than was asked for.
        downgraded: bool,
    },
    /// Refused.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// Its time to live ended before it was sent.
    Expired,
    /// Set aside.
    Parked {
        /// Why.
        reason: Reason,
    },
    /// A newer message with the same supersede key took its place.
    Superseded {
        /// That one's number, of the same store.
        by: u64,
    },
    /// Cancelled by the app.
    Cancelled,
    /// Dropped by a policy.
    Dropped,
    /// Not known whether it arrived.
    Unknown,
    /// Long settled; the verdict is no longer kept.
    Forgotten,
    /// The id is of another store.
    OtherStore,
}

impl From<Fate> for MessageFate {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Waiting => Self::Waiting,
            Fate::InFlight => Self::InFlight,
            Fate::Sent => Self::Sent,
            Fate::Delivered { maybe_twice, maybe_lost, downgraded } => {
                Self::Delivered { maybe_twice, maybe_lost, downgraded }
            }
            Fate::Refused(reason) => Self::Refused { reason: reason.into() },
            Fate::Expired => Self::Expired,
            Fate::Parked(reason) => Self::Parked { reason: reason.into() },
            Fate::Superseded(by) => Self::Superseded { by: by.number() },
            Fate::Cancelled => Self::Cancelled,
            Fate::Dropped => Self::Dropped,
            Fate::Forgotten => Self::Forgotten,
            Fate::OtherStore => Self::OtherStore,
            _ => Self::Unknown,
        }
    }
}

/// What a cancellation did.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum CancelResult {
    /// It will not be sent.
    Cancelled,
    /// It was sent, or may have been.
    TooLate,
    /// It had come to its end before.
    Settled {
        /// Which.
        fate: MessageFate,
    },
}

impl From<Cancel> for CancelResult {
    fn from(cancel: Cancel) -> Self {
        match cancel {
            Cancel::Cancelled => Self::Cancelled,
            Cancel::Settled(fate) => Self::Settled { fate: fate.into() },
            _ => Self::TooLate,
        }
    }
}
