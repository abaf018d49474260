//! One turn of writes: staged, flushed in batches, committed together with the counters.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::batch::Insert;
use super::error::{StoreError, StoreErrorKind};
use super::retention::Removed;
use super::{Store, codec::int, codec::sent_flags};
use crate::model::options::Durability;
use crate::model::rows::{Hot, InboxRow, OutboxRow};
use crate::model::writes::Write;

/// Under `process_kill` a boot that lost commits skips 65,536 numbers; so never more may be given out between syncs.
const UNSYNCED: u64 = 16_384;

/// One row of `verdict`.
pub(super) struct VerdictRow {
    pub(super) id: u64,
    pub(super) outcome: u8,
    pub(super) detail: u8,
    pub(super) at_ms: i64,
    pub(super) other_id: Option<u64>,
}

/// A message published in this turn.
pub(super) struct NewRow {
    pub(super) row: OutboxRow,
    /// Bits of `codec::AS_SENT`.
    pub(super) sent: i64,
    /// It also ended in this turn: it never touches the table.
    pub(super) ended: bool,
}

/// What became of a QoS 2 packet identifier in this turn.
#[derive(Clone, Copy)]
pub(super) enum Qos2 {
    Received(u64),
    Completed,
    Gone,
}

/// What this turn wants written and SQLite has not seen yet.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) outbox: Vec<NewRow>,
    pub(super) finished: Vec<u64>,
    pub(super) released: Vec<(u64, u64)>,
    pub(super) verdicts: Vec<VerdictRow>,
    pub(super) inbox: Vec<InboxRow>,
    /// Retained ones among them that may repeat what is known, and whether they were asked for.
    pub(super) retained: Vec<(u64, bool)>,
    /// Those that do.
    pub(super) replays: HashSet<u64>,
    /// Counted by the session as received, and not stored: they only refreshed a last value.
    pub(super) refreshed: Removed,
    /// The last word on an identifier counts.
    pub(super) qos2: Vec<(u16, Qos2)>,
}

impl Staged {
    fn is_empty(&self) -> bool {
        self.outbox.is_empty()
            && self.finished.is_empty()
            && self.released.is_empty()
            && self.verdicts.is_empty()
            && self.inbox.is_empty()
            && self.qos2.is_empty()
    }
}

/// The batched statements.
pub(super) struct Inserts {
    pub(super) outbox: Insert,
    pub(super) released: Insert,
    pub(super) verdict: Insert,
    pub(super) inbox: Insert,
    pub(super) qos2: Insert,
    pub(super) marks: Insert,
    pub(super) by_topic: Insert,
}

impl Inserts {
    pub(super) fn new() -> Self {
        Self {
            outbox: Insert::new(
                "INSERT INTO outbox (id, topic, payload, props, flags, expires_ms, supersede, after_ord)",
                8,
            ),
            released: Insert::new("INSERT OR IGNORE INTO released (id, ord)", 2),
            verdict: Insert::new("INSERT OR REPLACE INTO verdict (id, outcome, detail, at_ms, other_id)", 5),
            inbox: Insert::new("INSERT INTO inbox (seq, tid, payload, props, flags, received_ms)", 6),
            qos2: Insert::new("INSERT OR REPLACE INTO received_qos2 (pid, content, completed)", 3),
            marks: Insert::new("INSERT OR IGNORE INTO consumer_done (name, seq)", 2),
            by_topic: Insert::new("INSERT OR IGNORE INTO inbox_by_topic (tid, seq)", 2),
        }
    }
}

impl Store {
    /// Adds one change to the turn.
    ///
    /// # Errors
    /// `Refused`: this write was not taken, the turn goes on without it. `Busy`: it was not taken, try again. Anything
    /// else: the turn is lost; see [`Store::reopen`].
    pub fn write(&mut self, write: Write) -> Result<(), StoreError> {
        self.check()?;
        let done = self.apply(write);
        self.note(done)
    }

    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::OutboxInsert(row) => self.outbox_insert(row),
            Write::OutboxFinish { id, verdict, at_ms } => {
                self.outbox_finish(id, verdict, at_ms);
                Ok(())
            }
            Write::SentAfter { id, after_ord } => self.sent_after(id, after_ord),
            Write::SentAs { id, qos, downgraded } => self.sent_as(id, sent_flags(qos, downgraded)),
            Write::Park { id, reason, maybe_dup, at_ms } => self.park(id, reason, maybe_dup, at_ms),
            Write::ParkedGone { id, verdict, at_ms } => self.parked_gone(id, verdict, at_ms),
            Write::SkipPid(pid) => self.skip_pid(pid),
            Write::Idempotency { key, id, now_ms, until_ms } => self.put_idempotency(&key, id, now_ms, until_ms),
            Write::Release { id, release } => {
                self.staged.released.push((id, release));
                Ok(())
            }
            Write::InboxInsert(row) => {
                self.staged.inbox.push(row);
                Ok(())
            }
            Write::InboxRetained { row, asked } => {
                self.staged.retained.push((row.seq, asked));
                self.staged.inbox.push(row);
                Ok(())
            }
            Write::ReceivedQos2 { pid, content } => {
                self.staged.qos2.push((pid, Qos2::Received(content)));
                Ok(())
            }
            Write::CompletedQos2(pid) => {
                self.staged.qos2.push((pid, Qos2::Completed));
                Ok(())
            }
            Write::ForgetQos2(pid) => {
                self.staged.qos2.push((pid, Qos2::Gone));
                Ok(())
            }
            Write::SessionLost { sent_through } => self.session_lost(sent_through),
            Write::SessionDoubted { sent_through } => self.session_doubted(sent_through),
            Write::Session(row) => self.put_session(*row),
            Write::Subscription(row) => self.put_subscription(&row),
            Write::SubscriptionGone(filter) => self.remove_subscription(&filter),
            Write::GapOpen { filter, cause, from_ms, after_seq } => self.open_gap(&filter, cause, from_ms, after_seq),
            Write::GapClose { filter, cause, to_ms } => self.close_gap(&filter, cause, to_ms),
            Write::GapNote(gap) => self.note_gap(&gap),
            Write::ConsumerPut { name, filters, cursor } => self.put_consumer(name, filters, cursor),
            Write::ConsumerLag { name, lag } => self.put_lag(&name, lag),
            Write::ConsumerRemove { name } => self.remove_consumer(&name),
            Write::ConsumerDone { name, seq } => self.consumer_done(&name, seq),
            Write::ConsumerDoneThrough { name, seq } => self.consumer_done_through(&name, seq),
            Write::Driver { connection, metrics, at_ms } => self.put_driver(connection, &metrics, at_ms),
        }
    }

    /// Commits the turn with these counters; `turn` and `verdict_floor` are the store's own business (read them back
    /// by [`Store::hot`]). False: there was nothing to commit. Clocks alone are no reason to commit.
    ///
    /// # Errors
    /// `Busy`: nothing happened, call it again. Anything else: see [`Store::reopen`].
    pub fn commit(&mut self, hot: &Hot) -> Result<bool, StoreError> {
        self.check()?;
        let mut next = *hot;
        next.turn = self.hot.turn + 1;
        for (lane, mine) in next.lanes.iter_mut().zip(self.hot.lanes) {
            lane.verdict_floor = lane.verdict_floor.max(mine.verdict_floor);
        }
        let clocks_only = Hot {
            turn: next.turn,
            clock_ms: next.clock_ms,
            wall_ms: next.wall_ms,
            boot: next.boot,
            boot_ms: next.boot_ms,
            last_contact_ms: next.last_contact_ms,
            ..self.hot
        };
        if !self.in_turn && self.staged.is_empty() && !self.consumers.is_dirty() && next == clocks_only {
            let unlocked = self.unlock_writing();
            return self.note(unlocked).map(|()| false);
        }
        let done = self.commit_turn(next);
        self.note(done)?;
        Ok(true)
    }

    fn commit_turn(&mut self, mut next: Hot) -> Result<(), StoreError> {
        self.flush()?;
        self.begin()?;
        self.flush_consumers()?;
        self.prune_verdicts(&mut next)?;
        self.prune_gaps()?;
        let refreshed = std::mem::take(&mut self.staged.refreshed);
        next.inbox_messages = next.inbox_messages.saturating_sub(refreshed.messages);
        next.inbox_bytes = next.inbox_bytes.saturating_sub(refreshed.bytes);
        write_hot(&self.connection, &next)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.in_turn = false;
        self.hot = next;
        if self.full_sync {
            self.certain = next.turn;
        }
        self.bound_unsynced()
    }

    /// Whether this turn has anything to commit yet.
    pub fn has_writes(&self) -> bool {
        self.in_turn || !self.staged.is_empty()
    }

    /// Opens the turn's transaction, unless it is open.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        if !self.in_turn {
            self.lock()?;
            (self.in_turn, self.locked) = (true, false);
        }
        Ok(())
    }

    /// Takes SQLite's write lock for the turn that begins, so that nobody else's is met in the middle of it. [`Store::commit`]
    /// gives it back, whether there is something to commit or not.
    ///
    /// # Errors
    /// `Busy`: another program holds it; nothing was changed, call it again. Anything else: see [`Store::reopen`].
    pub fn lock_writing(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let done = if self.in_turn { Ok(()) } else { self.lock() };
        self.note(done)
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        if !self.locked {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            self.locked = true;
        }
        Ok(())
    }

    fn unlock_writing(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.locked) {
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        Ok(())
    }

    /// How long a lock that another program holds is waited for within one call.
    ///
    /// # Errors
    /// The store's.
    pub fn set_patience(&mut self, patience: Duration) -> Result<(), StoreError> {
        self.patience = patience;
        Ok(self.connection.busy_timeout(patience)?)
    }

    /// Hands everything staged to SQLite, so that a read sees it.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.flush_outbox()?;
        self.flush_inbox()
    }

    /// Before every call: after a failure in the middle of a turn nothing can be said of the handle any more.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.broken {
            false => Ok(()),
            true => Err(StoreError::new(StoreErrorKind::Other, "the store failed before and must be opened again")),
        }
    }

    /// Remembers a failure that leaves the turn undefined.
    pub(super) fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.doubt |= error.kind == StoreErrorKind::Io;
            let harmless = match error.kind {
                StoreErrorKind::Refused => true,
                // BEGIN is where a lock held by others is met; what was staged still is.
                StoreErrorKind::Busy => !self.in_turn,
                _ => false,
            };
            self.broken |= !harmless;
            if error.kind == StoreErrorKind::Full {
                self.space.failed();
            }
        }
        result
    }

    /// Process-kill durability: syncs the next turn once many numbers were given out since the last sync.
    fn bound_unsynced(&mut self) -> Result<(), StoreError> {
        if self.durability == Durability::PowerLoss {
            return Ok(());
        }
        if self.full_sync {
            self.synced = self.hot;
            return self.set_full_sync(false);
        }
        let lanes = self.hot.lanes.iter().zip(self.synced.lanes);
        let given = lanes.map(|(now, then)| now.next_ord - then.next_ord).max().unwrap_or(0);
        if given.max(self.hot.next_seq - self.synced.next_seq) >= UNSYNCED {
            self.set_full_sync(true)?;
        }
        Ok(())
    }

    /// Only between transactions.
    pub(super) fn set_full_sync(&mut self, full: bool) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" })?;
        self.full_sync = full;
        Ok(())
    }
}

/// Rewrites the counters.
pub(super) fn write_hot(connection: &Connection, hot: &Hot) -> Result<(), StoreError> {
    let [normal, urgent] = &hot.lanes;
    connection
        .prepare_cached(
            "UPDATE hot SET turn = ?1, next_seq = ?2, next_release = ?3, inbox_messages = ?4, inbox_bytes = ?5,
               clock_ms = ?6, wall_ms = ?7, last_contact_ms = ?8,
               next_ord_0 = ?9, sent_through_0 = ?10, verdict_floor_0 = ?11, messages_0 = ?12, bytes_0 = ?13,
               next_ord_1 = ?14, sent_through_1 = ?15, verdict_floor_1 = ?16, messages_1 = ?17, bytes_1 = ?18,
               parked_messages = ?19, parked_bytes = ?20, boot = ?21, boot_ms = ?22, held_until_ms = ?23",
        )?
        .execute(params![
            int(hot.turn),
            int(hot.next_seq),
            int(hot.next_release),
            int(hot.inbox_messages),
            int(hot.inbox_bytes),
            hot.clock_ms,
            hot.wall_ms,
            hot.last_contact_ms,
            int(normal.next_ord),
            int(normal.sent_through),
            int(normal.verdict_floor),
            int(normal.messages),
            int(normal.bytes),
            int(urgent.next_ord),
            int(urgent.sent_through),
            int(urgent.verdict_floor),
            int(urgent.messages),
            int(urgent.bytes),
            int(hot.parked_messages),
            int(hot.parked_bytes),
            hot.boot,
            hot.boot_ms,
            hot.held_until_ms,
        ])?;
    Ok(())
}
