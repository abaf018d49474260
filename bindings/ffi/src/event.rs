//! Events and gaps as they cross.

use std::sync::Arc;

use homing::{CredentialsEvent, Gap};
use tokio::sync::Mutex;

use crate::cancel::{Canceller, until};
use crate::error::Result;
use crate::message::QosLevel;
use crate::state::{LinkState, MessageFate, Reason};

/// What may be missing (P8).
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct GapInfo {
    /// Of which topics.
    pub filters: Vec<String>,
    /// The cause: `session_lost`, `too_large`, `qos0_dropped`, `inbox_overflow`, `possibly_dropped`, `restored`,
    /// `store_damaged`; more may come.
    pub cause: String,
    /// From when, in Unix milliseconds.
    pub from_ms: i64,
    /// Till when; None: still open.
    pub to_ms: Option<i64>,
    /// It stands behind this position of the inbox.
    pub after_seq: u64,
    /// The size of what was too large, in bytes.
    pub bytes: Option<u64>,
}

impl From<Gap> for GapInfo {
    fn from(gap: Gap) -> Self {
        Self {
            filters: gap.filters.into_iter().map(String::from).collect(),
            cause: gap.cause.as_str().to_owned(),
            from_ms: gap.from_ms,
            to_ms: gap.to_ms,
            after_seq: gap.after_seq,
            bytes: gap.bytes,
        }
    }
}

/// A message that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SettledMessage {
    /// Its number, of this store.
    pub n: u64,
    /// Which end.
    pub fate: MessageFate,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Event {
    /// The state of the connection changed.
    State {
        /// To this.
        state: LinkState,
    },
    /// Messages came to their end.
    Settled {
        /// Which.
        messages: Vec<SettledMessage>,
    },
    /// The broker had lost the session.
    SessionLost {
        /// When it was found, in Unix milliseconds.
        at_ms: i64,
    },
    /// Something may be missing.
    Gap {
        /// What.
        gap: GapInfo,
    },
    /// A consumer was moved over messages.
    Skipped {
        /// Which consumer.
        consumer: String,
        /// How many messages.
        messages: u64,
        /// From this position.
        from_seq: u64,
        /// Through this one.
        through_seq: u64,
    },
    /// The broker granted a subscription.
    Subscribed {
        /// Which.
        filter: String,
        /// At most with this.
        qos: QosLevel,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Which.
        filter: String,
    },
    /// The broker refused a subscription.
    SubscribeRefused {
        /// Which.
        filter: String,
        /// Why.
        reason: Reason,
    },
    /// New credentials are in use.
    CredentialsRefreshed {
        /// On the standing link.
        in_place: bool,
    },
    /// The broker refused the credentials.
    CredentialsRefused {
        /// Why.
        reason: Reason,
        /// When they are tried again.
        retry_in_ms: u64,
    },
    /// Credentials could not be had.
    CredentialsFailed {
        /// Why.
        text: String,
    },
    /// Something to look at.
    Warning {
        /// Stable.
        code: String,
        /// In words.
        text: String,
    },
    /// The listener was too slow.
    Missed {
        /// So many events.
        count: u64,
    },
    /// An event of a newer version.
    Other {
        /// In words.
        text: String,
    },
}

impl From<homing::Event> for Event {
    fn from(event: homing::Event) -> Self {
        match event {
            homing::Event::State(state) => Self::State { state: state.into() },
            homing::Event::Settled(settled) => {
                let one = |(id, fate): &(homing::MessageId, homing::Fate)| SettledMessage {
                    n: id.number(),
                    fate: fate.clone().into(),
                };
                Self::Settled { messages: settled.iter().map(one).collect() }
            }
            homing::Event::SessionLost { at_ms } => Self::SessionLost { at_ms },
            homing::Event::Gap(gap) => Self::Gap { gap: gap.into() },
            homing::Event::Skipped { consumer, skipped } => Self::Skipped {
                consumer,
                messages: skipped.messages,
                from_seq: skipped.from.seq(),
                through_seq: skipped.through.seq(),
            },
            homing::Event::Subscribed { filter, qos } => Self::Subscribed { filter: filter.into(), qos: qos.into() },
            homing::Event::Unsubscribed { filter } => Self::Unsubscribed { filter: filter.into() },
            homing::Event::SubscribeRefused { filter, reason } => {
                Self::SubscribeRefused { filter: filter.into(), reason: reason.into() }
            }
            homing::Event::Credentials(CredentialsEvent::Refreshed { in_place }) => {
                Self::CredentialsRefreshed { in_place }
            }
            homing::Event::Credentials(CredentialsEvent::Refused { reason, retry_in_ms }) => {
                Self::CredentialsRefused { reason: reason.into(), retry_in_ms }
            }
            homing::Event::Credentials(CredentialsEvent::Failed(error)) => {
                Self::CredentialsFailed { text: error.to_string() }
            }
            homing::Event::Warning { code, text } => Self::Warning { code: code.to_owned(), text },
            homing::Event::Missed(count) => Self::Missed { count },
            other => Self::Other { text: format!("{other:?}") },
        }
    }
}

/// Most events of one call.
const MOST: usize = 100;

/// A place in the stream of events.
#[derive(Debug, uniffi::Object)]
pub struct EventStream(Mutex<homing::Events>);

impl EventStream {
    pub(crate) fn new(events: homing::Events) -> Arc<Self> {
        Arc::new(Self(Mutex::new(events)))
    }
}

#[uniffi::export]
impl EventStream {
    /// The next event, and those that are there already, at most 100; empty: the client is gone.
    pub async fn next(&self, cancel: Option<Arc<Canceller>>) -> Result<Vec<Event>> {
        let wait = async {
            let mut events = self.0.lock().await;
            let Some(first) = events.next().await else { return Ok(Vec::new()) };
            let mut all = vec![first.into()];
            while all.len() < MOST
                && let Some(Some(event)) = ready(events.next()).await
            {
                all.push(event.into());
            }
            Ok(all)
        };
        until(cancel, wait).await
    }
}

/// What a cancel-safe wait has at once.
async fn ready<T>(wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = std::pin::pin!(wait);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match wait.as_mut().poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
