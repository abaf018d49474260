//! Recorded gaps.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{Inner, Reader};
use crate::model::error::Error;
use crate::model::event::{Gap, GapCause};
use crate::store::codec::read_u64;
use crate::store::error::StoreError;
use crate::store::session_row::{read_cause, read_filter};

impl Reader {
    /// All recorded gaps, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn gaps(&self) -> Result<Vec<Gap>, Error> {
        self.read(|Inner { connection, .. }| read_gaps(connection))
    }
}

/// Cause, from, to, after which message, size.
type Told = (GapCause, i64, Option<i64>, u64, Option<u64>);

/// Rows of the same cause and times are one gap of several filters.
fn read_gaps(connection: &Connection) -> Result<Vec<Gap>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT filter, cause, from_ms, to_ms, after_seq, bytes FROM gap ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut gaps: Vec<Gap> = Vec::new();
    let mut places: HashMap<Told, usize> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (cause, from_ms, to_ms, after_seq) = (read_cause(row, 1)?, row.get(2)?, row.get(3)?, read_u64(row, 4)?);
        let bytes = row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned);
        let place = *places.entry((cause, from_ms, to_ms, after_seq, bytes)).or_insert_with(|| {
            gaps.push(Gap { filters: Vec::new(), cause, from_ms, to_ms, after_seq, bytes });
            gaps.len() - 1
        });
        gaps[place].filters.push(read_filter(row, 0)?);
    }
    Ok(gaps)
}

pub(super) fn count_gaps(connection: &Connection) -> Result<u64, StoreError> {
    Ok(read_gaps(connection)?.len() as u64)
}
