//! What goes again: messages that every consumer is done with, and the write-ahead log.

use std::time::Duration;

use rusqlite::OptionalExtension as _;

use super::Store;
use super::codec::{int, read_size, read_u64};
use super::error::{StoreError, StoreErrorKind};
use crate::model::rows::InboxRow;

/// The log is copied into the database at the end of a turn from so many pages on.
const LOG_PAGES: i64 = 1_000;

/// Topics whose dead index rows go in one turn, and about how many rows.
const SWEEP_TOPICS: usize = 64;
const SWEEP_ROWS: usize = 4_000;

/// What left the inbox; to be subtracted from the counters of the same turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Removed {
    pub(super) fn add(&mut self, row: &InboxRow) {
        (self.messages, self.bytes) = (self.messages + 1, self.bytes + row.size());
    }
}

/// Rows that are to go.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) removed: Removed,
    /// Number, wall clock at arrival, topic.
    pub(super) rows: Vec<(u64, i64, i64)>,
}

impl Store {
    /// Deletes, within the turn, the oldest messages that every consumer is done with: those received more than
    /// `retention_ms` before `now_wall_ms`, and further ones until `over` (messages and bytes that the inbox is over
    /// its limit) is made up for. Looks at no more than `max_rows`.
    ///
    /// # Errors
    /// The store's.
    pub fn retain(
        &mut self,
        now_wall_ms: i64,
        retention_ms: i64,
        over: Option<Removed>,
        max_rows: usize,
    ) -> Result<Removed, StoreError> {
        self.check()?;
        let done = self.retain_rows(now_wall_ms.saturating_sub(retention_ms), over.unwrap_or_default(), max_rows);
        self.note(done)
    }

    fn retain_rows(&mut self, before_ms: i64, over: Removed, max_rows: usize) -> Result<Removed, StoreError> {
        self.flush()?;
        self.consumers.advance_all(&self.connection)?;
        let chosen = self.choose_oldest(self.consumers.done_by_all(), before_ms, over, max_rows)?;
        let removed = chosen.removed;
        self.remove_chosen(chosen)?;
        Ok(removed)
    }

    /// The oldest rows up to `through`. Never beyond the watermark of the index: a row that was never indexed would leave
    /// its index row behind.
    pub(super) fn choose_oldest(
        &mut self,
        through: u64,
        before_ms: i64,
        over: Removed,
        max_rows: usize,
    ) -> Result<Chosen, StoreError> {
        if through > self.indexed {
            self.index_batch()?;
        }
        // CROSS JOIN: the inbox is walked, the topic looked up.
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, octet_length(name) + octet_length(payload), props, received_ms, inbox.tid
             FROM inbox CROSS JOIN topic ON topic.tid = inbox.tid
             WHERE seq <= ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = statement.query([int(through.min(self.indexed)), int(max_rows as u64)])?;
        let mut chosen = Chosen::default();
        while let Some(row) = rows.next()? {
            let needed = chosen.removed.messages < over.messages || chosen.removed.bytes < over.bytes;
            let received_ms = row.get(3)?;
            if !needed && received_ms >= before_ms {
                break;
            }
            chosen.removed.messages += 1;
            chosen.removed.bytes += read_size(row, 1, 2)?;
            let seq = read_u64(row, 0)?;
            chosen.rows.push((seq, received_ms, row.get(4)?));
        }
        Ok(chosen)
    }

    /// With the rows goes what points to them; a topic's last value stays with the topic.
    pub(super) fn remove_chosen(&mut self, chosen: Chosen) -> Result<(), StoreError> {
        let Some((last, ..)) = chosen.rows.last().copied() else { return Ok(()) };
        self.begin()?;
        let mut tids: Vec<i64> = chosen.rows.into_iter().map(|(.., tid)| tid).collect();
        tids.sort_unstable();
        tids.dedup();
        self.keep_values(&tids, last)?;
        self.connection.prepare_cached("DELETE FROM inbox WHERE seq <= ?1")?.execute([int(last)])?;
        self.sweep(last)?;
        self.prune_kept()
    }

    /// Index rows up to `last` point to nothing, and are not read. They go topic by topic, some topics a turn: 1,000 rows
    /// that leave touch hundreds of pages of the index if theirs go at once (measured: 96 ms a turn beside builds).
    fn sweep(&mut self, last: u64) -> Result<(), StoreError> {
        let mut next =
            self.connection.prepare_cached("SELECT tid FROM inbox_by_topic WHERE tid > ?1 ORDER BY tid LIMIT 1")?;
        let mut delete = self.connection.prepare_cached("DELETE FROM inbox_by_topic WHERE tid = ?1 AND seq <= ?2")?;
        let mut gone = 0;
        for _ in 0..SWEEP_TOPICS {
            match next.query_row([self.swept], |row| row.get(0)).optional()? {
                Some(tid) => self.swept = tid,
                None => {
                    // All were visited: again from the first, at the next time.
                    self.swept = 0;
                    return Ok(());
                }
            }
            gone += delete.execute([self.swept, int(last)])?;
            if gone >= SWEEP_ROWS {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps the write-ahead log short; to be called after every turn, with `idle` when nothing is to be done. Whether there
    /// is more to do when idle.
    ///
    /// # Errors
    /// The store's. After anything but `Full` and `Busy`: see [`Store::reopen`].
    pub fn maintain(&mut self, idle: bool) -> Result<bool, StoreError> {
        if self.in_turn || self.locked || self.broken {
            return Ok(false);
        }
        let done = self.shorten_log(idle);
        self.doubt |= done.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Io);
        done
    }

    fn shorten_log(&mut self, idle: bool) -> Result<bool, StoreError> {
        let pages = self.log_pages("NOOP")?;
        // On a full disk the log is copied after every turn: the next one finds its blocks, whatever others take.
        if pages >= LOG_PAGES || self.space.is_full() && pages > 0 {
            // Never RESTART while readers run: writes fell to 26 to 34 krow/s.
            self.checkpoint()?;
        }
        if !idle {
            self.keep_mark(false);
            return Ok(false);
        }
        let more = self.tidy()?;
        self.empty_log()?;
        Ok(more)
    }

    /// Gives the log's blocks back, unless they are what is left.
    pub(super) fn empty_log(&mut self) -> Result<(), StoreError> {
        if !self.space.is_full() && self.log_pages("NOOP")? > 0 {
            // A reader in the middle of a page is not worth waiting for.
            self.connection.busy_timeout(Duration::ZERO)?;
            let done = self.log_pages("TRUNCATE");
            self.connection.busy_timeout(self.patience)?;
            if done? == 0 {
                // The log was synced before it was copied, and the database after.
                self.certain = self.hot.turn;
            }
        }
        self.keep_mark(true);
        Ok(())
    }

    /// Runs a checkpoint and says how long the log was or is.
    pub(super) fn log_pages(&mut self, mode: &str) -> Result<i64, StoreError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let (pages, copied) =
            self.connection.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        self.space.set_log(pages, copied);
        Ok(pages)
    }
}
