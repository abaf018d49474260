//! Schema versions: version n is made by `core/migrations/00n_*.sql`, and every store is brought to the newest one in
//! one transaction, its rows preserved.

use rusqlite::Connection;

use super::error::StoreError;

/// "HOMG": tells our files from other programs'.
pub const APPLICATION_ID: u32 = 0x484f_4d47;

/// The schema version that this build writes.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

const MIGRATIONS: [&str; 2] =
    [include_str!("../../migrations/001_heart.sql"), include_str!("../../migrations/002_product.sql")];

/// Brings a store of version `found` up to date. Must run inside a transaction.
pub(super) fn upgrade(connection: &Connection, found: u32) -> Result<(), StoreError> {
    for step in MIGRATIONS.iter().skip(found as usize) {
        connection.execute_batch(step)?;
    }
    Ok(connection.pragma_update(None, "user_version", SCHEMA_VERSION)?)
}
