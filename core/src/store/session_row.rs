//! Rows of which there are few: the session's identity, subscriptions, gaps, the driver's report.

use std::num::NonZeroU32;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::codec::{int, read_text};
use super::error::StoreError;
use crate::model::event::GapCause;
use crate::model::message::{QoS, RetainHandling, Subscription};
use crate::model::rows::{Hot, LaneCounters, SessionRow, SubscriptionRow};
use crate::model::topic::TopicFilter;

impl Store {
    pub(super) fn put_session(&mut self, row: SessionRow) -> Result<(), StoreError> {
        self.begin()?;
        self.connection
            .prepare_cached(
                "UPDATE session SET store_id = ?1, client_id = ?2, client_id_random = ?3, broker = ?4, protocol = ?5,
                   established = ?6, session_epoch = ?7, pid_salt = ?8, expiry_granted_s = ?9, session_present = ?10,
                   last_connect_ms = ?11, unanswered = ?12, unproven = ?13, suspect_id = ?14, strikes = ?15, held = ?16",
            )?
            .execute(params![
                row.store_id,
                row.client_id,
                row.client_id_random,
                row.broker,
                row.protocol,
                row.established,
                int(row.session_epoch),
                int(row.pid_salt),
                row.expiry_granted_s,
                row.session_present,
                row.last_connect_ms,
                row.unanswered,
                row.unproven,
                row.suspect_id.map(int),
                row.strikes,
                row.held,
            ])?;
        self.session = row;
        Ok(())
    }

    pub(super) fn put_subscription(&mut self, row: &SubscriptionRow) -> Result<(), StoreError> {
        self.begin()?;
        let wish = &row.wish;
        let options = i64::from(wish.no_local)
            | i64::from(wish.retain_as_published) << 1
            | i64::from(wish.retain_handling as u8) << 2;
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO subscription (filter, sub_id, wanted, qos, options, granted, granted_epoch)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                wish.filter.as_str(),
                wish.id.map(NonZeroU32::get),
                row.wanted,
                wish.qos.number(),
                options,
                row.granted.map(|(qos, _)| qos.number()),
                row.granted.map(|(_, epoch)| int(epoch)),
            ])?;
        Ok(())
    }

    pub(super) fn remove_subscription(&mut self, filter: &TopicFilter) -> Result<(), StoreError> {
        self.begin()?;
        self.connection.prepare_cached("DELETE FROM subscription WHERE filter = ?1")?.execute([filter.as_str()])?;
        Ok(())
    }

    pub(super) fn put_driver(&mut self, connection: &str, metrics: &str, at_ms: i64) -> Result<(), StoreError> {
        self.begin()?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO driver (one, connection, metrics, at_ms) VALUES (1, ?1, ?2, ?3)")?
            .execute(params![connection, metrics, at_ms])?;
        Ok(())
    }

    /// All subscriptions, unwanted ones that the broker has not let go included, by filter.
    ///
    /// # Errors
    /// The store's.
    pub fn subscriptions(&mut self) -> Result<Vec<SubscriptionRow>, StoreError> {
        self.read(read_subscriptions)
    }
}

pub(super) fn read_filter(row: &Row<'_>, column: usize) -> Result<TopicFilter, StoreError> {
    TopicFilter::new(read_text(row, column, "filter")?).map_err(|_| StoreError::corrupt("filter"))
}

pub(super) fn read_cause(row: &Row<'_>, column: usize) -> Result<GapCause, StoreError> {
    GapCause::parse(read_text(row, column, "cause")?).ok_or_else(|| StoreError::corrupt("cause"))
}

fn read_qos(number: u8) -> Result<QoS, StoreError> {
    QoS::from_number(number).ok_or_else(|| StoreError::corrupt("qos"))
}

pub(super) fn read_subscriptions(connection: &Connection) -> Result<Vec<SubscriptionRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT filter, sub_id, wanted, qos, options, granted, granted_epoch FROM subscription ORDER BY filter",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut wish = Subscription::new(read_filter(row, 0)?, read_qos(row.get(3)?)?);
        let options: u8 = row.get(4)?;
        wish.id = row.get::<_, Option<u32>>(1)?.and_then(NonZeroU32::new);
        wish.no_local = options & 1 != 0;
        wish.retain_as_published = options & 2 != 0;
        wish.retain_handling = match options >> 2 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(StoreError::corrupt("options")),
        };
        let granted = match (row.get::<_, Option<u8>>(5)?, row.get::<_, Option<i64>>(6)?) {
            (Some(qos), Some(epoch)) => Some((read_qos(qos)?, epoch.cast_unsigned())),
            _ => None,
        };
        found.push(SubscriptionRow { wish, wanted: row.get(2)?, granted });
    }
    Ok(found)
}

pub(super) fn read_session(connection: &Connection) -> Result<SessionRow, StoreError> {
    Ok(connection.query_row(
        "SELECT store_id, client_id, client_id_random, broker, protocol, established, session_epoch, pid_salt,
           expiry_granted_s, session_present, last_connect_ms, unanswered, unproven, suspect_id, strikes, held,
           copied_through_0, copied_through_1 FROM session",
        [],
        |row| {
            Ok(SessionRow {
                store_id: row.get(0)?,
                client_id: row.get(1)?,
                client_id_random: row.get(2)?,
                broker: row.get(3)?,
                protocol: row.get(4)?,
                established: row.get(5)?,
                session_epoch: row.get::<_, i64>(6)?.cast_unsigned(),
                pid_salt: row.get::<_, i64>(7)?.cast_unsigned(),
                expiry_granted_s: row.get(8)?,
                session_present: row.get(9)?,
                last_connect_ms: row.get(10)?,
                unanswered: row.get(11)?,
                unproven: row.get(12)?,
                suspect_id: row.get::<_, Option<i64>>(13)?.map(i64::cast_unsigned),
                strikes: row.get(14)?,
                held: row.get(15)?,
                copied_through: [row.get::<_, i64>(16)?.cast_unsigned(), row.get::<_, i64>(17)?.cast_unsigned()],
            })
        },
    )?)
}

pub(super) fn read_hot(connection: &Connection) -> Result<Hot, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT turn, next_seq, next_release, inbox_messages, inbox_bytes, clock_ms, wall_ms, last_contact_ms,
           next_ord_0, sent_through_0, verdict_floor_0, messages_0, bytes_0,
           next_ord_1, sent_through_1, verdict_floor_1, messages_1, bytes_1, parked_messages, parked_bytes,
           boot, boot_ms, held_until_ms FROM hot",
    )?;
    Ok(statement.query_row([], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let lane = |first| -> rusqlite::Result<LaneCounters> {
            Ok(LaneCounters {
                next_ord: count(first)?,
                sent_through: count(first + 1)?,
                verdict_floor: count(first + 2)?,
                messages: count(first + 3)?,
                bytes: count(first + 4)?,
            })
        };
        Ok(Hot {
            turn: count(0)?,
            next_seq: count(1)?,
            next_release: count(2)?,
            inbox_messages: count(3)?,
            inbox_bytes: count(4)?,
            clock_ms: row.get(5)?,
            wall_ms: row.get(6)?,
            last_contact_ms: row.get(7)?,
            lanes: [lane(8)?, lane(13)?],
            parked_messages: count(18)?,
            parked_bytes: count(19)?,
            boot: row.get(20)?,
            boot_ms: row.get(21)?,
            held_until_ms: row.get(22)?,
        })
    })?)
}
