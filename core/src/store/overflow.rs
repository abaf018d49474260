//! An inbox at its limit whose policy is to drop the oldest: messages go before every consumer is done with them.

use std::collections::BTreeSet;

use super::Store;
use super::consumers::SkippedRow;
use super::error::StoreError;
use super::retention::Removed;
use super::topics::topic_name;
use crate::model::topic::TopicName;

/// So many topics are named; beyond it the list is cut.
const TOPICS: usize = 64;

/// What had to go.
#[derive(Debug, Default)]
pub struct Dropped {
    /// To be subtracted from the counters of the same turn.
    pub removed: Removed,
    /// Topics of messages that a consumer still wanted, 65 at the most.
    pub topics: Vec<TopicName>,
    /// Wall clock at the arrival of the first and of the last message that went.
    pub between_ms: (i64, i64),
    /// The first message that went.
    pub first_seq: u64,
    /// What consumers were moved over.
    pub skipped: Vec<(String, SkippedRow)>,
}

impl Store {
    /// Deletes, within the turn, the oldest messages until `over` is made up for, whoever still wants them; at most
    /// `max_rows`. Consumers are moved on.
    ///
    /// # Errors
    /// The store's.
    pub fn drop_oldest(&mut self, over: Removed, max_rows: usize) -> Result<Dropped, StoreError> {
        self.check()?;
        let done = self.drop_rows(over, max_rows);
        self.note(done)
    }

    fn drop_rows(&mut self, over: Removed, max_rows: usize) -> Result<Dropped, StoreError> {
        self.flush()?;
        let chosen = self.choose_oldest(u64::MAX >> 1, i64::MIN, over, max_rows)?;
        let mut dropped = Dropped { removed: chosen.removed, ..Dropped::default() };
        let (Some((first, from_ms, _)), Some((last, to_ms, _))) =
            (chosen.rows.first().copied(), chosen.rows.last().copied())
        else {
            return Ok(dropped);
        };
        (dropped.first_seq, dropped.between_ms) = (first, (from_ms, to_ms));
        let mut tids = BTreeSet::new();
        for consumer in self.consumers.0.values_mut() {
            consumer.still_wants(&self.connection, &chosen.rows, &mut tids)?;
            // No more rows than were chosen: they are the oldest.
            let mut left = chosen.rows.len() + 1;
            consumer.skip(&self.connection, last, &mut left, &mut dropped.skipped)?;
        }
        for tid in tids.into_iter().take(TOPICS + 1) {
            dropped.topics.push(topic_name(&self.connection, tid)?);
        }
        self.remove_chosen(chosen)?;
        Ok(dropped)
    }
}
