//! What came on some topics: by the index up to the watermark and by a scan beyond it, in one transaction.

use rusqlite::{Connection, OptionalExtension as _};

use super::pages::read_message;
use super::{BEYOND, Budget, Inner, PAGE_ROWS, Reader, SCAN_ROWS};
use crate::model::error::Error;
use crate::model::message::{Message, Position};
use crate::model::topic::{TopicFilter, TopicName};
use crate::store::codec::{int, read_topic, read_u64};
use crate::store::consumers::Wanted;
use crate::store::error::StoreError;
use crate::store::index::read_indexed;
use crate::store::topics::Names;

/// A filter that matches more topics is answered by walking the inbox: merging more ranges costs more.
const MERGED_TOPICS: usize = 32;
/// So many topics are looked at to find that out.
const TOPICS_LOOKED_AT: i64 = 5_000;
/// Rows beyond the watermark that a page looks at: mostly there are no more than a batch and some turns.
const ROWS_BEYOND: usize = 20_000;
/// Rows of which a page looks at the time.
const TIMED_ROWS: usize = 2_000;

/// Which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// On which topics.
    pub filter: TopicFilter,
    /// Received at this moment or later: Unix milliseconds, by the wall clock of arrival.
    pub since_ms: Option<i64>,
    /// Received before this moment.
    pub until_ms: Option<i64>,
    /// From the newest to the oldest.
    pub newest_first: bool,
}

impl HistoryQuery {
    /// All of a filter's messages, oldest first.
    pub const fn new(filter: TopicFilter) -> Self {
        Self { filter, since_ms: None, until_ms: None, newest_first: false }
    }
    /// Not before this moment: Unix milliseconds.
    #[must_use]
    pub const fn since(mut self, ms: i64) -> Self {
        self.since_ms = Some(ms);
        self
    }
    /// Before this moment: Unix milliseconds.
    #[must_use]
    pub const fn until(mut self, ms: i64) -> Self {
        self.until_ms = Some(ms);
        self
    }
    /// From the newest to the oldest.
    #[must_use]
    pub const fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    fn wants_time(&self, received_ms: i64) -> bool {
        self.since_ms.is_none_or(|since| received_ms >= since) && self.until_ms.is_none_or(|until| received_ms < until)
    }
}

/// Some messages, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// At most 500 and about 4 MiB; may be empty although there are more.
    pub messages: Vec<Message>,
    /// Where to go on; None: there are no more.
    pub next: Option<Position>,
}

/// Numbers of rows that may be wanted, and where to go on looking (None: nowhere).
type Candidates = (Vec<u64>, Option<u64>);

/// Where a page begins and how far it looks.
#[derive(Clone, Copy)]
struct Walk {
    /// Exclusive.
    after: u64,
    newest_first: bool,
    most: usize,
}

impl Reader {
    /// The messages on `query`'s topics that the inbox still keeps, done or not, behind `after`: at most `max` (500 at the
    /// most), and less if they are large or far between. Takes up to 50 ms. Pages stay right while messages come and go:
    /// the key is a message's own number.
    ///
    /// # Errors
    /// [`Error::PositionInvalid`] for a position of another store; the store's.
    pub fn history(&self, query: &HistoryQuery, after: Option<Position>, max: usize) -> Result<HistoryPage, Error> {
        if let Some(at) = after.filter(|at| at.store() != self.store_id()) {
            return Err(Error::PositionInvalid { seq: at.seq(), problem: "of another store" });
        }
        let max = max.min(PAGE_ROWS);
        let timed = query.since_ms.is_some() || query.until_ms.is_some();
        let walk = Walk {
            after: after.map_or(if query.newest_first { BEYOND } else { 0 }, |at| at.seq().min(BEYOND)),
            newest_first: query.newest_first,
            // One more tells whether there is one more. Times stand in the rows: many may be passed over.
            most: if timed { TIMED_ROWS } else { max + 1 },
        };
        self.read(|Inner { connection, names }| {
            let mut budget = Budget::new();
            let (candidates, go_on) = match matching(connection, &query.filter)? {
                Some(tids) => by_index(connection, &tids, walk)?,
                None => by_scan(connection, names, &query.filter, walk)?,
            };
            let mut page = HistoryPage { messages: Vec::new(), next: None };
            let mut statement = connection
                .prepare_cached("SELECT seq, tid, payload, props, flags, received_ms FROM inbox WHERE seq = ?1")?;
            let mut time = connection.prepare_cached("SELECT received_ms FROM inbox WHERE seq = ?1")?;
            let mut last = None;
            for seq in candidates {
                let end = |last: Option<u64>| last.map(|seq| Position::new(self.store_id(), seq));
                if page.messages.len() >= max {
                    page.next = end(last);
                    return Ok(page);
                }
                if timed && !query.wants_time(time.query_row([int(seq)], |row| row.get(0))?) {
                    if budget.is_spent(0) && last.is_some() {
                        page.next = end(last);
                        return Ok(page);
                    }
                    last = Some(seq);
                    continue;
                }
                let mut rows = statement.query([int(seq)])?;
                if let Some(row) = rows.next()? {
                    let message = read_message(row, self.store_id(), names.name(connection, row.get(1)?)?)?;
                    if budget.is_spent(message.payload.len()) && last.is_some() {
                        page.next = end(last);
                        return Ok(page);
                    }
                    page.messages.push(message);
                }
                last = Some(seq);
            }
            page.next = go_on.map(|seq| Position::new(self.store_id(), seq));
            Ok(page)
        })
    }
}

/// The topics that a filter matches; None: many.
fn matching(connection: &Connection, filter: &TopicFilter) -> Result<Option<Vec<i64>>, StoreError> {
    let (prefix, exact) = filter.literal();
    if exact {
        let tid = connection
            .prepare_cached("SELECT tid FROM topic WHERE name = ?1")?
            .query_row([prefix], |row| row.get(0))
            .optional()?;
        return Ok(Some(tid.into_iter().collect()));
    }
    let mut statement =
        connection.prepare_cached("SELECT tid, name FROM topic WHERE name >= ?1 ORDER BY name LIMIT ?2")?;
    let mut rows = statement.query((prefix, TOPICS_LOOKED_AT))?;
    let (mut tids, mut looked_at) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let name: TopicName = read_topic(row, 1)?;
        if !name.as_str().starts_with(prefix) {
            return Ok(Some(tids));
        }
        if filter.matches(&name) {
            if tids.len() == MERGED_TOPICS {
                return Ok(None);
            }
            tids.push(row.get(0)?);
        }
        looked_at += 1;
    }
    Ok((looked_at < TOPICS_LOOKED_AT).then_some(tids))
}

fn by_index(connection: &Connection, tids: &[i64], walk: Walk) -> Result<Candidates, StoreError> {
    let indexed = read_indexed(connection)?;
    let mut found = Vec::new();
    if walk.newest_first {
        let go_on = beyond_the_index(connection, tids, walk, indexed, &mut found)?;
        if go_on.is_some() || found.len() >= walk.most {
            return Ok((found, go_on));
        }
        let more = within_the_index(connection, tids, walk, indexed, &mut found)?;
        return Ok((found, more));
    }
    if let Some(go_on) = within_the_index(connection, tids, walk, indexed, &mut found)? {
        return Ok((found, Some(go_on)));
    }
    let go_on = beyond_the_index(connection, tids, walk, indexed, &mut found)?;
    Ok((found, go_on))
}

/// Adds rows of the index, merged, up to the bound. Where to go on: the last of them, if the bound was reached.
fn within_the_index(
    connection: &Connection,
    tids: &[i64],
    walk: Walk,
    indexed: u64,
    found: &mut Vec<u64>,
) -> Result<Option<u64>, StoreError> {
    // Below the oldest message index rows may be left that point to nothing; beyond the watermark some of a batch.
    let oldest: Option<i64> =
        connection.prepare_cached("SELECT min(seq) FROM inbox")?.query_row([], |row| row.get(0))?;
    let Some(oldest) = oldest.map(i64::cast_unsigned) else { return Ok(None) };
    let (first, last) = match walk.newest_first {
        true => (oldest, walk.after.saturating_sub(1).min(indexed)),
        false => ((walk.after + 1).max(oldest), indexed),
    };
    let mut statement = connection.prepare_cached(match walk.newest_first {
        true => "SELECT seq FROM inbox_by_topic WHERE tid = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq DESC LIMIT ?4",
        false => "SELECT seq FROM inbox_by_topic WHERE tid = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4",
    })?;
    let room = walk.most - found.len();
    let mut merged = Vec::new();
    for tid in tids {
        let mut rows = statement.query([*tid, int(first), int(last), room as i64])?;
        while let Some(row) = rows.next()? {
            merged.push(read_u64(row, 0)?);
        }
    }
    match walk.newest_first {
        true => merged.sort_unstable_by(|a, b| b.cmp(a)),
        false => merged.sort_unstable(),
    }
    let more = merged.len() >= room;
    merged.truncate(room);
    found.append(&mut merged);
    Ok(found.last().copied().filter(|_| more))
}

/// Adds rows that stand beyond the watermark. Where to go on: the last row looked at, if there may be more.
fn beyond_the_index(
    connection: &Connection,
    tids: &[i64],
    walk: Walk,
    indexed: u64,
    found: &mut Vec<u64>,
) -> Result<Option<u64>, StoreError> {
    let (sql, bounds) = match walk.newest_first {
        true => {
            ("SELECT seq, tid FROM inbox WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", (indexed, walk.after))
        }
        false => (
            "SELECT seq, tid FROM inbox WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
            (indexed.max(walk.after), BEYOND),
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([int(bounds.0), int(bounds.1), ROWS_BEYOND as i64])?;
    let (mut looked_at, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let seq = read_u64(row, 0)?;
        (looked_at, last) = (looked_at + 1, Some(seq));
        if tids.contains(&row.get(1)?) {
            found.push(seq);
            if found.len() >= walk.most {
                return Ok(last);
            }
        }
    }
    Ok(last.filter(|_| looked_at == ROWS_BEYOND))
}

fn by_scan(
    connection: &Connection,
    names: &mut Names,
    filter: &TopicFilter,
    walk: Walk,
) -> Result<Candidates, StoreError> {
    let mut statement = connection.prepare_cached(match walk.newest_first {
        true => "SELECT seq, tid FROM inbox WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
        false => "SELECT seq, tid FROM inbox WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    })?;
    let mut rows = statement.query([int(walk.after), SCAN_ROWS as i64])?;
    let filters = std::slice::from_ref(filter);
    let mut wanted = Wanted::new(filters);
    let (mut found, mut looked_at, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        let seq = read_u64(row, 0)?;
        (looked_at, last) = (looked_at + 1, Some(seq));
        if wanted.wants(row.get(1)?, |tid| names.name(connection, tid))? {
            found.push(seq);
            if found.len() >= walk.most {
                return Ok((found, last));
            }
        }
    }
    Ok((found, last.filter(|_| looked_at == SCAN_ROWS)))
}
