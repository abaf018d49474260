//! Opening: nothing is touched before it is known to be a store of ours that nobody else drives.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::Store;
use super::boot::settle_boot;
use super::cipher::Unlock;
use super::consumers::Consumers;
use super::create::create;
use super::damage::{finish, is_emptied, lost_database};
use super::error::{StoreError, StoreErrorKind};
use super::index::read_indexed;
use super::lock::DriverLock;
use super::log::{close, settle_log};
use super::migrate::{APPLICATION_ID, SCHEMA_VERSION, upgrade};
pub(super) use super::paths::{file_uri, is_new, locate};
use super::restored::settle_copy;
use super::session_row::{read_hot, read_session};
use super::space::Space;
use super::topics::Topics;
use super::writer::{Inserts, Staged};
use crate::model::error::OpenError;
#[cfg(feature = "encryption")]
use crate::model::key::KeyProvider;
use crate::model::options::{DeviceToken, Durability};
use crate::model::rows::Hot;
use crate::model::topic::{ClientId, TopicFilter};

/// 3.51.3: earlier ones lose data when two connections reset the log at once.
const OLDEST_SQLITE: i32 = 3_051_003;
const SMALLEST_PAGE: u64 = 512;
const FOREIGN: &str = "an SQLite file of another program";
const NOT_SQLITE: &str = if cfg!(feature = "encryption") {
    "a file of something else, not SQLite"
} else {
    "a file of something else, not SQLite (or encrypted, which this build cannot read)"
};
/// How long a lock that another program holds (a backup, a curious tool) is waited for before it counts as trouble.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept; there are about 50.
const STATEMENTS: usize = 96;

/// What a store is opened with.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions<'a> {
    /// The store's file; its folder is made if missing.
    pub path: &'a Path,
    /// When a commit counts as done.
    pub durability: Durability,
    /// None: the store's own; a new store makes a random one.
    pub client_id: Option<&'a ClientId>,
    /// The consumer that a new store begins with.
    pub first_consumer: &'a str,
    /// What it wants; empty: everything.
    pub first_consumer_filters: &'a [TopicFilter],
    /// Names this installation: another one than the store's means a copy. None: nothing is compared.
    pub device_token: Option<&'a DeviceToken>,
    /// The key of an encrypted store; None: it is plain.
    #[cfg(feature = "encryption")]
    pub key: Option<&'a KeyProvider>,
    /// Wall clock, for a new store and a copy.
    pub wall_ms: i64,
}

impl Store {
    /// Takes the driver lock and opens the store, or makes it.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing was changed.
    pub fn open(options: &StoreOptions<'_>) -> Result<Self, OpenError> {
        Self::open_as(options, true, false)
    }

    /// Like `open`, but never makes a store: one that has vanished while it was driven must not be followed by an empty
    /// one in silence.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing was changed.
    pub fn open_existing(options: &StoreOptions<'_>) -> Result<Self, OpenError> {
        Self::open_as(options, false, false)
    }

    /// `make`: if it is missing; `doubt`: see [`Store::open_again`].
    pub(super) fn open_as(options: &StoreOptions<'_>, make: bool, doubt: bool) -> Result<Self, OpenError> {
        let path = locate(options.path, true)?;
        let unlock = Unlock::of(options);
        inspect(&path, &unlock)?;
        if is_emptied(&path) {
            return Err(OpenError::StoreCorrupt { path, detail: "its file is empty".to_owned() });
        }
        let lock = DriverLock::take(&path)?;
        finish(&path, options, &lock)?;
        let space = Space::new(&path);
        // Only now nobody else can be making it.
        if is_new(&path)? {
            if !make {
                return Err(vanished(&path));
            }
            if lost_database(&path) {
                let detail = "its file has vanished, but its log is there; put it back, or move the log away";
                return Err(unavailable(&path, detail.to_owned()));
            }
            lock.forget_mark()
                .map_err(|error| unavailable(&path, format!("its lock file cannot be written: {error}")))?;
            create(&path, options, &unlock)?;
        } else if doubt {
            settle_log(&path, &unlock)?;
        }
        let connection = connect(&path, &unlock)?;
        let stored: String = connection
            .query_row("SELECT client_id FROM session", [], |row| row.get(0))
            .map_err(|error| StoreError::from(error).at_open(&path))?;
        if let Some(asked) = options.client_id.filter(|asked| asked.as_str() != stored) {
            return Err(OpenError::ClientIdMismatch { stored, asked: asked.to_string() });
        }
        let token = options.device_token.map(DeviceToken::as_bytes);
        let restored = settle_copy(&connection, &lock, token, options.wall_ms).map_err(|error| error.at_open(&path))?;
        let mut store = Self::start(connection, path, unlock, options.durability, (lock, space), settle_boot)?;
        store.restored = restored;
        Ok(store)
    }

    /// Closes every handle and opens the store again, keeping the lock: the way on after a failed commit. `hot().turn`
    /// then tells for good whether that commit happened after all. What was not committed is gone.
    ///
    /// # Errors
    /// [`OpenError`]; then the lock is free.
    pub fn reopen(self) -> Result<Self, OpenError> {
        let Self { connection, path, unlock, durability, lock, space, doubt, .. } = self;
        close(connection, doubt);
        if is_new(&path)? {
            return Err(vanished(&path));
        }
        inspect(&path, &unlock)?;
        if doubt {
            settle_log(&path, &unlock)?;
        }
        let connection = connect(&path, &unlock)?;
        // It is still the same boot, whatever the system says of it: a skip would look like the commit in doubt.
        Self::start(connection, path, unlock, durability, (lock, space), |connection, _| read_hot(connection))
    }

    /// Closes in order: the log is emptied, and the next boot need not fear lost commits. Commit first.
    ///
    /// # Errors
    /// The store's; it is closed all the same.
    pub fn close(mut self) -> Result<(), StoreError> {
        if self.in_turn || self.broken {
            return Ok(());
        }
        if self.durability == Durability::ProcessKill {
            self.set_full_sync(true)?;
            self.connection.execute("UPDATE session SET clean = 1", [])?;
            self.certain = self.hot.turn;
        }
        self.empty_log()
    }

    fn start(
        connection: Connection,
        path: PathBuf,
        unlock: Unlock,
        durability: Durability,
        (lock, space): (DriverLock, Space),
        counters: fn(&Connection, Durability) -> Result<Hot, StoreError>,
    ) -> Result<Self, OpenError> {
        let read = || -> Result<_, StoreError> {
            let hot = counters(&connection, durability)?;
            let any_released = connection.prepare("SELECT 1 FROM released")?.exists([])?;
            let indexed = read_indexed(&connection)?;
            let session = read_session(&connection)?;
            let consumers = Consumers::load(&connection)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
            Ok((hot, session, consumers, any_released, indexed))
        };
        let (hot, session, consumers, any_released, indexed) = read().map_err(|error| error.at_open(&path))?;
        Ok(Self {
            connection,
            inserts: Inserts::new(),
            topics: Topics::new(),
            consumers,
            staged: Staged::default(),
            in_turn: false,
            locked: false,
            patience: BUSY_TIMEOUT,
            broken: false,
            doubt: false,
            hot,
            session,
            verdicts: None,
            indexed,
            pending: Vec::new(),
            batch_through: 0,
            batch_complete: false,
            swept: 0,
            kept: None,
            gaps: None,
            keys: None,
            any_released,
            synced: hot,
            // Whatever the durability: the first commit also syncs what earlier runs of this boot left unsynced.
            full_sync: true,
            certain: 0,
            marked: 0,
            restored: None,
            durability,
            space,
            path,
            unlock,
            lock,
        })
    }
}

pub(super) fn unavailable(path: &Path, detail: String) -> OpenError {
    OpenError::StoreUnavailable { path: path.to_owned(), detail }
}

fn vanished(path: &Path) -> OpenError {
    unavailable(path, "its file has vanished; put it back".to_owned())
}

pub(super) fn not_a_store(path: &Path, what: &str) -> OpenError {
    OpenError::NotAStore { path: path.to_owned(), what: what.to_owned() }
}

/// Refuses what is not ours or cannot be written, without touching it.
pub(super) fn inspect(path: &Path, unlock: &Unlock) -> Result<(), OpenError> {
    if let Some(folder) = path.parent()
        && fs::metadata(folder).is_ok_and(|found| found.permissions().readonly())
    {
        return Err(unavailable(path, "its folder is read-only; make it writable, or use another one".to_owned()));
    }
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(path, error.to_string())),
    };
    if found.is_file() && found.permissions().readonly() {
        return Err(unavailable(path, "the file is read-only; make it writable".to_owned()));
    }
    if found.is_file() && found.len() == 0 {
        return Ok(());
    }
    recognise(path, unlock)
}

/// Refuses what is not a store, or one of a newer version. Reads without locks: even opening a foreign file in the
/// ordinary way would make files beside it.
pub(super) fn recognise(path: &Path, unlock: &Unlock) -> Result<(), OpenError> {
    let found = fs::metadata(path).map_err(|error| unavailable(path, error.to_string()))?;
    if found.is_dir() {
        return Err(not_a_store(path, "a folder"));
    }
    // A pipe would be waited for.
    if !found.is_file() {
        return Err(not_a_store(path, "not an ordinary file"));
    }
    // SQLite takes a file of one byte for an empty database.
    if found.len() < SMALLEST_PAGE {
        return Err(not_a_store(path, NOT_SQLITE));
    }
    if super::cipher::is_plain(path)
        && let Some(error) = unlock.unreadable(path)
    {
        return Err(error);
    }
    let uri = file_uri(path) + "?immutable=1";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(&uri, flags).map_err(|error| StoreError::from(error).at_open(path))?;
    unlock.apply(&connection, path)?;
    let read = || -> rusqlite::Result<(u32, u32)> {
        Ok((pragma(&connection, "application_id")?, pragma(&connection, "user_version")?))
    };
    match read() {
        Ok((APPLICATION_ID, version)) if version > SCHEMA_VERSION => Err(too_new(path, version)),
        Ok((APPLICATION_ID, _)) => Ok(()),
        Ok(_) => Err(not_a_store(path, FOREIGN)),
        Err(rusqlite::Error::SqliteFailure(code, _))
            if code.code == rusqlite::ErrorCode::NotADatabase && unlock.asks_log(path) =>
        {
            Ok(())
        }
        Err(rusqlite::Error::SqliteFailure(code, _)) if code.code == rusqlite::ErrorCode::NotADatabase => {
            Err(unlock.unreadable(path).unwrap_or_else(|| not_a_store(path, NOT_SQLITE)))
        }
        // The file in the middle of a checkpoint: those who open it in the ordinary way will see.
        Err(rusqlite::Error::SqliteFailure(code, _)) if code.code == rusqlite::ErrorCode::DatabaseCorrupt => Ok(()),
        Err(error) => Err(StoreError::from(error).at_open(path)),
    }
}

/// What `recognise` saw may be outdated, and without locks is not certain.
pub(super) fn confirm(connection: &Connection, path: &Path, unlock: &Unlock) -> Result<u32, OpenError> {
    let read =
        || Ok::<_, rusqlite::Error>((pragma(connection, "application_id")?, pragma(connection, "user_version")?));
    let found = read().map_err(|error| {
        let wrong_key = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => unlock.unreadable(path),
            _ => None,
        };
        wrong_key.unwrap_or_else(|| StoreError::from(error).at_open(path))
    });
    match found? {
        (APPLICATION_ID, version) if version > SCHEMA_VERSION => Err(too_new(path, version)),
        (APPLICATION_ID, version) => Ok(version),
        _ => Err(not_a_store(path, FOREIGN)),
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(|number| number as u32)
}

fn too_new(path: &Path, found: u32) -> OpenError {
    OpenError::StoreTooNew { path: path.to_owned(), found, known: SCHEMA_VERSION }
}

pub(super) fn check_sqlite(path: &Path) -> Result<(), OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        let found = rusqlite::version();
        return Err(unavailable(path, format!("SQLite {found} is linked, 3.51.3 or later is needed; rebuild with it")));
    }
    Ok(())
}

/// Opens the writing connection of an existing store and brings its schema up to date.
pub(super) fn connect(path: &Path, unlock: &Unlock) -> Result<Connection, OpenError> {
    check_sqlite(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, StoreError> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Until it is known to be whole, a damaged file and its log stay as they are.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        match connection.is_readonly("main")? {
            true => Err(StoreError::new(StoreErrorKind::ReadOnly, "the file is read-only")),
            false => Ok(connection),
        }
    };
    let mut connection = open().map_err(|error| error.at_open(path))?;
    unlock.apply(&connection, path)?;
    let found = confirm(&connection, path, unlock)?;
    pragmas(&connection).map_err(|error| error.at_open(path))?;
    if found < SCHEMA_VERSION {
        raise(&mut connection, found).map_err(|error| error.at_open(path))?;
    }
    Ok(connection)
}

fn raise(connection: &mut Connection, found: u32) -> Result<(), StoreError> {
    let turn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    upgrade(&turn, found)?;
    Ok(turn.commit()?)
}

pub(super) fn pragmas(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::new(StoreErrorKind::Other, "the file system does not allow a write-ahead log"));
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 4194304;
         PRAGMA mmap_size = 0; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )?;
    // Plain fsync does not flush the drive there.
    #[cfg(target_vendor = "apple")]
    connection.execute_batch("PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1;")?;
    Ok(())
}
