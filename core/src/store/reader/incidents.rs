//! What befell the store's file.

use rusqlite::Connection;

use super::{Inner, Reader};
use crate::model::error::Error;
use crate::store::error::StoreError;

/// Something that befell the store's file, once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incident {
    /// When it was found out: Unix milliseconds.
    pub at_ms: i64,
    /// `damaged`: the file was set aside and saved from; `restored`: it is a copy of an earlier state.
    pub kind: String,
    /// In words, without paths and data.
    pub detail: String,
}

impl Reader {
    /// What befell the store's file so far, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn incidents(&self) -> Result<Vec<Incident>, Error> {
        self.read(|Inner { connection, .. }| read_incidents(connection))
    }
}

pub(in crate::store) fn read_incidents(connection: &Connection) -> Result<Vec<Incident>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT at_ms, kind, detail FROM incident ORDER BY id")?;
    let rows =
        statement.query_map([], |row| Ok(Incident { at_ms: row.get(0)?, kind: row.get(1)?, detail: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
