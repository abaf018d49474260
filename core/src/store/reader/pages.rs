//! Pages of the inbox: of all of it, and of what a consumer wants.

use rusqlite::Row;

use super::{BEYOND, Inner, PAGE_BYTES, PAGE_ROWS, Reader, SCAN_ROWS};
use crate::model::error::Error;
use crate::model::message::{Message, Position, StoreId};
use crate::model::topic::TopicName;
use crate::store::codec::{Flags, int, read_payload, read_props, read_u64};
use crate::store::consumers::{Wanted, read_consumer};
use crate::store::error::StoreError;

impl Reader {
    /// Messages after this sequence number, oldest first: at most `max` (500 at the most), and less if they are large.
    /// An empty answer means the end.
    ///
    /// # Errors
    /// The store's.
    pub fn inbox(&self, after_seq: u64, max: usize) -> Result<Vec<Message>, Error> {
        self.read(|inner| Ok(self.scan(inner, after_seq, max, |_, _| Ok(true))?.0))
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
                let mut rows = statement.query((consumer, int(start.min(BEYOND)), SCAN_ROWS as i64))?;
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
        let mut rows = statement.query([int(after_seq.min(BEYOND)), SCAN_ROWS as i64])?;
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
                found.push(read_message(row, self.store, names.name(connection, row.get(1)?)?)?);
            }
            through = seq;
        }
        Ok((found, through))
    }
}

/// Columns: seq, tid, payload, props, flags, received_ms.
pub(super) fn read_message(row: &Row<'_>, store: StoreId, topic: TopicName) -> Result<Message, StoreError> {
    let flags = Flags::read(row, 4)?;
    Ok(Message {
        at: Position::new(store, read_u64(row, 0)?),
        topic,
        payload: read_payload(row, 2)?,
        qos: flags.qos,
        retained: flags.retain,
        replay: flags.replay,
        dup: flags.dup,
        received_ms: row.get(5)?,
        properties: read_props(row, 3)?.map_or_else(Default::default, |props| *props),
    })
}
