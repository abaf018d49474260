//! The service's limit of PUBLISHes a second: evenly spaced, so that no second anywhere has more; the rest waits in the outbox.

use std::num::NonZeroU16;

/// Spaces messages by virtual time, `Now::mono_ms`; across links, for the service counts by client.
#[derive(Debug, Default)]
pub(super) struct Rate {
    every_ms: i64,
    /// When the next message may go.
    next: i64,
    /// A message waits for that moment.
    waiting: bool,
}

impl Rate {
    pub(super) fn new(per_second: Option<NonZeroU16>) -> Self {
        let every_ms = per_second.map_or(0, |rate| 1_000_i64.div_euclid(rate.get().into()) + 1);
        Self { every_ms, ..Self::default() }
    }

    /// Whether a message may go now.
    pub(super) fn is_open(&self, now: i64) -> bool {
        self.every_ms == 0 || now >= self.next
    }

    /// One went.
    pub(super) fn took(&mut self, now: i64) {
        self.next = now.saturating_add(self.every_ms);
    }

    /// Whether a message waits for its moment.
    pub(super) fn waits(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// The moment that somebody waits for.
    pub(super) fn at(&self) -> Option<i64> {
        self.waiting.then_some(self.next)
    }
}
