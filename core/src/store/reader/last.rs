//! The last value of each topic. Index and topic rows answer up to the watermark; what came after it is looked at as well,
//! in the same transaction.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::Connection;

use super::pages::read_message;
use super::{Budget, Inner, PAGE_ROWS, Reader, SCAN_ROWS};
use crate::model::error::Error;
use crate::model::message::{Message, Position, StoreId};
use crate::model::topic::{TopicFilter, TopicName};
use crate::store::codec::{Flags, int, read_payload, read_props, read_topic, read_u64};
use crate::store::error::StoreError;
use crate::store::index::read_indexed;

/// The last message on a topic. It stays when the message itself has left the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastValue {
    /// The message. Once it has left the inbox `received_ms` is `heard_ms`, and `done` is of no use for it any more.
    pub message: Message,
    /// When the broker last said so: Unix milliseconds. Later than the message if the same came again as a retained one.
    pub heard_ms: i64,
}

impl LastValue {
    /// How long ago that was, at this moment of the wall clock (Unix milliseconds).
    pub fn age(&self, now_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(now_ms.saturating_sub(self.heard_ms)).unwrap_or(0))
    }
}

/// Some last values, by topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastPage {
    /// At most 500 and about 4 MiB; may be empty although there are more.
    pub values: Vec<LastValue>,
    /// Where to go on; None: there are no more.
    pub next: Option<TopicName>,
}

/// What a topic's row knows.
struct TopicRow {
    tid: i64,
    name: TopicName,
    last: Option<(u64, i64)>,
}

impl Reader {
    /// The last value of every topic that `filter` matches (None: of all, `$` topics too), by topic, beginning behind
    /// `after`: at most `max` (500 at the most), and less if they are large or far between. Takes up to 50 ms.
    ///
    /// A value outlives its message; only beyond 100,000 such topics or 64 MiB those go that were not heard of for the
    /// longest time (P7).
    ///
    /// # Errors
    /// The store's.
    pub fn last(&self, filter: Option<&TopicFilter>, after: Option<&TopicName>, max: usize) -> Result<LastPage, Error> {
        self.read(|Inner { connection, .. }| {
            let (prefix, exact) = filter.map_or(("", false), TopicFilter::literal);
            match exact {
                true => exact_value(connection, self.store, prefix, after),
                false => values(connection, self.store, filter, prefix, after, max.min(PAGE_ROWS)),
            }
        })
    }
}

fn exact_value(
    connection: &Connection,
    store: StoreId,
    name: &str,
    after: Option<&TopicName>,
) -> Result<LastPage, StoreError> {
    let mut page = LastPage { values: Vec::new(), next: None };
    let mut statement =
        connection.prepare_cached("SELECT tid, name, last_seq, last_at_ms FROM topic WHERE name = ?1 AND name > ?2")?;
    let mut rows = statement.query([name, after.map_or("", TopicName::as_str)])?;
    if let Some(row) = rows.next()? {
        let topic = read_row(row)?;
        let mut statement = connection.prepare_cached(
            "SELECT seq, received_ms FROM inbox WHERE seq > ?1 AND tid = ?2 ORDER BY seq DESC LIMIT 1",
        )?;
        let mut newer = statement.query([int(read_indexed(connection)?), topic.tid])?;
        let newer = newer.next()?.map(|row| Ok::<_, StoreError>((read_u64(row, 0)?, row.get(1)?))).transpose()?;
        page.values.extend(value(connection, store, &topic, newer)?);
    }
    Ok(page)
}

fn values(
    connection: &Connection,
    store: StoreId,
    filter: Option<&TopicFilter>,
    prefix: &str,
    after: Option<&TopicName>,
    max: usize,
) -> Result<LastPage, StoreError> {
    let mut budget = Budget::new();
    let newer = newer_values(connection)?;
    let (sql, start) = match after {
        Some(after) if after.as_str() >= prefix => {
            ("SELECT tid, name, last_seq, last_at_ms FROM topic WHERE name > ?1 ORDER BY name LIMIT ?2", after.as_str())
        }
        _ => ("SELECT tid, name, last_seq, last_at_ms FROM topic WHERE name >= ?1 ORDER BY name LIMIT ?2", prefix),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((start, SCAN_ROWS as i64))?;
    let mut page = LastPage { values: Vec::new(), next: None };
    let mut looked_at = 0;
    let mut last = after.cloned();
    while let Some(row) = rows.next()? {
        let topic = read_row(row)?;
        if !topic.name.as_str().starts_with(prefix) {
            return Ok(page);
        }
        let matches = filter.is_none_or(|filter| filter.matches(&topic.name));
        let found = if matches { value(connection, store, &topic, newer.get(&topic.tid).copied())? } else { None };
        let spent = budget.is_spent(found.as_ref().map_or(0, |value| value.message.payload.len()));
        if page.values.len() >= max || spent && looked_at > 0 {
            page.next = last;
            return Ok(page);
        }
        page.values.extend(found);
        looked_at += 1;
        last = Some(topic.name);
    }
    if looked_at == SCAN_ROWS {
        page.next = last;
    }
    Ok(page)
}

/// The newest message of each topic beyond the watermark.
fn newer_values(connection: &Connection) -> Result<HashMap<i64, (u64, i64)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT tid, seq, received_ms FROM inbox WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([int(read_indexed(connection)?)])?;
    let mut newer = HashMap::new();
    while let Some(row) = rows.next()? {
        newer.insert(row.get(0)?, (read_u64(row, 1)?, row.get(2)?));
    }
    Ok(newer)
}

fn read_row(row: &rusqlite::Row<'_>) -> Result<TopicRow, StoreError> {
    let last = row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned).zip(row.get(3)?);
    Ok(TopicRow { tid: row.get(0)?, name: read_topic(row, 1)?, last })
}

fn value(
    connection: &Connection,
    store: StoreId,
    topic: &TopicRow,
    newer: Option<(u64, i64)>,
) -> Result<Option<LastValue>, StoreError> {
    let Some((seq, heard_ms)) = newer.or(topic.last) else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT seq, tid, payload, props, flags, received_ms FROM inbox WHERE seq = ?1")?;
    let mut rows = statement.query([int(seq)])?;
    if let Some(row) = rows.next()? {
        let message = read_message(row, store, topic.name.clone())?;
        return Ok(Some(LastValue { message, heard_ms }));
    }
    let mut statement = connection.prepare_cached(
        "SELECT last_payload, last_props, last_flags FROM topic WHERE tid = ?1 AND last_payload IS NOT NULL",
    )?;
    let mut rows = statement.query([topic.tid])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let flags = Flags::read(row, 2)?;
    let message = Message {
        at: Position::new(store, seq),
        topic: topic.name.clone(),
        payload: read_payload(row, 0)?,
        qos: flags.qos,
        retained: flags.retain,
        replay: flags.replay,
        dup: flags.dup,
        received_ms: heard_ms,
        properties: read_props(row, 1)?.map_or_else(Default::default, |props| *props),
    };
    Ok(Some(LastValue { message, heard_ms }))
}
