//! A damaged file is set aside under another name, never deleted, and what can be read of it goes into a new store (P10).
//!
//! The order survives a kill anywhere: a note names the new name before the first file is renamed, and goes once the new
//! store stands in its place. Whoever opens the store with the note beside it finishes what was begun.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::cipher::Unlock;
use super::consumers::Consumers;
use super::create::sync_folder;
use super::error::StoreError;
use super::index::read_indexed;
use super::lock::{DriverLock, beside, lock_path};
use super::open::{StoreOptions, connect, inspect, locate, unavailable};
use super::salvage::{Saved, salvage};
use super::session_row::{read_hot, read_session, read_subscriptions};
use crate::model::error::OpenError;
use crate::model::utc::compact;

/// Holds the name that the damaged file gets.
const NOTE: &str = "-salvage";
/// What moves together.
const PARTS: [&str; 3] = ["-wal", "-shm", "-journal"];
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const PAGE: u64 = 4096;
/// Pages that are looked at to tell a damaged store from an encrypted one.
const SAMPLED: u64 = 64;

/// A damaged file that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its new name, in the folder of the store.
    pub name: String,
    /// What came through.
    pub saved: Saved,
}

/// Looks a second time at a store that could not be opened, under the driver lock, and sets it aside if it is damaged
/// still. None: it is all right now. `seen`: it has been met twice already while the store was driven.
///
/// # Errors
/// Whatever else keeps it from being opened: then nothing was renamed.
pub fn settle_damage(options: &StoreOptions<'_>, seen: bool) -> Result<Option<SetAside>, OpenError> {
    let path = locate(options.path, true)?;
    let unlock = Unlock::of(options);
    if unlock.has_key() {
        // Of an encrypted page nobody can tell damage from a wrong key.
        return inspect(&path, &unlock).and_then(|()| probe(&path, &unlock)).map(|()| None);
    }
    let looked = match inspect(&path, &unlock) {
        // The lock would make a file beside something that never was ours.
        Err(error @ OpenError::NotAStore { .. }) if !was_ours(&path) => return Err(error),
        looked => looked,
    };
    let emptied = is_emptied(&path);
    let lock = DriverLock::take(&path)?;
    if let Some(set_aside) = finish(&path, options, &lock)? {
        return Ok(Some(set_aside));
    }
    let damaged = match looked.and_then(|()| probe(&path, &unlock)) {
        Ok(()) => seen || emptied,
        Err(OpenError::StoreCorrupt { .. } | OpenError::NotAStore { .. }) => true,
        Err(error) => return Err(error),
    };
    let set_aside = match damaged {
        true => Some(set_aside(&path, options, &lock)?),
        false => None,
    };
    drop(lock);
    Ok(set_aside)
}

/// Everything that an open reads.
fn probe(path: &Path, unlock: &Unlock) -> Result<(), OpenError> {
    let connection = connect(path, unlock)?;
    let read = || -> Result<(), StoreError> {
        let hot = read_hot(&connection)?;
        read_session(&connection)?;
        Consumers::load(&connection)?;
        read_indexed(&connection)?;
        read_subscriptions(&connection)?;
        for table in ["released", "received_qos2", "skipped_pid", "gap", "driver"] {
            walk(&connection, &format!("SELECT * FROM {table}"))?;
        }
        for lane in 0..hot.lanes.len() {
            let (first, last) = hot.sent_ids(lane);
            walk(&connection, &format!("SELECT id, flags, props FROM outbox WHERE id BETWEEN {first} AND {last}"))?;
        }
        Ok(())
    };
    read().map_err(|error| error.at_open(path))
}

fn walk(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        row.get_ref(0)?;
    }
    Ok(())
}

/// A store of ours whose file has lost all its bytes: its lock or its log still stands beside it. To be asked before the
/// lock is taken.
pub(super) fn is_emptied(path: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|found| found.len());
    length(path).is_ok_and(|length| length == 0)
        && (lock_path(path).exists() || length(&beside(path, "-wal")).is_ok_and(|length| length > 0))
}

/// A log without its database: a new database beside it would be overwritten by what the log holds.
pub(super) fn lost_database(path: &Path) -> bool {
    !path.exists()
        && !beside(path, NOTE).exists()
        && fs::metadata(beside(path, "-wal")).is_ok_and(|found| found.len() > 0)
}

/// Whether a file that SQLite does not take for a database is a store of ours that was damaged. An encrypted file is no
/// database to us either, and must never be set aside: all of its pages look random, those of a store do not.
pub(super) fn was_ours(path: &Path) -> bool {
    let Ok(mut file) = fs::File::open(path) else { return false };
    let mut head = [0; 72];
    let read = file.read(&mut head).unwrap_or(0);
    let named =
        read == head.len() && head.starts_with(MAGIC) && head[68..72] == super::migrate::APPLICATION_ID.to_be_bytes();
    if named {
        return true;
    }
    if !lock_path(path).is_file() {
        return false;
    }
    let pages = file.metadata().map_or(0, |found| found.len() / PAGE);
    if pages == 0 {
        return MAGIC.starts_with(&head[..read.min(MAGIC.len())]) || head[..read].iter().all(|byte| *byte == 0);
    }
    let (mut plain, mut seen) = (0, 0);
    let stride = (pages / SAMPLED).max(1);
    for page in (0..pages).step_by(usize::try_from(stride).unwrap_or(1)) {
        let mut first = [0; 1];
        if file.seek(SeekFrom::Start(page * PAGE)).and_then(|_| file.read_exact(&mut first)).is_ok() {
            seen += 1;
            // Kinds of pages, the first byte of a small page number, or nothing.
            plain += u64::from([0, 2, 5, 10, 13].contains(&first[0]));
        }
    }
    plain * 2 > seen
}

fn set_aside(path: &Path, options: &StoreOptions<'_>, lock: &DriverLock) -> Result<SetAside, OpenError> {
    let system = |error: io::Error| unavailable(path, format!("it is damaged and cannot be set aside: {error}"));
    let store = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut name = format!("{store}-damaged-{}", compact(u64::try_from(options.wall_ms / 1000).unwrap_or(0)));
    while path.with_file_name(&name).exists() {
        name.push('x');
    }
    let note = beside(path, NOTE);
    fs::write(&note, &name).and_then(|()| fs::File::open(&note)?.sync_all()).map_err(system)?;
    sync_folder(path).map_err(system)?;
    fs::rename(path, path.with_file_name(&name)).map_err(system)?;
    let done = finish(path, options, lock)?;
    done.ok_or_else(|| unavailable(path, "it is damaged, and its new name has vanished; look at its folder".to_owned()))
}

/// Finishes what a kill has interrupted. To be called under the driver lock.
pub(super) fn finish(
    path: &Path,
    options: &StoreOptions<'_>,
    lock: &DriverLock,
) -> Result<Option<SetAside>, OpenError> {
    let system = |error: io::Error| unavailable(path, format!("its damaged file cannot be set aside: {error}"));
    let note = beside(path, NOTE);
    let name = match fs::read_to_string(&note) {
        Ok(name) => name,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system(error)),
    };
    let store = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(&name);
    // Not renamed yet, or half a note: as if nothing had been begun. A new store in its place: all was done.
    let begun = name.starts_with(&format!("{store}-damaged-")) && !name.contains(['/', '\\']) && aside.exists();
    let set_aside = match begun && !path.exists() {
        true => {
            for part in PARTS {
                let from = beside(path, part);
                if from.exists() && !beside(&aside, part).exists() {
                    fs::rename(from, beside(&aside, part)).map_err(system)?;
                }
            }
            sync_folder(path).map_err(system)?;
            // What the lock file says is of the damaged store: the new one would be taken for a copy.
            lock.forget_mark().map_err(system)?;
            let saved = salvage(&aside, path, options, &name)?;
            tracing::warn!(file = %name, rows = saved.rows(), "the store was damaged: set aside, and what could be read was saved");
            Some(SetAside { name, saved })
        }
        false => None,
    };
    fs::remove_file(&note).map_err(system)?;
    sync_folder(path).map_err(system)?;
    Ok(set_aside)
}

/// Files of this store that were set aside, by name.
pub(super) fn set_aside_files(path: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}-damaged-", path.file_name().unwrap_or_default().to_string_lossy());
    let Some(Ok(entries)) = path.parent().map(fs::read_dir) else { return Vec::new() };
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&prefix) && !PARTS.iter().any(|part| name.ends_with(part))
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(ours).collect();
    found.sort();
    found
}
