//! What is counted of links.

use super::Session;
use super::connection::Phase;
use super::effect::{Input, Now};
use crate::model::event::{LinkMetrics, Why};

impl Session {
    /// A link is there.
    pub(super) fn count_link(&mut self) {
        self.metrics.link = LinkMetrics::default();
    }

    pub(super) fn count_in(&mut self, input: &Input) {
        if matches!(input, Input::Packet(_) | Input::Skipped(_)) {
            self.metrics.packets_in += 1;
            self.metrics.link.packets_in += 1;
        }
    }

    pub(super) fn count_out(&mut self, packets: usize) {
        self.metrics.packets_out += packets as u64;
        self.metrics.link.packets_out += packets as u64;
    }

    /// A link is given up because time has run out.
    pub(super) fn timed_out(&mut self, why: &Why, now: Now) {
        let count = match why {
            Why::ConnackTimeout => &mut self.metrics.connack_timeouts,
            Why::KeepAlive => &mut self.metrics.keep_alive_timeouts,
            Why::WriteTimeout => &mut self.metrics.write_timeouts,
            _ => return,
        };
        *count += 1;
        self.metrics.last_timeout_ms = Some(now.wall_ms);
    }

    /// A link, or an attempt, has ended; the connection does not know yet.
    pub(super) fn count_end(&mut self, why: &Why, now: Now) {
        if *why == Why::WriteTimeout {
            self.timed_out(why, now);
        }
        match self.conn.lasted_ms(now.mono_ms) {
            Some(lasted) => self.metrics.link.lasted_ms = Some(lasted),
            None if self.conn.phase != Phase::Closing || self.conn.ending != Some(Why::Asked) => {
                self.metrics.link_failures += 1;
            }
            None => {}
        }
    }
}
