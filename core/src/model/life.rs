//! What an app on a phone says and hears: a bounded catch-up, a pause, the network.

use super::event::Why;

/// What a [`Homing::sync`](crate::Homing::sync) did, and what is left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SyncReport {
    /// Messages that reached the broker meanwhile: QoS 1 and 2 acknowledged, QoS 0 handed to the network.
    pub sent: u64,
    /// Messages that were stored meanwhile.
    pub received: u64,
    /// Messages that the outbox still holds, waiting or in flight. What is parked does not count.
    pub waiting: u64,
    /// Every SUBACK is in, the outbox is empty, nothing is withheld, and the broker had nothing more to send.
    pub drained: bool,
    /// The broker accepted a connection within the deadline.
    pub connected: bool,
    /// What ended the last attempt or link before its time; None: nothing did.
    pub trouble: Option<Why>,
}

/// What a [`Homing::resume`](crate::Homing::resume) found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resumed {
    /// Another process has driven the store meanwhile: there may be new messages, verdicts and subscriptions.
    pub store_changed: bool,
}

/// What the platform says of the network. Only a hint: it wakes or holds attempts to connect, and has a link looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// False: there is no network at all. One without a way to the internet is online: the broker may stand in the house.
    pub online: bool,
    /// Names the network in whatever way the platform does; another name than before means that the network has changed.
    pub id: Option<String>,
}

impl Network {
    /// There is a network.
    pub fn online() -> Self {
        Self { online: true, id: None }
    }

    /// There is none.
    pub fn offline() -> Self {
        Self { online: false, id: None }
    }

    /// Of this name.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}
