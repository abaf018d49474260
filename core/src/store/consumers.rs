//! Durable consumers: a cursor up to which everything is done, and marks for what is done beyond it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, Row, params};

use super::Store;
use super::codec::{int, read_text, read_u64};
use super::error::{StoreError, StoreErrorKind};
use super::lag::read_lag;
use super::topics::topic_name;
use super::writer::Inserts;
use crate::model::consumer::{Lag, Skipped};
use crate::model::message::{Position, StoreId};
use crate::model::topic::{TopicFilter, TopicName};

/// At most so many messages may be done beyond the first that is not.
pub const MAX_MARKS: usize = 65_536;
/// So many rows a cursor moves over at once, beside those that were marked since the last time.
const AT_ONCE: usize = 1_000;

/// A durable consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRow {
    /// Its name.
    pub name: String,
    /// What it wants; empty: everything.
    pub filters: Vec<TopicFilter>,
    /// Everything up to here is done.
    pub cursor: u64,
    /// How far it may fall behind.
    pub lag: Lag,
    /// All that it was moved over.
    pub skipped: Option<SkippedRow>,
}

/// What a consumer was moved over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedRow {
    /// Messages that it wanted and was not done with.
    pub messages: u64,
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub through: u64,
}

impl SkippedRow {
    /// As an app is told.
    pub fn at(self, store: StoreId) -> Skipped {
        let place = |seq| Position::new(store, seq);
        Skipped { messages: self.messages, from: place(self.from), through: place(self.through) }
    }
}

/// A consumer in the writer's memory; rows follow at the commit.
pub(super) struct Consumer {
    pub(super) row: ConsumerRow,
    /// Done beyond the cursor; None: not read yet.
    marks: Option<BTreeSet<u64>>,
    /// Those of them that have no row yet.
    new_marks: Vec<u64>,
    stored_cursor: u64,
    dirty: bool,
    /// The next number when its lag was last looked at.
    pub(super) lag_checked: u64,
}

/// All consumers, by name.
pub(super) struct Consumers(pub(super) BTreeMap<String, Consumer>);

impl Consumers {
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let rows = read_consumers(connection)?;
        Ok(Self(rows.into_iter().map(|row| (row.name.clone(), Consumer::new(row))).collect()))
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.0.values().any(|consumer| consumer.dirty)
    }

    /// Everything up to here is done by all.
    pub(super) fn done_by_all(&self) -> u64 {
        self.0.values().map(|consumer| consumer.row.cursor).min().unwrap_or(int(u64::MAX >> 1).cast_unsigned())
    }

    /// Moves every cursor over what is done or not wanted: a consumer that wants nothing of what arrives would keep
    /// all of it for ever.
    pub(super) fn advance_all(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.0.values_mut().try_for_each(|consumer| consumer.advance(connection))
    }

    fn get(&mut self, name: &str) -> Result<&mut Consumer, StoreError> {
        let unknown = || StoreError::new(StoreErrorKind::Refused, "there is no consumer of this name");
        self.0.get_mut(name).ok_or_else(unknown)
    }
}

impl Consumer {
    fn new(row: ConsumerRow) -> Self {
        Self { stored_cursor: row.cursor, row, marks: None, new_marks: Vec::new(), dirty: false, lag_checked: 0 }
    }

    pub(super) fn marks(&mut self, connection: &Connection) -> Result<&mut BTreeSet<u64>, StoreError> {
        let marks = match self.marks.take() {
            Some(marks) => marks,
            None => read_marks(connection, &self.row.name)?,
        };
        Ok(self.marks.insert(marks))
    }

    pub(super) fn advance(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let bound = AT_ONCE + self.new_marks.len();
        let mut cursor = self.row.cursor;
        self.marks(connection)?;
        let (Some(marks), filters) = (&mut self.marks, &self.row.filters) else { return Ok(()) };
        let mut wanted = Wanted::new(filters);
        let mut statement =
            connection.prepare_cached("SELECT seq, tid FROM inbox WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = statement.query([int(cursor), int(bound as u64)])?;
        while let Some(row) = rows.next()? {
            let seq = read_u64(row, 0)?;
            if !marks.contains(&seq) && wanted.wants(row.get(1)?, |tid| topic_name(connection, tid))? {
                break;
            }
            cursor = seq;
        }
        self.move_to(cursor);
        Ok(())
    }

    pub(super) fn move_to(&mut self, cursor: u64) {
        if cursor <= self.row.cursor {
            return;
        }
        self.row.cursor = cursor;
        self.dirty = true;
        self.new_marks.retain(|seq| *seq > cursor);
        if let Some(marks) = &mut self.marks {
            *marks = marks.split_off(&(cursor + 1));
        }
    }

    /// The topics of those among `rows` (number, time, topic) that it wants and is not done with.
    pub(super) fn still_wants(
        &mut self,
        connection: &Connection,
        rows: &[(u64, i64, i64)],
        tids: &mut BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let cursor = self.row.cursor;
        self.marks(connection)?;
        let (Some(marks), filters) = (&self.marks, &self.row.filters) else { return Ok(()) };
        let mut wanted = Wanted::new(filters);
        for (.., tid) in rows.iter().filter(|(seq, ..)| *seq > cursor && !marks.contains(seq)) {
            if wanted.wants(*tid, |tid| topic_name(connection, tid))? {
                tids.insert(*tid);
            }
        }
        Ok(())
    }

    fn store(&mut self, connection: &Connection, inserts: &Inserts) -> Result<(), StoreError> {
        let name = self.row.name.as_str();
        if self.stored_cursor != self.row.cursor {
            connection
                .prepare_cached("UPDATE consumer SET cursor = ?2 WHERE name = ?1")?
                .execute(params![name, int(self.row.cursor)])?;
            if let Some(SkippedRow { messages, from, through }) = self.row.skipped {
                connection
                    .prepare_cached(
                        "UPDATE consumer SET skipped = ?2, skipped_from = ?3, skipped_through = ?4 WHERE name = ?1",
                    )?
                    .execute(params![name, int(messages), int(from), int(through)])?;
            }
            connection
                .prepare_cached("DELETE FROM consumer_done WHERE name = ?1 AND seq <= ?2")?
                .execute(params![name, int(self.row.cursor)])?;
            self.stored_cursor = self.row.cursor;
        }
        inserts.marks.run(connection, &self.new_marks, |columns, seq| {
            columns.put(name)?;
            Ok(columns.put(int(*seq))?)
        })?;
        self.new_marks.clear();
        self.dirty = false;
        Ok(())
    }
}

impl Store {
    /// All consumers by name, as this turn leaves them so far.
    pub fn consumers(&self) -> Vec<ConsumerRow> {
        self.consumers.0.values().map(|consumer| consumer.row.clone()).collect()
    }

    pub(super) fn put_consumer(
        &mut self,
        name: String,
        filters: Vec<TopicFilter>,
        cursor: u64,
    ) -> Result<(), StoreError> {
        if self.consumers.0.get(&name).is_some_and(|known| known.row.filters == filters) {
            return Ok(());
        }
        self.begin()?;
        self.connection
            .prepare_cached(
                "INSERT INTO consumer (name, filters, cursor) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET filters = excluded.filters",
            )?
            .execute(params![name, encode_filters(&filters)?, int(cursor)])?;
        match self.consumers.0.get_mut(&name) {
            Some(known) => known.row.filters = filters,
            None => {
                let (lag, skipped) = (Lag::Pause, None);
                let row = ConsumerRow { name: name.clone(), filters, cursor, lag, skipped };
                self.consumers.0.insert(name, Consumer::new(row));
            }
        }
        Ok(())
    }

    pub(super) fn remove_consumer(&mut self, name: &str) -> Result<(), StoreError> {
        self.begin()?;
        self.connection.prepare_cached("DELETE FROM consumer WHERE name = ?1")?.execute([name])?;
        self.connection.prepare_cached("DELETE FROM consumer_done WHERE name = ?1")?.execute([name])?;
        self.consumers.0.remove(name);
        Ok(())
    }

    pub(super) fn consumer_done(&mut self, name: &str, seq: u64) -> Result<(), StoreError> {
        let consumer = self.consumers.get(name)?;
        if seq <= consumer.row.cursor || !consumer.marks(&self.connection)?.insert(seq) {
            return Ok(());
        }
        consumer.new_marks.push(seq);
        consumer.dirty = true;
        if consumer.marks(&self.connection)?.len() > MAX_MARKS {
            // Perhaps the cursor can take some: those marked in order in this turn, or all if this was the first missing.
            self.flush()?;
            let consumer = self.consumers.get(name)?;
            consumer.advance(&self.connection)?;
            let marks = consumer.marks(&self.connection)?;
            if marks.len() > MAX_MARKS && marks.remove(&seq) {
                consumer.new_marks.retain(|mark| *mark != seq);
                let text = format!("{MAX_MARKS} messages are done beyond the first that is not; finish that one");
                return Err(StoreError::new(StoreErrorKind::Refused, text));
            }
        }
        Ok(())
    }

    pub(super) fn consumer_done_through(&mut self, name: &str, seq: u64) -> Result<(), StoreError> {
        self.consumers.get(name)?.move_to(seq);
        Ok(())
    }

    /// Moves the cursors of consumers that were done with something, and writes them. Inside the transaction.
    pub(super) fn flush_consumers(&mut self) -> Result<(), StoreError> {
        for consumer in self.consumers.0.values_mut().filter(|consumer| consumer.dirty) {
            consumer.advance(&self.connection)?;
            consumer.store(&self.connection, &self.inserts)?;
        }
        Ok(())
    }
}

/// Whether a consumer wants a topic, each topic asked once.
pub(super) struct Wanted<'f> {
    filters: &'f [TopicFilter],
    known: HashMap<i64, bool>,
}

impl<'f> Wanted<'f> {
    pub(super) fn new(filters: &'f [TopicFilter]) -> Self {
        Self { filters, known: HashMap::new() }
    }

    pub(super) fn wants(
        &mut self,
        tid: i64,
        name: impl FnOnce(i64) -> Result<TopicName, StoreError>,
    ) -> Result<bool, StoreError> {
        if self.filters.is_empty() {
            return Ok(true);
        }
        if let Some(wants) = self.known.get(&tid) {
            return Ok(*wants);
        }
        let name = name(tid)?;
        let wants = self.filters.iter().any(|filter| filter.matches(&name));
        self.known.insert(tid, wants);
        Ok(wants)
    }
}

pub(super) fn encode_filters(filters: &[TopicFilter]) -> Result<String, StoreError> {
    serde_json::to_string(filters).map_err(|_| StoreError::new(StoreErrorKind::Other, "filters cannot be encoded"))
}

pub(super) fn read_consumers(connection: &Connection) -> Result<Vec<ConsumerRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, filters, cursor, lag_policy, lag_messages, lag_ms, skipped, skipped_from, skipped_through
         FROM consumer ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row)?);
    }
    Ok(found)
}

pub(super) fn read_consumer(connection: &Connection, name: &str) -> Result<Option<ConsumerRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, filters, cursor, lag_policy, lag_messages, lag_ms, skipped, skipped_from, skipped_through
         FROM consumer WHERE name = ?1",
    )?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(read_row).transpose()
}

pub(super) fn read_row(row: &Row<'_>) -> Result<ConsumerRow, StoreError> {
    let filters = serde_json::from_str(read_text(row, 1, "filters")?).map_err(|_| StoreError::corrupt("filters"))?;
    let skipped = match (row.get::<_, Option<i64>>(7)?, row.get::<_, Option<i64>>(8)?) {
        (Some(from), Some(through)) => Some(SkippedRow {
            messages: read_u64(row, 6)?,
            from: from.cast_unsigned(),
            through: through.cast_unsigned(),
        }),
        _ => None,
    };
    Ok(ConsumerRow { name: row.get(0)?, filters, cursor: read_u64(row, 2)?, lag: read_lag(row, 3)?, skipped })
}

fn read_marks(connection: &Connection, name: &str) -> Result<BTreeSet<u64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq FROM consumer_done WHERE name = ?1")?;
    let marks = statement.query_map([name], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))?;
    Ok(marks.collect::<Result<_, _>>()?)
}
