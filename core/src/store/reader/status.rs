//! The store at a glance.

use rusqlite::{Connection, OptionalExtension as _};

use super::gaps::count_gaps;
use super::{Inner, Reader};
use crate::model::addresses::shown;
use crate::model::consumer::Skipped;
use crate::model::error::Error;
use crate::model::event::{ConsumerStatus, Metrics, OutboxDepth, Status, Storage, SubscriptionStatus};
use crate::model::message::StoreId;
use crate::model::rows::{Hot, STALE};
use crate::store::codec::int;
use crate::store::consumers::{read_consumer, read_consumers};
use crate::store::error::StoreError;
use crate::store::lock::is_driven;
use crate::store::migrate::SCHEMA_VERSION;
use crate::store::session_row::{read_hot, read_session, read_subscriptions};

impl Reader {
    /// All that a consumer was moved over so far.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`]; the store's.
    pub fn skipped(&self, consumer: &str) -> Result<Option<Skipped>, Error> {
        let row = self.read(|Inner { connection, .. }| read_consumer(connection, consumer))?;
        let row = row.ok_or_else(|| Error::NoSuchConsumer { name: consumer.to_owned() })?;
        Ok(row.skipped.map(|skipped| skipped.at(self.store_id())))
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
                    let (cursor, lag) = (row.cursor, row.lag);
                    let skipped = row.skipped.map(|skipped| skipped.at(self.store_id()));
                    Ok(ConsumerStatus { name: row.name, filters: row.filters, cursor, behind, lag, skipped })
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
            let metrics = driver.as_ref().and_then(|(_, metrics, at_ms)| {
                serde_json::from_str::<Metrics>(metrics).ok().map(|metrics| (metrics, *at_ms))
            });
            Ok(Status {
                store_id: StoreId(session.store_id),
                client_id: session.client_id,
                broker: session.broker.as_deref().and_then(shown).map(str::to_owned),
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
                gaps: count_gaps(connection)?,
                storage: metrics.map_or(Storage::Ok, |(metrics, _)| metrics.storage),
                held: session.held,
                metrics,
            })
        })
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
    depth.parked = hot.parked_messages;
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
