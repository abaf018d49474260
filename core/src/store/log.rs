//! The write-ahead log after a sync that failed.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::lock::beside;
use super::open::unavailable;
use crate::model::error::OpenError;

/// So much of the log is held in memory at once.
const PIECE: usize = 256 << 10;

/// Writes the log's own bytes over it, and syncs them. A failed sync can leave a commit in the system's memory that reads
/// back well and that no later sync writes out, for its pages count as written: whoever believes it loses it in a power
/// cut, and every commit behind it, and a checkpoint cut short would leave half of it in the database.
///
/// The same bytes in the same places: readers of other processes see no difference. Only under the driver's lock.
pub(super) fn rewrite(store: &Path) -> Result<(), OpenError> {
    let run = || -> std::io::Result<()> {
        let mut log = match OpenOptions::new().read(true).write(true).open(beside(store, "-wal")) {
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
    };
    run().map_err(|error| unavailable(store, format!("its log cannot be made certain: {error}; try again later")))
}
