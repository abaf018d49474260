//! Consumers that fall behind: how far they may, and what they are moved over.

use std::num::NonZeroU64;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Store;
use super::codec::{int, read_text, read_u64};
use super::consumers::{Consumer, SkippedRow, Wanted};
use super::error::{StoreError, StoreErrorKind};
use super::topics::topic_name;
use crate::model::consumer::Lag;

/// Messages that one turn moves consumers over, all together.
const SKIP_ROWS: usize = 10_000;
/// Bounds of the time between two looks for what has expired.
const EXPIRE_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What a turn found.
#[derive(Debug, Default)]
pub struct Lagged {
    /// By consumer.
    pub skipped: Vec<(String, SkippedRow)>,
    /// There is more than one turn takes.
    pub more: bool,
}

impl Consumer {
    /// Moves it to `through`, over at most `left` rows. False: there are more.
    pub(super) fn skip(
        &mut self,
        connection: &Connection,
        through: u64,
        left: &mut usize,
        gone: &mut Vec<(String, SkippedRow)>,
    ) -> Result<bool, StoreError> {
        let cursor = self.row.cursor;
        if through <= cursor {
            return Ok(true);
        }
        let marks = self.marks(connection)?.clone();
        let mut wanted = Wanted::new(&self.row.filters);
        let mut statement = connection
            .prepare_cached("SELECT seq, tid FROM inbox WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3")?;
        let mut rows = statement.query([int(cursor), int(through), *left as i64])?;
        let (mut last, mut skipped) = (cursor, None::<SkippedRow>);
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            last = read_u64(row, 0)?;
            looked_at += 1;
            if marks.contains(&last) || !wanted.wants(row.get(1)?, |tid| topic_name(connection, tid))? {
                continue;
            }
            let first = skipped.map_or(last, |known| known.from);
            let messages = skipped.map_or(1, |known| known.messages + 1);
            skipped = Some(SkippedRow { messages, from: first, through: last });
        }
        drop(rows);
        let all = looked_at < *left;
        *left -= looked_at;
        self.move_to(if all { through } else { last });
        if let Some(now) = skipped {
            self.row.skipped = Some(match self.row.skipped {
                Some(before) => SkippedRow { messages: before.messages + now.messages, from: before.from, ..now },
                None => now,
            });
            gone.push((self.row.name.clone(), now));
        }
        Ok(all)
    }

    /// Up to where it has to be moved on.
    fn lags_through(
        &mut self,
        connection: &Connection,
        next_seq: u64,
        now_wall_ms: Option<i64>,
    ) -> Result<u64, StoreError> {
        match (self.row.lag, now_wall_ms) {
            (Lag::Skip { messages }, _) => {
                let messages = messages.get();
                // Numbers may have holes, so this is only where counting begins; and it is counted again only after a
                // sixteenth more, or a consumer that always lags would have them counted at every message.
                let far = next_seq.saturating_sub(self.row.cursor + 1) > messages;
                if !far || next_seq < self.lag_checked.saturating_add((messages / 16).max(1)) {
                    return Ok(0);
                }
                self.advance(connection)?;
                self.lag_checked = next_seq;
                let cut: Option<i64> = connection
                    .prepare_cached("SELECT seq FROM inbox WHERE seq > ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2")?
                    .query_row([int(self.row.cursor), int(messages)], |row| row.get(0))
                    .optional()?;
                Ok(cut.map_or(0, i64::cast_unsigned))
            }
            (Lag::Expire { after }, Some(now)) => {
                let before = now.saturating_sub(i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
                let mut statement = connection
                    .prepare_cached("SELECT seq, received_ms FROM inbox WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
                let mut rows = statement.query([int(self.row.cursor), SKIP_ROWS as i64])?;
                let mut through = 0;
                while let Some(row) = rows.next()? {
                    if row.get::<_, i64>(1)? >= before {
                        break;
                    }
                    through = read_u64(row, 0)?;
                }
                Ok(through)
            }
            _ => Ok(0),
        }
    }
}

impl Store {
    /// Whether any consumer may be moved on.
    pub fn has_lag_policy(&self) -> bool {
        self.consumers.0.values().any(|consumer| consumer.row.lag != Lag::Pause)
    }

    /// How often to look for what has expired; None: nothing expires.
    pub fn expire_every(&self) -> Option<Duration> {
        let all = self.consumers.0.values().filter_map(|consumer| match consumer.row.lag {
            Lag::Expire { after } => Some((after / 8).clamp(EXPIRE_EVERY.0, EXPIRE_EVERY.1)),
            _ => None,
        });
        all.min()
    }

    /// Moves consumers on that are behind by more than their policy says, within the turn. `now_wall_ms`: also those
    /// whose messages expire.
    ///
    /// # Errors
    /// The store's.
    pub fn skip_lagging(&mut self, next_seq: u64, now_wall_ms: Option<i64>) -> Result<Lagged, StoreError> {
        self.check()?;
        let done = self.skip(next_seq, now_wall_ms);
        self.note(done)
    }

    fn skip(&mut self, next_seq: u64, now_wall_ms: Option<i64>) -> Result<Lagged, StoreError> {
        self.flush()?;
        let (connection, mut lagged, mut left) = (&self.connection, Lagged::default(), SKIP_ROWS);
        for consumer in self.consumers.0.values_mut() {
            let through = consumer.lags_through(connection, next_seq, now_wall_ms)?;
            if !consumer.skip(connection, through, &mut left, &mut lagged.skipped)? {
                consumer.lag_checked = 0;
                lagged.more = true;
            }
        }
        Ok(lagged)
    }

    pub(super) fn put_lag(&mut self, name: &str, lag: Lag) -> Result<(), StoreError> {
        self.begin()?;
        let consumer = self
            .consumers
            .0
            .get_mut(name)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Refused, "there is no consumer of this name"))?;
        let (word, messages, ms) = match lag {
            Lag::Pause => ("pause", None, None),
            Lag::Skip { messages } => ("skip", Some(int(messages.get())), None),
            Lag::Expire { after } => ("expire", None, Some(i64::try_from(after.as_millis()).unwrap_or(i64::MAX))),
        };
        self.connection
            .prepare_cached("UPDATE consumer SET lag_policy = ?2, lag_messages = ?3, lag_ms = ?4 WHERE name = ?1")?
            .execute(params![name, word, messages, ms])?;
        (consumer.row.lag, consumer.lag_checked) = (lag, 0);
        Ok(())
    }
}

/// Columns: lag_policy, lag_messages, lag_ms.
pub(super) fn read_lag(row: &Row<'_>, column: usize) -> Result<Lag, StoreError> {
    let number = |column| -> Result<Option<u64>, StoreError> {
        Ok(row.get::<_, Option<i64>>(column)?.and_then(|number| u64::try_from(number).ok()))
    };
    let lag = match (read_text(row, column, "lag_policy")?, number(column + 1)?, number(column + 2)?) {
        ("pause", ..) => Some(Lag::Pause),
        ("skip", Some(messages), _) => NonZeroU64::new(messages).map(|messages| Lag::Skip { messages }),
        ("expire", _, Some(ms)) => Some(Lag::Expire { after: Duration::from_millis(ms) }),
        _ => None,
    };
    lag.ok_or_else(|| StoreError::corrupt("lag_policy"))
}
