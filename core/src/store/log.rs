//! The write-ahead log after a sync that failed.
//!
//! What was written before it may be in the system's memory alone: it reads back well, and no later sync writes it out, for
//! its pages count as written. Whoever believes it loses it in a power cut, and every commit behind it. A checkpoint that
//! such a cut meets leaves half of a turn in the database.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::Store;
use super::cipher::Unlock;
use super::error::StoreError;
use super::lock::beside;
use super::open::{StoreOptions, connect, unavailable};
use crate::model::error::OpenError;

/// So much of the log is held in memory at once.
const PIECE: usize = 256 << 10;

impl Store {
    /// After a [`Store::reopen`] that failed: as [`Store::open_existing`], but what the log holds is made certain before it is
    /// believed.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing was changed.
    pub fn open_again(options: &StoreOptions<'_>) -> Result<Self, OpenError> {
        Self::open_as(options, false, true)
    }
}

/// Closes a connection. In doubt the log stays as it is: SQLite would copy it into the database, believing it.
pub(super) fn close(connection: Connection, doubt: bool) {
    if doubt && let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        tracing::warn!(%error, "the log cannot be kept as it is");
    }
}

/// Makes certain what the log holds, and empties it into the database. A commit that failed has then happened for good, or
/// never will: left in the log behind the last commit that counts, it would come back once every reader is gone.
///
/// # Errors
/// [`OpenError`]: it is as uncertain as before.
pub(super) fn settle_log(store: &Path, unlock: &Unlock) -> Result<(), OpenError> {
    let uncertain =
        |what: String| unavailable(store, format!("its log cannot be made certain: {what}; try again later"));
    rewrite(&beside(store, "-wal")).map_err(|error| uncertain(error.to_string()))?;
    let connection = connect(store, unlock)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    match busy.map_err(StoreError::from) {
        Ok(false) => Ok(()),
        Ok(true) => Err(uncertain("another program is reading it".to_owned())),
        Err(error) => Err(error.at_open(store)),
    }
}

/// Writes the log's own bytes over it, and syncs them. Readers of other processes see no difference.
fn rewrite(log: &Path) -> io::Result<()> {
    let mut log = match OpenOptions::new().read(true).write(true).open(log) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let length = log.read(&mut piece)?;
        if length == 0 {
            return log.sync_all();
        }
        log.seek(SeekFrom::Start(at))?;
        log.write_all(&piece[..length])?;
        at += length as u64;
    }
}
