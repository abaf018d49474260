//! Topic names of received messages stand once in `topic`; a bounded memory of the latest spares the look-up.

use hashlink::LruCache;
use rusqlite::{Connection, OptionalExtension as _};

use super::codec::read_topic;
use super::error::StoreError;
use crate::model::topic::TopicName;

// Together at most 1 MiB, however many topics and however long their names (P6).
const REMEMBERED: usize = 1024;
const LONGEST: usize = 1024;

/// Names to numbers, for the writer. Dropped with the connection, so that it never outlives a rolled back turn.
pub(super) struct Topics(LruCache<TopicName, i64>);

impl Topics {
    pub(super) fn new() -> Self {
        Self(LruCache::new(REMEMBERED))
    }

    pub(super) fn number(&mut self, connection: &Connection, topic: &TopicName) -> Result<i64, StoreError> {
        if let Some(tid) = self.0.get(topic) {
            return Ok(*tid);
        }
        let known = connection
            .prepare_cached("SELECT tid FROM topic WHERE name = ?1")?
            .query_row([topic.as_str()], |row| row.get(0))
            .optional()?;
        let tid = match known {
            Some(tid) => tid,
            None => connection.prepare_cached("INSERT INTO topic (name) VALUES (?1)")?.insert([topic.as_str()])?,
        };
        if topic.as_str().len() <= LONGEST {
            self.0.insert(topic.clone(), tid);
        }
        Ok(tid)
    }

    /// The topic's row is gone.
    pub(super) fn forget(&mut self, name: &str) {
        if let Ok(name) = TopicName::new(name) {
            self.0.remove(&name);
        }
    }
}

/// Numbers to names, for readers: a committed number never changes its name.
pub(super) struct Names(LruCache<i64, TopicName>);

impl Names {
    pub(super) fn new() -> Self {
        Self(LruCache::new(REMEMBERED))
    }

    pub(super) fn name(&mut self, connection: &Connection, tid: i64) -> Result<TopicName, StoreError> {
        if let Some(name) = self.0.get(&tid) {
            return Ok(name.clone());
        }
        let name = topic_name(connection, tid)?;
        if name.as_str().len() <= LONGEST {
            self.0.insert(tid, name.clone());
        }
        Ok(name)
    }
}

pub(super) fn topic_name(connection: &Connection, tid: i64) -> Result<TopicName, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM topic WHERE tid = ?1")?;
    let mut rows = statement.query([tid])?;
    read_topic(rows.next()?.ok_or_else(|| StoreError::corrupt("inbox"))?, 0)
}
