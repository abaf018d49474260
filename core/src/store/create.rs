//! Making a store: whole, or not at all.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::cipher::Unlock;
use super::consumers::encode_filters;
use super::error::{StoreError, StoreErrorKind};
use super::lock::beside;
use super::migrate::{APPLICATION_ID, upgrade};
use super::open::{StoreOptions, check_sqlite, pragmas, unavailable};
use super::writer::write_hot;
use crate::model::error::OpenError;
use crate::model::rows::Hot;

/// Our packet identifiers begin far from those of brokers, which begin at 1. The two are spaces of their own [2.2.1], but the
/// crate of the embedded broker mixes them: it gives a message another identifier when one of ours is open under the same
/// number, and then what it repeats cannot be told from a new one (measured: doubled in 1 of 8 demos).
const FIRST_SALT: u32 = 28_672;

const FRESH: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE).union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Makes the store, under the app's key if there is one.
pub(super) fn create(path: &Path, options: &StoreOptions<'_>, unlock: &Unlock) -> Result<(), OpenError> {
    check_sqlite(path)?;
    put_in_place(path, |fresh| {
        let connection =
            Connection::open_with_flags(fresh, FRESH).map_err(|error| StoreError::from(error).at_open(path))?;
        unlock.apply(&connection, path)?;
        fill_with(connection, options).map_err(|error| error.at_open(path))
    })
}

/// Makes a store under another name and renames it when it is whole: a kill in between leaves nothing half made.
pub(super) fn put_in_place<T>(path: &Path, make: impl FnOnce(&Path) -> Result<T, OpenError>) -> Result<T, OpenError> {
    let fresh = beside(path, "-new");
    let leftovers = ["", "-wal", "-shm", "-journal"].map(|suffix| beside(&fresh, suffix));
    let clear = || leftovers.iter().for_each(|file| drop(fs::remove_file(file)));
    clear();
    let made = make(&fresh).and_then(|made| {
        let system = |error: io::Error| unavailable(path, format!("it cannot be made: {error}"));
        fs::rename(&fresh, path).map_err(system)?;
        sync_folder(path).map_err(system)?;
        Ok(made)
    });
    clear();
    made
}

/// Names of files must survive a power cut too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened to be synced.
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A new store at this path, not encrypted.
pub(super) fn fill(path: &Path, options: &StoreOptions<'_>) -> Result<(), StoreError> {
    fill_with(Connection::open_with_flags(path, FRESH)?, options)
}

fn fill_with(mut connection: Connection, options: &StoreOptions<'_>) -> Result<(), StoreError> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|_| StoreError::new(StoreErrorKind::Other, "the system has no randomness"))?;
    let (store_id, name) = random.split_at(16);
    let client_id = match options.client_id {
        Some(client_id) => client_id.to_string(),
        None => name.iter().fold("homing".to_owned(), |id, byte| id + &format!("{byte:02x}")),
    };
    connection
        .execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")?;
    pragmas(&connection)?;
    let turn = connection.transaction()?;
    turn.pragma_update(None, "application_id", APPLICATION_ID)?;
    upgrade(&turn, 0)?;
    turn.execute(
        "INSERT INTO session (one, store_id, client_id, client_id_random, established, session_epoch, pid_salt, unanswered,
           unproven, boot_id, clean) VALUES (1, ?1, ?2, ?3, 0, 0, ?4, 0, 0, '', 1)",
        params![store_id, client_id, options.client_id.is_none(), FIRST_SALT],
    )?;
    turn.execute("INSERT INTO hot VALUES (1, 0,0,0,0,0,0,0,0, 0,0,0,0,0, 0,0,0,0,0, 0,0, 0,0,0)", [])?;
    let mut hot = Hot { next_seq: 1, next_release: 1, ..Hot::default() };
    (hot.clock_ms, hot.wall_ms, hot.last_contact_ms) = (options.wall_ms, options.wall_ms, options.wall_ms);
    for lane in &mut hot.lanes {
        (lane.next_ord, lane.verdict_floor) = (1, 1);
    }
    write_hot(&turn, &hot)?;
    turn.execute(
        "INSERT INTO consumer (name, filters, cursor) VALUES (?1, ?2, 0)",
        params![options.first_consumer, encode_filters(options.first_consumer_filters)?],
    )?;
    turn.commit()?;
    // Everything into the file itself, for only that is renamed.
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    connection.close().map_err(|(_, error)| error.into())
}
