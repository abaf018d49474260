//! The service's limits of PUBLISHes and bytes a second: evenly spaced, so that no second anywhere has more; the rest waits in
//! the outbox.

use super::Outbound;
use crate::model::profile::ServiceLimits;

/// Spaces messages by virtual time, `Now::mono_ms`; across links, for the service counts by client.
#[derive(Debug, Default)]
pub(super) struct Rate {
    every_ms: i64,
    bytes_per_second: Option<i64>,
    /// When the next message may go.
    next: i64,
    /// A message waits for that moment.
    waiting: bool,
}

impl Rate {
    fn new(service: &ServiceLimits) -> Self {
        let every_ms = service.publishes_per_second.map_or(0, |rate| 1_000_i64.div_euclid(rate.get().into()) + 1);
        // A second that begins with the largest message holds it beside what the spacing lets through.
        let largest = i64::try_from(service.max_payload).unwrap_or(i64::MAX);
        let bytes_per_second = service.bytes_per_second.map(|rate| (i64::from(rate.get()) - largest).max(1));
        Self { every_ms, bytes_per_second, ..Self::default() }
    }

    /// Whether a message may go now.
    pub(super) fn is_open(&self, now: i64) -> bool {
        self.every_ms == 0 && self.bytes_per_second.is_none() || now >= self.next
    }

    /// One went, with so many bytes of payload.
    pub(super) fn took(&mut self, bytes: usize, now: i64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(1_000);
        let for_bytes = self.bytes_per_second.map_or(0, |rate| bytes.div_euclid(rate) + 1);
        self.next = now.saturating_add(self.every_ms.max(for_bytes));
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

impl Outbound {
    /// With the service's limits of what goes in a second.
    #[must_use]
    pub fn with_rate(mut self, service: &ServiceLimits) -> Self {
        self.rate = Rate::new(service);
        self
    }

    /// When a message that waits for its turn in the second may go.
    pub fn rate_at(&self) -> Option<i64> {
        self.rate.at().filter(|_| self.link.is_some())
    }
}
