//! The index by topic and each topic's last value: filled together and in batches, behind a watermark. Row by row they cost
//! more than the message itself (measured: 29 against 353 thousand rows a second with 1,000 topics in random order).

use rusqlite::{Connection, OptionalExtension as _};

use super::Store;
use super::codec::{int, read_u64};
use super::error::{StoreError, StoreErrorKind};
use super::session_row::read_hot;
use crate::model::rows::Hot;

/// Rows of a batch; so many, and a turn's, stand beyond the watermark while messages come.
pub const INDEX_ROWS: u64 = 8_192;
/// Rows that one turn takes up.
const SLICE_ROWS: usize = 2_048;

impl Store {
    /// At most so many rows below `next_seq` stand beyond the watermark.
    pub fn unindexed(&self, next_seq: u64) -> u64 {
        next_seq.saturating_sub(self.indexed + 1)
    }

    /// Whether a batch was begun: each turn takes a slice of it.
    pub fn is_indexing(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes a slice of up to 2,048 rows beyond the watermark into the index, within the turn. True: a batch is through, and
    /// there was nothing behind it when it was begun.
    ///
    /// # Errors
    /// The store's.
    pub fn index(&mut self) -> Result<bool, StoreError> {
        self.check()?;
        let done = self.flush().and_then(|()| self.index_slice());
        self.note(done)
    }

    /// A turn for the index alone, with the counters as they are. False: no room on the disk, or somebody's lock: nothing
    /// was changed, and it can wait.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub fn index_alone(&mut self, hot: &Hot) -> Result<bool, StoreError> {
        let Err(error) = self.index().and_then(|_| self.commit(hot)) else { return Ok(true) };
        let can_wait = matches!(error.kind, StoreErrorKind::Full | StoreErrorKind::Busy);
        match can_wait && self.undo()? {
            true => Ok(false),
            false => Err(error),
        }
    }

    /// Rolls back a turn in which nothing but upkeep was done. False: it may have been committed all the same.
    fn undo(&mut self) -> Result<bool, StoreError> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        (self.in_turn, self.locked) = (false, false);
        (self.kept, self.indexed) = (None, read_indexed(&self.connection)?);
        self.pending.clear();
        let undone = read_hot(&self.connection)?.turn == self.hot.turn;
        self.broken &= !undone;
        Ok(undone)
    }

    /// A whole batch, or the rest of one, without what is still staged. True: there are no more.
    pub(super) fn index_batch(&mut self) -> Result<bool, StoreError> {
        let fresh = !self.is_indexing();
        loop {
            let complete = self.index_slice()?;
            if complete || !self.is_indexing() {
                // Since an older batch was begun there may be more.
                return Ok(complete && fresh);
            }
        }
    }

    /// What stands in the index beyond the watermark is not read, so a batch may be begun in one turn and ended in another:
    /// 8,192 rows of 1,000 topics touch 1,000 pages, too many for one turn.
    fn index_slice(&mut self) -> Result<bool, StoreError> {
        self.begin()?;
        if self.pending.is_empty() {
            let mut found = unindexed_rows(&self.connection, self.indexed)?;
            self.batch_complete = (found.len() as u64) < INDEX_ROWS;
            self.batch_through = found.last().map_or(self.indexed, |(_, seq)| *seq);
            if self.batch_complete {
                // Numbers that no row has: what was skipped at a boot, or not stored.
                self.batch_through = self.batch_through.max(self.hot.next_seq - 1);
            }
            // Taken from the end.
            found.sort_unstable_by(|a, b| b.cmp(a));
            self.pending = found;
        }
        let slice = self.pending.split_off(self.pending.len().saturating_sub(SLICE_ROWS));
        self.inserts.by_topic.run(&self.connection, &slice, |columns, (tid, seq)| {
            columns.put(*tid)?;
            Ok(columns.put(int(*seq))?)
        })?;
        for same in slice.chunk_by(|(a, _), (b, _)| a == b) {
            let (tid, seq) = same[0];
            self.new_last_value(tid, seq)?;
        }
        if !self.pending.is_empty() {
            return Ok(false);
        }
        if self.batch_through > self.indexed {
            self.connection
                .prepare_cached("UPDATE session SET indexed_through = ?1")?
                .execute([int(self.batch_through)])?;
            self.indexed = self.batch_through;
        }
        Ok(self.batch_complete)
    }

    fn new_last_value(&mut self, tid: i64, seq: u64) -> Result<(), StoreError> {
        if let Some(kept) = &mut self.kept {
            let bytes: Option<i64> = self
                .connection
                .prepare_cached("SELECT length(last_payload) FROM topic WHERE tid = ?1")?
                .query_row([tid], |row| row.get(0))
                .optional()?
                .flatten();
            if let Some(bytes) = bytes {
                kept.remove(bytes.cast_unsigned());
            }
        }
        self.connection
            .prepare_cached(
                "UPDATE topic SET last_seq = ?2, last_at_ms = (SELECT received_ms FROM inbox WHERE seq = ?2),
                   last_payload = NULL, last_props = NULL, last_flags = NULL WHERE tid = ?1",
            )?
            .execute([tid, int(seq)])?;
        Ok(())
    }
}

/// Topic and number of the first rows beyond the watermark.
fn unindexed_rows(connection: &Connection, indexed: u64) -> Result<Vec<(i64, u64)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq, tid FROM inbox WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query([int(indexed), int(INDEX_ROWS)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(1)?, read_u64(row, 0)?));
    }
    Ok(found)
}

pub(super) fn read_indexed(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT indexed_through FROM session")?
        .query_row([], |row| row.get::<_, i64>(0))?
        .cast_unsigned())
}
