//! Idempotency keys: which message a key already stands for. Only messages that carry one cost anything.

use rusqlite::{OptionalExtension as _, params};

use super::Store;
use super::codec::int;
use super::error::StoreError;

/// At most so many keys are kept; the oldest go first.
pub const MAX_KEYS: u64 = 100_000;

impl Store {
    /// The message that was accepted with this key, if that is known still.
    ///
    /// # Errors
    /// The store's.
    pub fn idempotency(&mut self, key: &str, now_ms: i64) -> Result<Option<u64>, StoreError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT id FROM idem WHERE key = ?1 AND until_ms > ?2")?
                .query_row(params![key, now_ms], |row| row.get::<_, i64>(0))
                .optional()?
                .map(i64::cast_unsigned))
        })
    }

    pub(super) fn put_idempotency(&mut self, key: &str, id: u64, now_ms: i64, until_ms: i64) -> Result<(), StoreError> {
        self.begin()?;
        let connection = &self.connection;
        let mut count = match self.keys {
            Some(count) => count,
            None => connection.query_row("SELECT count(*) FROM idem", [], |row| row.get::<_, i64>(0))?.cast_unsigned(),
        };
        // Whatever is over, a row of this very key included: so the count stays exact.
        let over = connection
            .prepare_cached("DELETE FROM idem WHERE until_ms <= ?1 OR key = ?2")?
            .execute(params![now_ms, key])?;
        count = count.saturating_sub(over as u64);
        connection.prepare_cached("INSERT INTO idem (key, id, until_ms) VALUES (?1, ?2, ?3)")?.execute(params![
            key,
            int(id),
            until_ms
        ])?;
        count += 1;
        if count > MAX_KEYS {
            let oldest = "DELETE FROM idem WHERE key IN (SELECT key FROM idem ORDER BY until_ms LIMIT ?1)";
            count -= connection.prepare_cached(oldest)?.execute([int(count - MAX_KEYS)])? as u64;
        }
        self.keys = Some(count);
        Ok(())
    }
}
