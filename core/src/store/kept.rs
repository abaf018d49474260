//! Last values of topics whose messages have left the inbox. A bound of topics and one of bytes (P7): beyond them the values
//! that were not heard of for the longest time go, and the topic's row with them.

use std::collections::HashSet;

use rusqlite::Connection;

use super::Store;
use super::codec::{int, read_u64};
use super::error::StoreError;
use super::index::INDEX_ROWS;

/// Topics of which only the last value is left.
pub const MAX_KEPT: u64 = 100_000;
/// The bytes of their payloads.
pub const MAX_KEPT_BYTES: u64 = 64 << 20;
/// So many go in one turn at the most.
const PRUNE_AT_ONCE: u64 = 500;

/// How much is kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    values: u64,
    bytes: u64,
}

impl Kept {
    fn count(connection: &Connection) -> Result<Self, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT count(*), total(length(last_payload)) FROM topic INDEXED BY topic_kept WHERE last_payload IS NOT NULL",
        )?;
        Ok(statement.query_row([], |row| {
            Ok(Self { values: row.get::<_, i64>(0)?.cast_unsigned(), bytes: row.get::<_, f64>(1)? as u64 })
        })?)
    }

    pub(super) fn remove(&mut self, bytes: u64) {
        self.values = self.values.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn is_over(&self) -> bool {
        self.values > MAX_KEPT || self.bytes > MAX_KEPT_BYTES
    }
}

impl Store {
    /// Before rows up to `through` leave the inbox: the last values among them move to their topics.
    pub(super) fn keep_values(&mut self, tids: &[i64], through: u64) -> Result<(), StoreError> {
        let mut kept = match self.kept {
            Some(kept) => kept,
            None => Kept::count(&self.connection)?,
        };
        let mut statement = self.connection.prepare_cached(
            "UPDATE topic SET (last_payload, last_props, last_flags) =
               (SELECT payload, props, flags FROM inbox WHERE seq = last_seq)
             WHERE tid = ?1 AND last_seq <= ?2 AND last_payload IS NULL RETURNING length(last_payload)",
        )?;
        for tid in tids {
            let mut rows = statement.query([*tid, int(through)])?;
            if let Some(row) = rows.next()? {
                kept.values += 1;
                kept.bytes += read_u64(row, 0)?;
            }
        }
        self.kept = Some(kept);
        Ok(())
    }

    /// Some of what is over the bounds goes. The newest topic stays, for a number must never name two topics: readers
    /// remember them.
    pub(super) fn prune_kept(&mut self) -> Result<(), StoreError> {
        let Some(mut kept) = self.kept.filter(Kept::is_over) else { return Ok(()) };
        if self.unindexed(self.hot.next_seq) > 4 * INDEX_ROWS {
            // Only just upgraded: once the index is there.
            return Ok(());
        }
        let beyond = self.topics_beyond_the_index()?;
        let mut gone = Vec::new();
        {
            let mut statement = self.connection.prepare_cached(
                "SELECT tid, name, length(last_payload) FROM topic INDEXED BY topic_kept
                 WHERE last_payload IS NOT NULL AND tid < (SELECT max(tid) FROM topic) ORDER BY last_at_ms LIMIT ?1",
            )?;
            let mut rows = statement.query([int(PRUNE_AT_ONCE)])?;
            while kept.is_over()
                && let Some(row) = rows.next()?
            {
                if beyond.contains(&row.get::<_, i64>(0)?) {
                    // Its next message has come.
                    continue;
                }
                kept.remove(read_u64(row, 2)?);
                gone.push((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            }
        }
        for (tid, name) in gone {
            self.connection.prepare_cached("DELETE FROM topic WHERE tid = ?1")?.execute([tid])?;
            self.topics.forget(&name);
        }
        self.kept = Some(kept);
        Ok(())
    }

    fn topics_beyond_the_index(&self) -> Result<HashSet<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT tid FROM inbox WHERE seq > ?1")?;
        let tids = statement.query_map([int(self.indexed)], |row| row.get(0))?;
        Ok(tids.collect::<Result<_, _>>()?)
    }
}
