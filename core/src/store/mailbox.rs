//! What other processes want published: rows that anybody may add and only the driver takes away, in their order.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::cipher::Unlock;
use super::codec::{int, read_payload, read_u64};
use super::error::StoreError;
use super::lock::beside;
use super::migrate::SCHEMA_VERSION;
use super::open::{check_sqlite, confirm, is_new, locate, not_a_store, recognise, unavailable};
use crate::model::error::OpenError;
use crate::model::message::{IfUnsupported, Lane, Properties, Publish, QoS};
use crate::model::topic::TopicName;

/// The most requests that wait, and the most bytes of them.
pub(crate) const MAILBOX_MESSAGES: u64 = 10_000;
/// See [`MAILBOX_MESSAGES`].
pub(crate) const MAILBOX_BYTES: u64 = 64 << 20;
/// The driver holds the lock for a commit at a time, and a slow drive may take its time for one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of requests that one turn takes, but for the first.
const TAKEN_BYTES: usize = 4 << 20;

/// The version stands first: poster and driver may be of different ones.
#[derive(Serialize, Deserialize)]
enum Request<'a> {
    V1 {
        topic: Cow<'a, str>,
        #[serde(borrow)]
        payload: &'a [u8],
        qos: u8,
        retain: bool,
        ttl_ms: Option<u64>,
        if_unsupported: u8,
        urgent: bool,
        supersede: Option<Cow<'a, str>>,
        idempotency: Option<Cow<'a, str>>,
        props: Option<Cow<'a, Properties>>,
    },
}

fn encode(message: &Publish) -> Result<Vec<u8>, StoreError> {
    let request = Request::V1 {
        topic: Cow::Borrowed(message.topic.as_str()),
        payload: &message.payload,
        qos: message.qos.number(),
        retain: message.retain,
        ttl_ms: message.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)),
        if_unsupported: match message.if_unsupported {
            IfUnsupported::Refuse => 0,
            IfUnsupported::Downgrade => 1,
            IfUnsupported::Park => 2,
        },
        urgent: message.lane == Lane::Urgent,
        supersede: message.supersede.as_deref().map(Cow::Borrowed),
        idempotency: message.idempotency.as_deref().map(Cow::Borrowed),
        props: Some(&message.properties).filter(|props| !props.is_empty()).map(Cow::Borrowed),
    };
    postcard::to_stdvec(&request)
        .map_err(|_| StoreError::new(super::StoreErrorKind::Other, "the request cannot be encoded"))
}

/// None: not a request that this version knows.
fn decode(bytes: &[u8]) -> Option<Publish> {
    let Request::V1 { topic, payload, qos, retain, ttl_ms, if_unsupported, urgent, supersede, idempotency, props } =
        postcard::from_bytes(bytes).ok()?;
    let mut message = Publish::new(TopicName::new(&*topic).ok()?, Bytes::copy_from_slice(payload));
    message.qos = QoS::from_number(qos)?;
    message.retain = retain;
    message.ttl = ttl_ms.map(Duration::from_millis);
    message.if_unsupported = match if_unsupported {
        0 => IfUnsupported::Refuse,
        1 => IfUnsupported::Downgrade,
        2 => IfUnsupported::Park,
        _ => return None,
    };
    message.lane = if urgent { Lane::Urgent } else { Lane::Normal };
    message.supersede = supersede.map(Cow::into_owned);
    message.idempotency = idempotency.map(Cow::into_owned);
    message.properties = props.map(Cow::into_owned).unwrap_or_default();
    Some(message)
}

/// The socket on which a driver hears of new requests.
pub(crate) fn wake_path(store: &Path) -> PathBuf {
    beside(store, "-wake")
}

/// One request as it was left.
pub(crate) struct Posted {
    /// Its number; rises with each.
    pub(crate) mid: u64,
    /// None: not a request that this version knows.
    pub(crate) message: Option<Publish>,
    /// Wall clock of the poster.
    pub(crate) at_ms: i64,
}

/// Whether a request found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    /// It is committed.
    Done,
    /// So many messages wait already.
    TooMany,
    /// So many bytes wait already.
    TooLarge,
}

/// A connection of a process that does not drive.
pub(crate) struct Poster {
    connection: Connection,
    path: PathBuf,
}

impl Poster {
    /// Opens an existing store; never creates one, and never brings one up to date.
    pub(crate) fn open(store: &Path, unlock: &Unlock) -> Result<Self, OpenError> {
        check_sqlite(store)?;
        let path = locate(store, false)?;
        if is_new(&path)? {
            return Err(not_a_store(&path, "an empty file"));
        }
        recognise(&path, unlock)?;
        let open = || -> Result<Connection, StoreError> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| error.at_open(&path))?;
        unlock.apply(&connection, &path)?;
        let set_up = || -> Result<(), StoreError> {
            // Only the driver checkpoints.
            connection.execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;
                 PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
            )?;
            #[cfg(target_vendor = "apple")]
            connection.execute_batch("PRAGMA fullfsync = 1;")?;
            Ok(())
        };
        set_up().map_err(|error| error.at_open(&path))?;
        if confirm(&connection, &path)? < SCHEMA_VERSION {
            let text = "an older version wrote it; a client that opens it brings it up to date";
            return Err(unavailable(&path, text.to_owned()));
        }
        Ok(Self { connection, path })
    }

    /// The store's canonical path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a request, if there is room for it.
    pub(crate) fn post(&mut self, message: &Publish, at_ms: i64) -> Result<Post, StoreError> {
        let request = encode(message)?;
        let turn = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Lengths stand in the rows' heads: the contents are not read.
        let (messages, bytes) = turn
            .prepare_cached("SELECT count(*), coalesce(sum(octet_length(request)), 0) FROM mailbox")?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned())))?;
        if messages >= MAILBOX_MESSAGES {
            return Ok(Post::TooMany);
        }
        if bytes + request.len() as u64 > MAILBOX_BYTES {
            return Ok(Post::TooLarge);
        }
        turn.prepare_cached("INSERT INTO mailbox (request, at_ms) VALUES (?1, ?2)")?
            .execute(params![request, at_ms])?;
        turn.commit()?;
        Ok(Post::Done)
    }
}

impl Store {
    /// The oldest requests, and whether there may be more.
    pub(crate) fn mailbox(&mut self, max_rows: usize) -> Result<(Vec<Posted>, bool), StoreError> {
        self.check()?;
        let done = self.read_mailbox(max_rows);
        self.note(done)
    }

    fn read_mailbox(&self, max_rows: usize) -> Result<(Vec<Posted>, bool), StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT mid, request, at_ms FROM mailbox ORDER BY mid LIMIT ?1")?;
        let mut rows = statement.query([int(max_rows as u64)])?;
        let (mut posted, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let request = read_payload(row, 1)?;
            bytes += request.len();
            posted.push(Posted { mid: read_u64(row, 0)?, message: decode(&request), at_ms: row.get(2)? });
            if bytes > TAKEN_BYTES {
                return Ok((posted, true));
            }
        }
        let more = posted.len() == max_rows;
        Ok((posted, more))
    }

    /// Removes, within the turn, the requests up to this one: what was published of them stands in the outbox by the same
    /// commit.
    pub(crate) fn mailbox_taken(&mut self, through: u64) -> Result<(), StoreError> {
        self.check()?;
        let done = self.begin().and_then(|()| {
            self.connection.prepare_cached("DELETE FROM mailbox WHERE mid <= ?1")?.execute([int(through)])?;
            Ok(())
        });
        self.note(done)
    }

    /// The socket on which a driver hears of new requests.
    pub(crate) fn wake_path(&self) -> PathBuf {
        wake_path(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was_left() {
        let mut message =
            Publish::new(TopicName::new("a/b").unwrap(), vec![0, 1, 255]).qos(QoS::ExactlyOnce).retain(true);
        message = message.ttl(Duration::from_millis(1500)).supersede("k").idempotency("i").lane(Lane::Urgent);
        message.if_unsupported = IfUnsupported::Park;
        message.properties.user.push(("n".to_owned(), "v".to_owned()));
        assert!(decode(&encode(&message).unwrap()) == Some(message));
        for garbage in [&b""[..], b"\x00", b"\x07\x01\x02", &[0xff; 40]] {
            assert!(decode(garbage).is_none());
        }
    }
}
