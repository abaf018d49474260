//! What the turn does for the inbox beside the messages themselves: the index, the limit, consumers that lag.

use std::collections::BTreeMap;

use super::consumer::ConsumerSpec;
use super::turn::{Engine, RETENTION_ROWS};
use crate::model::consumer::{Lag, Start};
use crate::model::error::Error;
use crate::model::event::{Event, Gap, GapCause};
use crate::model::message::StoreId;
use crate::model::options::InboxFull;
use crate::model::rows::OpenGap;
use crate::model::topic::TopicFilter;
use crate::model::writes::Write;
use crate::session::effect::{Input, Now};
use crate::store::{Dropped, INDEX_ROWS, Removed, SkippedRow, StoreError};

/// An overflow is over when nothing was dropped for so long.
const CALM_MS: i64 = 10_000;
/// Batches of dropped messages in one turn: as many as one turn receives, and a few more.
const DROPS: usize = 4;
/// So many filters get a gap of their own when messages are dropped.
const FILTERS: usize = 64;
/// How old the stored time of the last contact may get on a link on which nothing but pings moves.
const CONTACT_MS: i64 = 3_600_000;

/// What is watched of the inbox.
#[derive(Debug, Default)]
pub(super) struct InboxWatch {
    /// When to look for what has expired.
    expire_at: Option<i64>,
    /// Open gaps of an overflow: since when, after which message.
    overflow: BTreeMap<TopicFilter, (i64, u64)>,
    /// Wall clock at the arrival of the last message that was dropped, and when the overflow is over.
    last_drop: Option<(i64, i64)>,
}

impl InboxWatch {
    pub(super) fn new(open: &[OpenGap]) -> Self {
        let open = open.iter().filter(|gap| gap.cause == GapCause::InboxOverflow);
        let overflow = open.map(|gap| (gap.filter.clone(), (gap.from_ms, gap.after_seq))).collect();
        Self { overflow, ..Self::default() }
    }

    pub(super) fn timeout(&self) -> Option<i64> {
        [self.expire_at, self.last_drop.map(|(_, calm_at)| calm_at)].into_iter().flatten().min()
    }
}

impl Engine {
    /// While messages come: a batch once it is full.
    pub(super) fn index(&mut self) -> Result<(), StoreError> {
        if self.store.is_indexing() || self.store.unindexed(self.session.hot().next_seq) >= INDEX_ROWS {
            self.store.index()?;
        }
        Ok(())
    }

    /// Nothing else is to be done: what is left is taken up, in a commit of its own.
    pub(super) fn index_idle(&mut self) -> Result<(), StoreError> {
        if self.is_behind() && self.store.index_alone(self.session.hot())? {
            self.commits += 1;
            self.session.hot_mut().turn = self.store.hot().turn;
        }
        Ok(())
    }

    /// Whether rows wait to be indexed.
    pub(crate) fn is_behind(&self) -> bool {
        self.store.unindexed(self.session.hot().next_seq) > 0
    }

    /// Consumers that lag (by age only if `ages`), an overflow that is over, the time of the last contact.
    pub(super) fn watch_inbox(&mut self, now: Now, ages: bool) -> Result<(), StoreError> {
        if self.store.has_lag_policy() {
            self.skip_lagging(now, ages)?;
        } else {
            self.inbox.expire_at = None;
        }
        let over = match self.inbox.last_drop {
            Some((_, calm_at)) => calm_at <= now.mono_ms,
            // Left open by an earlier run.
            None => !self.inbox.overflow.is_empty(),
        };
        if over {
            self.end_overflow(now)?;
        }
        let stored = self.store.hot().last_contact_ms;
        if self.session.hot().last_contact_ms - stored > CONTACT_MS {
            // An old one would make the next long absence look longer than it was.
            self.report(now)?;
        }
        Ok(())
    }

    fn skip_lagging(&mut self, now: Now, ages: bool) -> Result<(), StoreError> {
        let every = self.store.expire_every().map(|every| every.as_millis() as i64);
        let look = every.is_some() && self.inbox.expire_at.is_none_or(|at| at <= now.mono_ms);
        let due = ages && look;
        let lagged = self.store.skip_lagging(self.session.hot().next_seq, due.then_some(now.wall_ms))?;
        // Also while nothing goes for its age: a time that is over would have turn follow turn for a day.
        if look || every.is_none() {
            self.inbox.expire_at = every.map(|every| now.mono_ms + every);
        }
        if lagged.more {
            self.inbox.expire_at = Some(now.mono_ms);
        }
        self.tell_skipped(lagged.skipped);
        Ok(())
    }

    fn tell_skipped(&mut self, skipped: Vec<(String, SkippedRow)>) {
        let store = StoreId(self.session.row().store_id);
        for (consumer, skipped) in skipped {
            self.fx.events.push(Event::Skipped { consumer, skipped: skipped.at(store) });
        }
    }

    /// The inbox is at its limit, and what every consumer is done with has gone already. Whether more has to go than one
    /// turn drops.
    pub(super) fn overflow(&mut self, now: Now) -> Result<bool, StoreError> {
        if self.options.inbox_full != InboxFull::DropOldest {
            return Ok(false);
        }
        for _ in 0..DROPS {
            let (messages, bytes) = self.session.over_limit();
            if !self.session.wants_room() || messages == 0 && bytes == 0 {
                return Ok(false);
            }
            let dropped = self.store.drop_oldest(Removed { messages, bytes }, RETENTION_ROWS)?;
            if dropped.removed.messages == 0 {
                return Ok(false);
            }
            let hot = self.session.hot_mut();
            hot.inbox_messages = hot.inbox_messages.saturating_sub(dropped.removed.messages);
            hot.inbox_bytes = hot.inbox_bytes.saturating_sub(dropped.removed.bytes);
            self.record_dropped(dropped, now)?;
            self.step(Input::Room, now)?;
        }
        Ok(true)
    }

    fn record_dropped(&mut self, dropped: Dropped, now: Now) -> Result<(), StoreError> {
        if !dropped.skipped.is_empty() {
            let (from_ms, to_ms) = dropped.between_ms;
            self.inbox.last_drop = Some((to_ms, now.mono_ms + CALM_MS));
            for topic in &dropped.topics {
                let mut filters = self.session.filters_of(topic);
                if filters.is_empty() {
                    // Unsubscribed since: a topic name is a filter that matches itself alone.
                    filters.extend(TopicFilter::new(topic.as_str()));
                }
                for mut filter in filters {
                    let known = |filter: &TopicFilter| self.inbox.overflow.contains_key(filter);
                    if !known(&filter) && self.inbox.overflow.len() >= FILTERS {
                        let Ok(all) = TopicFilter::new("#") else { continue };
                        filter = all;
                    }
                    if known(&filter) {
                        continue;
                    }
                    let (cause, after_seq) = (GapCause::InboxOverflow, dropped.first_seq.saturating_sub(1));
                    self.inbox.overflow.insert(filter.clone(), (from_ms, after_seq));
                    self.store.write(Write::GapOpen { filter, cause, from_ms, after_seq })?;
                }
            }
        }
        self.tell_skipped(dropped.skipped);
        Ok(())
    }

    fn end_overflow(&mut self, now: Now) -> Result<(), StoreError> {
        let to_ms = self.inbox.last_drop.take().map_or(now.wall_ms, |(to_ms, _)| to_ms);
        let mut gaps: BTreeMap<(i64, u64), Vec<TopicFilter>> = BTreeMap::new();
        let cause = GapCause::InboxOverflow;
        for (filter, since) in std::mem::take(&mut self.inbox.overflow) {
            self.store.write(Write::GapClose { filter: filter.clone(), cause, to_ms })?;
            gaps.entry(since).or_default().push(filter);
        }
        for ((from_ms, after_seq), filters) in gaps {
            self.fx.events.push(Event::Gap(Gap {
                filters,
                cause,
                from_ms,
                to_ms: Some(to_ms),
                after_seq,
                bytes: None,
            }));
        }
        Ok(())
    }

    /// Opens or makes a consumer; answers with its cursor.
    pub(super) fn consumer(&mut self, spec: ConsumerSpec) -> Result<Result<u64, Error>, StoreError> {
        let ConsumerSpec { name, filters, start, lag, exact } = spec;
        let next_seq = self.session.hot().next_seq;
        let cursor = match start {
            Start::Oldest => 0,
            Start::Now => next_seq - 1,
            Start::At(at) if at.seq() == 0 || at.seq() >= next_seq => {
                let problem = "beyond the messages of this store";
                return Ok(Err(Error::PositionInvalid { seq: at.seq(), problem }));
            }
            Start::At(at) => at.seq() - 1,
        };
        let existing = self.store.consumers().into_iter().find(|consumer| consumer.name == name);
        let Some(existing) = existing else {
            self.store.write(Write::ConsumerPut { name: name.clone(), filters, cursor })?;
            self.put_lag(name, lag)?;
            return Ok(Ok(cursor));
        };
        let added = filters.iter().any(|filter| !existing.filters.contains(filter));
        let missing = existing.filters.iter().any(|filter| !filters.contains(filter));
        // No filters: everything.
        if exact && (added || missing || filters.is_empty() != existing.filters.is_empty()) {
            return Ok(Err(Error::ConsumerDiffers { name, filters: existing.filters }));
        }
        // Filters widen what a consumer wants; one that wants everything (no filters) cannot be widened.
        if added && !existing.filters.is_empty() {
            let mut union = existing.filters.clone();
            union.extend(filters.into_iter().filter(|filter| !existing.filters.contains(filter)));
            self.store.write(Write::ConsumerPut { name: name.clone(), filters: union, cursor: existing.cursor })?;
        }
        self.put_lag(name, lag.filter(|lag| *lag != existing.lag))?;
        Ok(Ok(existing.cursor))
    }

    fn put_lag(&mut self, name: String, lag: Option<Lag>) -> Result<(), StoreError> {
        match lag {
            Some(lag) => self.store.write(Write::ConsumerLag { name, lag }),
            None => Ok(()),
        }
    }
}
