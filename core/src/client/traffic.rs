//! Bytes on links: the link counts its own, the driver adds up.

use super::turn::Engine;
use crate::link::Link;
use crate::model::event::{LinkMetrics, Metrics};

/// Bytes read, written and ignored on all links, and read and written on the present or last one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) ignored: u64,
    pub(crate) link: (u64, u64),
}

impl Traffic {
    /// With those of a link that lives, and what its decoder ignored.
    pub(crate) fn with(self, link: &Link, ignored: u64) -> Self {
        let (bytes_in, bytes_out) = link.counters();
        Self {
            bytes_in: self.bytes_in + bytes_in,
            bytes_out: self.bytes_out + bytes_out,
            ignored: self.ignored + ignored,
            link: (bytes_in, bytes_out),
        }
    }
}

impl Engine {
    /// Counters for people.
    pub(crate) fn metrics(&self) -> Metrics {
        let hot = self.session.hot();
        let counted = *self.session.metrics();
        Metrics {
            turns: self.turns,
            commits: self.commits,
            commit_failures: self.failures,
            largest_turn: self.largest,
            slowest_turn_us: self.slowest_us,
            bytes_in: self.traffic.bytes_in,
            bytes_out: self.traffic.bytes_out,
            ignored_bytes: self.traffic.ignored,
            link: LinkMetrics { bytes_in: self.traffic.link.0, bytes_out: self.traffic.link.1, ..counted.link },
            outbox_messages: hot.outbox_messages(),
            inbox_messages: hot.inbox_messages,
            storage: self.intake.storage(),
            ..counted
        }
    }
}
