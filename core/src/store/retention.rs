//! What goes again: messages that every consumer is done with, and the write-ahead log.

use std::time::Duration;

use super::Store;
use super::codec::{int, read_size, read_u64};
use super::error::{StoreError, StoreErrorKind};
use super::open::BUSY_TIMEOUT;

/// The log is copied into the database at the end of a turn from so many pages on.
const LOG_PAGES: i64 = 1_000;

/// What left the inbox; to be subtracted from the counters of the same turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
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
        let (mut removed, mut last) = (Removed::default(), None);
        {
            // CROSS JOIN: the inbox is walked, the topic looked up.
            let mut statement = self.connection.prepare_cached(
                "SELECT seq, octet_length(name) + octet_length(payload), props, received_ms
                 FROM inbox CROSS JOIN topic ON topic.tid = inbox.tid
                 WHERE seq <= ?1 ORDER BY seq LIMIT ?2",
            )?;
            let mut rows = statement.query([int(self.consumers.done_by_all()), int(max_rows as u64)])?;
            while let Some(row) = rows.next()? {
                let needed = removed.messages < over.messages || removed.bytes < over.bytes;
                if !needed && row.get::<_, i64>(3)? >= before_ms {
                    break;
                }
                removed.messages += 1;
                removed.bytes += read_size(row, 1, 2)?;
                last = Some(read_u64(row, 0)?);
            }
        }
        if let Some(last) = last {
            self.begin()?;
            self.connection.prepare_cached("DELETE FROM inbox WHERE seq <= ?1")?.execute([int(last)])?;
        }
        Ok(removed)
    }

    /// Keeps the write-ahead log short; to be called after every turn, with `idle` when nothing is to be done.
    ///
    /// # Errors
    /// The store's. After anything but `Full` and `Busy`: see [`Store::reopen`].
    pub fn maintain(&mut self, idle: bool) -> Result<(), StoreError> {
        if self.in_turn || self.broken {
            return Ok(());
        }
        let done = self.shorten_log(idle);
        self.doubt |= done.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Io);
        done
    }

    fn shorten_log(&self, idle: bool) -> Result<(), StoreError> {
        let pages = self.log_pages("NOOP")?;
        if pages >= LOG_PAGES {
            // Never RESTART while readers run: writes fell to 26 to 34 krow/s.
            self.log_pages("PASSIVE")?;
        }
        if idle && pages > 0 {
            // A reader in the middle of a page is not worth waiting for.
            self.connection.busy_timeout(Duration::ZERO)?;
            let done = self.log_pages("TRUNCATE");
            self.connection.busy_timeout(BUSY_TIMEOUT)?;
            done?;
        }
        Ok(())
    }

    /// Runs a checkpoint and says how long the log was or is.
    fn log_pages(&self, mode: &str) -> Result<i64, StoreError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        Ok(self.connection.prepare_cached(&sql)?.query_row([], |row| row.get(1))?)
    }
}
