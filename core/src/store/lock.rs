//! One driver a store (P11): a lock on `<store>-lock`, never on the store's file, because closing any descriptor of
//! that file drops SQLite's own locks in this process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::model::error::OpenError;

// A reader that asks whether anybody drives holds the lock shared for some microseconds.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// Held as long as the store is driven; the system frees it when the process dies.
#[derive(Debug)]
pub(super) struct DriverLock(File);

pub(super) fn lock_path(store: &Path) -> PathBuf {
    beside(store, "-lock")
}

/// A file that belongs to the store.
pub(super) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(suffix);
    PathBuf::from(name)
}

impl DriverLock {
    /// What stands in it: see `mark.rs`.
    pub(super) fn file(&self) -> &File {
        &self.0
    }

    pub(super) fn take(store: &Path) -> Result<Self, OpenError> {
        let unavailable = |detail: String| OpenError::StoreUnavailable { path: store.to_owned(), detail };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(lock_path(store))
            .map_err(|error| unavailable(format!("its lock file cannot be opened: {error}")))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(unavailable(format!("its lock file cannot be locked: {error}")));
                }
            }
        }
        Err(OpenError::StoreInUse { path: store.to_owned() })
    }
}

/// Whether somebody drives the store right now.
pub(super) fn is_driven(store: &Path) -> bool {
    match File::open(lock_path(store)) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}
