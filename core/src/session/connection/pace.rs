//! Never sooner than the service allows: the distance between two CONNECTs of a client, whatever asks for the next.

use std::time::Duration;

use super::{Connection, Phase};

/// A service counts from arrival to arrival: what the network may shift two CONNECTs by.
const MARGIN_MS: i64 = 100;

/// The shortest distance, and the moment that follows from the last CONNECT. Times are `Now::mono_ms`.
#[derive(Debug, Default)]
pub(super) struct Pace {
    every_ms: i64,
    until: Option<i64>,
}

impl Pace {
    /// CONNECT was sent.
    pub(super) fn connected(&mut self, now: i64) {
        if self.every_ms > 0 {
            self.until = Some(now.saturating_add(self.every_ms));
        }
    }
}

impl Connection {
    /// With a shortest time between two CONNECTs; zero: none.
    #[must_use]
    pub fn paced(mut self, every: Duration) -> Self {
        if !every.is_zero() {
            self.pace.every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX - MARGIN_MS) + MARGIN_MS;
        }
        self
    }

    /// An earlier process was connected so long ago, by the wall's clock.
    pub fn connected_ago(&mut self, ms: i64, now: i64) {
        if (0..self.pace.every_ms).contains(&ms) {
            self.pace.until = Some(now.saturating_add(self.pace.every_ms - ms));
        }
    }

    /// Whether nothing will be tried before `until`.
    pub fn is_idle_until(&self, until: i64) -> bool {
        self.phase == Phase::Down && (self.taken_over || self.next_at().is_some_and(|at| at > until))
    }

    /// When the next attempt may be made, if not at once.
    pub(super) fn next_at(&self) -> Option<i64> {
        self.retry_at.max(self.pace.until)
    }

    /// What is left of the service's pace, in milliseconds.
    pub(super) fn pace_left(&self, now: i64) -> u64 {
        self.pace.until.map_or(0, |until| u64::try_from(until - now).unwrap_or(0))
    }
}
