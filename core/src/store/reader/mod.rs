//! Reading beside a running driver: pages of rows, each in a short read transaction of its own, never a lock on anyone.
//! An open one would keep the write-ahead log growing: 165 MB beside a 4 KB database was measured.

mod gaps;
mod history;
mod incidents;
mod last;
mod pages;
mod status;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::model::error::{Error, OpenError};
use crate::model::event::Fate;
use crate::model::message::{MessageId, QoS, StoreId};
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;
use crate::store::cipher::Unlock;
use crate::store::codec::{Flags, int, read_topic, read_u64};
use crate::store::error::StoreError;
use crate::store::migrate::SCHEMA_VERSION;
use crate::store::open::{check_sqlite, confirm, is_new, locate, not_a_store, recognise, unavailable};
use crate::store::outbox::fate;
use crate::store::session_row::read_hot;
use crate::store::topics::Names;

/// The most rows that one call hands out.
const PAGE_ROWS: usize = 500;
/// The most payload bytes that one call reads, but for the first row.
const PAGE_BYTES: usize = 4 << 20;
/// The most rows that one call looks at.
const SCAN_ROWS: usize = 5_000;
/// Above every number that is given.
const BEYOND: u64 = u64::MAX >> 1;
/// Prepared statements kept; there are about 30.
const STATEMENTS: usize = 48;
/// How long one call may read: as long as a transaction is open the log cannot be emptied.
const DEADLINE: Duration = Duration::from_millis(50);
/// A reader meets a lock only while the log is recovered or removed.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

pub use history::{HistoryPage, HistoryQuery};
pub use incidents::Incident;
pub(in crate::store) use incidents::read_incidents;
pub use last::{LastPage, LastValue};

/// How much one call has read.
struct Budget {
    until: Instant,
    bytes: usize,
}

impl Budget {
    fn new() -> Self {
        Self { until: Instant::now() + DEADLINE, bytes: 0 }
    }

    /// This much more: whether the page ends before it.
    fn is_spent(&mut self, bytes: usize) -> bool {
        let first = self.bytes == 0;
        self.bytes += bytes.max(1);
        !first && self.bytes > PAGE_BYTES || Instant::now() >= self.until
    }
}

/// One row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxEntry {
    /// Its id.
    pub id: MessageId,
    /// `Waiting`, `InFlight` or `Parked`.
    pub fate: Fate,
    /// Where to.
    pub topic: TopicName,
    /// Size of the payload in bytes.
    pub payload_bytes: u64,
    /// Asked for.
    pub qos: QoS,
    /// Retained message.
    pub retain: bool,
}

/// Reads a store, beside a running driver too. Blocking calls of a few milliseconds; never locks the driver out.
pub struct Reader {
    inner: Mutex<Inner>,
    path: PathBuf,
    store: StoreId,
}

struct Inner {
    connection: Connection,
    names: Names,
}

impl Reader {
    /// Opens an existing store; never creates one.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub fn open(store: &Path) -> Result<Self, OpenError> {
        Self::unlocked(store, &Unlock::default())
    }

    /// Opens an existing encrypted store; never creates one. After a rekey by the driver it has to be opened again.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    #[cfg(feature = "encryption")]
    pub fn open_with_key(store: &Path, key: crate::model::key::KeyProvider) -> Result<Self, OpenError> {
        Self::unlocked(store, &Unlock::new(Some(key)))
    }

    pub(crate) fn unlocked(store: &Path, unlock: &Unlock) -> Result<Self, OpenError> {
        check_sqlite(store)?;
        let path = locate(store, false)?;
        if is_new(&path)? {
            return Err(not_a_store(&path, "an empty file"));
        }
        recognise(&path, unlock)?;
        let open = || -> Result<Connection, StoreError> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            Ok(connection)
        };
        let connection = open().map_err(|error| error.at_open(&path))?;
        unlock.apply(&connection, &path)?;
        connection
            .execute_batch(
                "PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;
                 PRAGMA trusted_schema = OFF;",
            )
            .map_err(|error| StoreError::from(error).at_open(&path))?;
        let found = confirm(&connection, &path, unlock)?;
        if found < SCHEMA_VERSION {
            return Err(unavailable(
                &path,
                "an older version wrote it; a client that opens it brings it up to date".into(),
            ));
        }
        let store = connection
            .query_row("SELECT store_id FROM session", [], |row| row.get(0).map(StoreId))
            .map_err(|error| StoreError::from(error).at_open(&path))?;
        Ok(Self { inner: Mutex::new(Inner { connection, names: Names::new() }), path, store })
    }

    /// The store's id.
    pub fn store_id(&self) -> StoreId {
        self.store
    }

    /// P9.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`] for a number that was never given; the store's.
    pub fn fate(&self, id: MessageId) -> Result<Fate, Error> {
        if id.store() != self.store {
            return Ok(Fate::OtherStore);
        }
        let found =
            self.read(|Inner { connection, .. }| fate(connection, self.store, &read_hot(connection)?, id.number()))?;
        found.ok_or(Error::NoSuchMessage { n: id.number() })
    }

    /// Outbox rows with a number above `after`, parked ones included, at most `max` (500 at the most).
    ///
    /// # Errors
    /// The store's.
    pub fn outbox(&self, after: u64, max: usize) -> Result<Vec<OutboxEntry>, Error> {
        self.read(|Inner { connection, .. }| {
            let hot = read_hot(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT id, topic, octet_length(payload), flags, NULL FROM outbox WHERE id > ?1 UNION ALL
                 SELECT id, topic, octet_length(payload), flags, reason FROM parked WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let mut rows = statement.query([int(after.min(BEYOND)), max.min(PAGE_ROWS) as i64])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, flags) = (read_u64(row, 0)?, Flags::read(row, 3)?);
                found.push(OutboxEntry {
                    id: MessageId::new(self.store, id),
                    fate: match row.get::<_, Option<u8>>(4)? {
                        Some(reason) => Fate::Parked(ReasonCode::from(reason)),
                        None if hot.is_in_flight(id) => Fate::InFlight,
                        None => Fate::Waiting,
                    },
                    topic: read_topic(row, 1)?,
                    payload_bytes: read_u64(row, 2)?,
                    qos: flags.qos,
                    retain: flags.retain,
                });
            }
            Ok(found)
        })
    }

    /// One read transaction, ended before anything is handed on.
    fn read<T>(&self, read: impl FnOnce(&mut Inner) -> Result<T, StoreError>) -> Result<T, Error> {
        // A panic in a read leaves nothing half done.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |inner: &mut Inner| -> Result<T, StoreError> {
            inner.connection.prepare_cached("BEGIN")?.execute([])?;
            let result = read(inner);
            inner.connection.prepare_cached("COMMIT")?.execute([])?;
            result
        };
        let result = run(&mut inner);
        if result.is_err() && !inner.connection.is_autocommit() {
            // Nothing was written; whether it works is of no interest.
            let _ = inner.connection.execute_batch("ROLLBACK");
        }
        Ok(result?)
    }
}
