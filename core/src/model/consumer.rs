//! What a durable consumer is made with: where it begins, and what happens when it falls behind.

use std::num::NonZeroU64;
use std::time::Duration;

use super::message::Position;

/// The largest number that `Lag::Skip` takes.
pub(crate) const MAX_LAG_MESSAGES: u64 = 100_000;

/// Where a new consumer begins. One that exists goes on where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Start {
    /// At the oldest message that is kept (default).
    #[default]
    Oldest,
    /// With the next message that arrives.
    Now,
    /// With this message, or the first one behind it that is still kept.
    At(Position),
}

/// What happens when a consumer falls behind. What is taken away is told: `Event::Skipped`, and `Consumer::skipped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Lag {
    /// Nothing is taken away: once the inbox is at its limit the broker has to wait (default).
    #[default]
    Pause,
    /// About so many messages stay before it (up to a sixteenth more), of whatever topic; older ones are skipped. At most
    /// 100,000.
    Skip {
        /// How many.
        messages: NonZeroU64,
    },
    /// Messages received longer ago are skipped, by the wall clock; looked after every eighth of that time, but not more
    /// often than every second nor less than every minute. Whole milliseconds, at least 1.
    Expire {
        /// How long.
        after: Duration,
    },
}

/// Messages that a consumer was moved over before it was done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// How many it would have been given.
    pub messages: u64,
    /// The first of them.
    pub from: Position,
    /// The last of them.
    pub through: Position,
}
