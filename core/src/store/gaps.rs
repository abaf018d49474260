//! Recorded gaps: one row a filter, at most 10,000; beyond it the oldest that are closed go (P7).

use rusqlite::params;

use super::Store;
use super::codec::{int, read_u64};
use super::error::StoreError;
use super::session_row::{read_cause, read_filter};
use crate::model::event::{Gap, GapCause};
use crate::model::rows::OpenGap;
use crate::model::topic::TopicFilter;

/// Rows that are kept. Open ones are never pruned: there is one a subscription and cause.
pub const MAX_GAPS: u64 = 10_000;
/// So many more go at once, so that not every gap has one pruned.
const PRUNE_AT_ONCE: u64 = 100;

impl Store {
    pub(super) fn open_gap(
        &mut self,
        filter: &TopicFilter,
        cause: GapCause,
        from_ms: i64,
        after_seq: u64,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let made = self
            .connection
            .prepare_cached(
                "INSERT INTO gap (filter, cause, from_ms, after_seq) SELECT ?1, ?2, ?3, ?4
                 WHERE NOT EXISTS (SELECT 1 FROM gap WHERE filter = ?1 AND cause = ?2 AND to_ms IS NULL)",
            )?
            .execute(params![filter.as_str(), cause.as_str(), from_ms, int(after_seq)])?;
        self.count_gaps(made as u64)
    }

    pub(super) fn close_gap(&mut self, filter: &TopicFilter, cause: GapCause, to_ms: i64) -> Result<(), StoreError> {
        self.begin()?;
        self.connection
            .prepare_cached("UPDATE gap SET to_ms = ?3 WHERE filter = ?1 AND cause = ?2 AND to_ms IS NULL")?
            .execute(params![filter.as_str(), cause.as_str(), to_ms])?;
        Ok(())
    }

    pub(super) fn note_gap(&mut self, gap: &Gap) -> Result<(), StoreError> {
        self.begin()?;
        for filter in &gap.filters {
            self.connection
                .prepare_cached(
                    "INSERT INTO gap (filter, cause, from_ms, to_ms, after_seq, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    filter.as_str(),
                    gap.cause.as_str(),
                    gap.from_ms,
                    gap.to_ms,
                    int(gap.after_seq),
                    gap.bytes.map(int)
                ])?;
        }
        self.count_gaps(gap.filters.len() as u64)
    }

    fn count_gaps(&mut self, more: u64) -> Result<(), StoreError> {
        self.gaps = Some(match self.gaps {
            Some(count) => count + more,
            None => self
                .connection
                .prepare_cached("SELECT count(*) FROM gap")?
                .query_row([], |row| row.get::<_, i64>(0))?
                .cast_unsigned(),
        });
        Ok(())
    }

    pub(super) fn prune_gaps(&mut self) -> Result<(), StoreError> {
        let Some(count) = self.gaps.filter(|count| *count > MAX_GAPS) else { return Ok(()) };
        let gone = self
            .connection
            .prepare_cached(
                "DELETE FROM gap WHERE id IN (SELECT id FROM gap WHERE to_ms IS NOT NULL ORDER BY id LIMIT ?1)",
            )?
            .execute([int(count - MAX_GAPS + PRUNE_AT_ONCE)])?;
        self.gaps = Some(count - gone as u64);
        Ok(())
    }

    /// Gaps without an end, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn open_gaps(&mut self) -> Result<Vec<OpenGap>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT filter, cause, from_ms, after_seq FROM gap WHERE to_ms IS NULL ORDER BY id")?;
            let mut rows = statement.query([])?;
            let mut gaps = Vec::new();
            while let Some(row) = rows.next()? {
                gaps.push(OpenGap {
                    filter: read_filter(row, 0)?,
                    cause: read_cause(row, 1)?,
                    from_ms: row.get(2)?,
                    after_seq: read_u64(row, 3)?,
                });
            }
            Ok(gaps)
        })
    }
}
