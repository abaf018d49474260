//! Reading beside a running driver: pages of rows, each in a short read transaction of its own, never a lock on anyone.
//! An open one would keep the write-ahead log growing: 165 MB beside a 4 KB database was measured.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use super::codec::{Flags, int, read_payload, read_props, read_topic, read_u64};
use super::consumers::{Wanted, read_consumer, read_consumers};
use super::error::StoreError;
use super::lock::is_driven;
use super::migrate::SCHEMA_VERSION;
use super::open::{check_sqlite, confirm, is_new, locate, not_a_store, recognise, unavailable};
use super::outbox::fate;
use super::session_row::{read_cause, read_filter, read_hot, read_session, read_subscriptions};
use super::topics::Names;
use crate::model::error::{Error, OpenError};
use crate::model::event::{ConsumerStatus, Fate, Gap, GapCause, Metrics, OutboxDepth, Status, SubscriptionStatus};
use crate::model::message::{Message, MessageId, Position, QoS, StoreId};
use crate::model::rows::{Hot, STALE};
use crate::model::topic::TopicName;

/// The most rows that one call hands out.
const PAGE_ROWS: usize = 500;
/// The most payload bytes that one call reads, but for the first row.
const PAGE_BYTES: usize = 4 << 20;
/// The most rows that one call looks at.
const SCAN_ROWS: usize = 5_000;
/// A reader meets a lock only while the log is recovered or removed.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// One row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxEntry {
    /// Its id.
    pub id: MessageId,
    /// `Waiting` or `InFlight`.
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
        check_sqlite(store)?;
        let path = locate(store, false)?;
        if is_new(&path)? {
            return Err(not_a_store(&path, "an empty file"));
        }
        recognise(&path)?;
        let open = || -> Result<Connection, StoreError> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch(
                "PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -1024; PRAGMA trusted_schema = OFF;",
            )?;
            Ok(connection)
        };
        let connection = open().map_err(|error| error.at_open(&path))?;
        let found = confirm(&connection, &path)?;
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

    /// At a glance.
    ///
    /// # Errors
    /// The store's.
    pub fn status(&self) -> Result<Status, Error> {
        let driven = is_driven(&self.path);
        self.read(|Inner { connection, .. }| {
            let (hot, session) = (read_hot(connection)?, read_session(connection)?);
            let driver: Option<(String, String, i64)> = connection
                .prepare_cached("SELECT connection, metrics, at_ms FROM driver")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let consumers = read_consumers(connection)?
                .into_iter()
                .map(|row| {
                    let behind = behind(connection, &hot, row.cursor)?;
                    Ok(ConsumerStatus { name: row.name, filters: row.filters, cursor: row.cursor, behind })
                })
                .collect::<Result<_, StoreError>>()?;
            let subscriptions = read_subscriptions(connection)?
                .into_iter()
                .filter(|row| row.wanted)
                .map(|row| SubscriptionStatus {
                    granted: row
                        .granted
                        .filter(|(_, epoch)| [session.session_epoch, STALE].contains(epoch))
                        .map(|(qos, _)| qos),
                    qos: row.wish.qos,
                    filter: row.wish.filter,
                })
                .collect();
            Ok(Status {
                store_id: StoreId(session.store_id),
                client_id: session.client_id,
                broker: session.broker,
                connection: match &driver {
                    Some((connection, ..)) if driven => connection.clone(),
                    None if driven => "disconnected".to_owned(),
                    _ => "not_driven".to_owned(),
                },
                schema_version: SCHEMA_VERSION,
                session_present: session.session_present,
                last_connect_ms: session.last_connect_ms,
                outbox: depth(connection, &hot)?,
                inbox_messages: hot.inbox_messages,
                inbox_bytes: hot.inbox_bytes,
                consumers,
                subscriptions,
                gaps: read_gaps(connection)?.len() as u64,
                metrics: driver.and_then(|(_, metrics, at_ms)| {
                    serde_json::from_str::<Metrics>(&metrics).ok().map(|metrics| (metrics, at_ms))
                }),
            })
        })
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

    /// Outbox rows with a number above `after`, at most `max` (500 at the most).
    ///
    /// # Errors
    /// The store's.
    pub fn outbox(&self, after: u64, max: usize) -> Result<Vec<OutboxEntry>, Error> {
        self.read(|Inner { connection, .. }| {
            let hot = read_hot(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT id, topic, octet_length(payload), flags FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let mut rows = statement.query([int(after), max.min(PAGE_ROWS) as i64])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, flags) = (read_u64(row, 0)?, Flags::read(row, 3)?);
                found.push(OutboxEntry {
                    id: MessageId::new(self.store, id),
                    fate: if hot.is_in_flight(id) { Fate::InFlight } else { Fate::Waiting },
                    topic: read_topic(row, 1)?,
                    payload_bytes: read_u64(row, 2)?,
                    qos: flags.qos,
                    retain: flags.retain,
                });
            }
            Ok(found)
        })
    }

    /// Messages after this sequence number, oldest first: at most `max` (500 at the most), and less if they are large.
    /// An empty answer means the end.
    ///
    /// # Errors
    /// The store's.
    pub fn inbox(&self, after_seq: u64, max: usize) -> Result<Vec<Message>, Error> {
        self.read(|inner| Ok(self.scan(inner, after_seq, max, |_, _| Ok(true))?.0))
    }

    /// All recorded gaps, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn gaps(&self) -> Result<Vec<Gap>, Error> {
        self.read(|Inner { connection, .. }| read_gaps(connection))
    }

    /// The messages that a consumer wants and is not done with, after this sequence number: at most `max` (500 at the
    /// most), and less if they are large or far between. Go on from the number returned; if it is `after_seq` itself
    /// (or the consumer's cursor, if that is higher) there are no more.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`]; the store's.
    pub fn page(&self, consumer: &str, after_seq: u64, max: usize) -> Result<(Vec<Message>, u64), Error> {
        let page = self.read(|inner| {
            let Some(row) = read_consumer(&inner.connection, consumer)? else { return Ok(None) };
            let start = after_seq.max(row.cursor);
            let mut marks = Vec::new();
            {
                let mut statement = inner.connection.prepare_cached(
                    "SELECT seq FROM consumer_done WHERE name = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                )?;
                let mut rows = statement.query((consumer, int(start), SCAN_ROWS as i64))?;
                while let Some(row) = rows.next()? {
                    marks.push(read_u64(row, 0)?);
                }
            }
            let mut wanted = Wanted::new(&row.filters);
            self.scan(inner, start, max, |row, names| {
                Ok(marks.binary_search(&read_u64(row, 0)?).is_err() && wanted.wants(row.get(1)?, names)?)
            })
            .map(Some)
        })?;
        page.ok_or_else(|| Error::NoSuchConsumer { name: consumer.to_owned() })
    }

    /// Messages that `wants` takes, and the last row that was looked at.
    fn scan(
        &self,
        inner: &mut Inner,
        after_seq: u64,
        max: usize,
        mut wants: impl FnMut(&Row<'_>, &mut dyn FnMut(i64) -> Result<TopicName, StoreError>) -> Result<bool, StoreError>,
    ) -> Result<(Vec<Message>, u64), StoreError> {
        let Inner { connection, names } = inner;
        let mut statement = connection.prepare_cached(
            "SELECT seq, tid, payload, props, flags, received_ms FROM inbox WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = statement.query([int(after_seq), SCAN_ROWS as i64])?;
        let (mut found, mut through, mut bytes) = (Vec::new(), after_seq, 0);
        while found.len() < max.min(PAGE_ROWS)
            && let Some(row) = rows.next()?
        {
            // Rows that are not wanted count too, for they are read as well.
            bytes += row.get_ref(2)?.as_blob().map_or(0, <[u8]>::len);
            if bytes > PAGE_BYTES && through > after_seq {
                break;
            }
            let seq = read_u64(row, 0)?;
            if wants(row, &mut |tid| names.name(connection, tid))? {
                let flags = Flags::read(row, 4)?;
                found.push(Message {
                    at: Position::new(self.store, seq),
                    topic: names.name(connection, row.get(1)?)?,
                    payload: read_payload(row, 2)?,
                    qos: flags.qos,
                    retained: flags.retain,
                    dup: flags.dup,
                    received_ms: row.get(5)?,
                    properties: read_props(row, 3)?.map_or_else(Default::default, |props| *props),
                });
            }
            through = seq;
        }
        Ok((found, through))
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

fn depth(connection: &Connection, hot: &Hot) -> Result<OutboxDepth, StoreError> {
    let mut depth = OutboxDepth::default();
    for (lane, counters) in hot.lanes.iter().enumerate() {
        let (first, last) = hot.sent_ids(lane);
        // Bounded by the window of packet identifiers.
        let sent: i64 = connection
            .prepare_cached("SELECT count(*) FROM outbox WHERE id BETWEEN ?1 AND ?2")?
            .query_row([int(first), int(last)], |row| row.get(0))?;
        depth.in_flight += sent.cast_unsigned();
        depth.waiting += counters.messages.saturating_sub(sent.cast_unsigned());
        depth.bytes += counters.bytes;
    }
    Ok(depth)
}

/// Rows after a cursor; of the two sides of the cursor the shorter one is counted.
fn behind(connection: &Connection, hot: &Hot, cursor: u64) -> Result<u64, StoreError> {
    let count = |sql| -> Result<u64, StoreError> {
        let count: i64 = connection.prepare_cached(sql)?.query_row([int(cursor)], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    };
    let ends: (Option<i64>, Option<i64>) = connection
        .prepare_cached("SELECT (SELECT min(seq) FROM inbox), (SELECT max(seq) FROM inbox)")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match ends {
        (Some(first), Some(last)) if int(cursor) >= first && last - int(cursor) > int(cursor) - first => {
            Ok(hot.inbox_messages.saturating_sub(count("SELECT count(*) FROM inbox WHERE seq <= ?1")?))
        }
        (Some(first), _) if int(cursor) < first => Ok(hot.inbox_messages),
        _ => count("SELECT count(*) FROM inbox WHERE seq > ?1"),
    }
}

/// Rows of the same cause and times are one gap of several filters.
fn read_gaps(connection: &Connection) -> Result<Vec<Gap>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT filter, cause, from_ms, to_ms, after_seq FROM gap ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut gaps: Vec<Gap> = Vec::new();
    let mut places: HashMap<(GapCause, i64, Option<i64>, u64), usize> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (cause, from_ms, to_ms, after_seq) = (read_cause(row, 1)?, row.get(2)?, row.get(3)?, read_u64(row, 4)?);
        let place = *places.entry((cause, from_ms, to_ms, after_seq)).or_insert_with(|| {
            gaps.push(Gap { filters: Vec::new(), cause, from_ms, to_ms, after_seq });
            gaps.len() - 1
        });
        gaps[place].filters.push(read_filter(row, 0)?);
    }
    Ok(gaps)
}
