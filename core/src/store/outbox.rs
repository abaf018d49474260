//! Outgoing messages: inserts, ends, releases, verdicts, and the session's loads.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Store;
use super::codec::{
    AS_SENT, Flags, MAYBE_DUP, SENT_QOS1, encode_props, int, outbox_flags, read_outbox, read_size, read_u64,
};
use super::error::StoreError;
use super::waiting::parked_reason;
use super::writer::{NewRow, VerdictRow};
use crate::model::event::Fate;
use crate::model::message::{MessageId, StoreId};
use crate::model::reason::ReasonCode;
use crate::model::rows::{Hot, InFlightRow, OutboxRow, Outcome, is_copied, join_id, split_id};

/// At most so many verdicts are kept; of older messages nothing is known (`Fate::Forgotten`).
pub const MAX_VERDICTS: u64 = 100_000;
/// Pruning takes so many more away, so that it is rare.
const PRUNE_AT_ONCE: u64 = 1_000;

/// Bytes of topic and payload, without reading the payload.
pub(super) const BYTES: &str = "octet_length(topic) + octet_length(payload)";

impl Store {
    pub(super) fn outbox_insert(&mut self, row: OutboxRow) -> Result<(), StoreError> {
        // Rising ids let `outbox_finish` find a staged row by halving.
        if self.staged.outbox.last().is_some_and(|last| last.row.id >= row.id) {
            self.flush()?;
        }
        self.staged.outbox.push(NewRow { row, sent: 0, ended: false });
        Ok(())
    }

    pub(super) fn outbox_finish(&mut self, id: u64, verdict: Option<Outcome>, at_ms: i64) {
        let staged = &mut self.staged;
        match staged.outbox.binary_search_by_key(&id, |new| new.row.id) {
            Ok(index) => {
                staged.outbox[index].ended = true;
                if self.any_released || !staged.released.is_empty() {
                    staged.finished.push(id);
                }
            }
            Err(_) => staged.finished.push(id),
        }
        self.stage_verdict(id, verdict.and_then(encode_outcome), at_ms);
    }

    pub(super) fn stage_verdict(&mut self, id: u64, verdict: Option<(u8, u8, Option<u64>)>, at_ms: i64) {
        if let Some((outcome, detail, other_id)) = verdict {
            self.staged.verdicts.push(VerdictRow { id, outcome, detail, at_ms, other_id });
        }
    }

    pub(super) fn flush_outbox(&mut self) -> Result<(), StoreError> {
        let (connection, staged) = (&self.connection, &mut self.staged);
        staged.outbox.retain(|new| !new.ended);
        self.inserts.outbox.run(connection, &staged.outbox, |columns, NewRow { row, sent, .. }| {
            columns.put(int(row.id))?;
            columns.put(row.topic.as_str())?;
            columns.put(&row.payload[..])?;
            columns.put(encode_props(row.props.as_deref())?)?;
            columns.put(outbox_flags(row) | sent)?;
            columns.put(row.expires_ms)?;
            columns.put(row.supersede.as_deref())?;
            Ok(columns.put(row.after_ord.map(int))?)
        })?;
        self.any_released |= !staged.released.is_empty();
        self.inserts.released.run(connection, &staged.released, |columns, (id, release)| {
            columns.put(int(*id))?;
            Ok(columns.put(int(*release))?)
        })?;
        if !staged.finished.is_empty() {
            staged.finished.sort_unstable();
            staged.finished.dedup();
            let mut rows = connection.prepare_cached("DELETE FROM outbox WHERE id BETWEEN ?1 AND ?2")?;
            let mut released = connection.prepare_cached("DELETE FROM released WHERE id BETWEEN ?1 AND ?2")?;
            // A run without holes cannot touch a row that is not finished.
            for run in staged.finished.chunk_by(|a, b| a + 1 == *b) {
                let ends = [int(run[0]), int(run[run.len() - 1])];
                rows.execute(ends)?;
                if self.any_released {
                    released.execute(ends)?;
                }
            }
        }
        self.inserts.verdict.run(connection, &staged.verdicts, |columns, verdict| {
            columns.put(int(verdict.id))?;
            columns.put(verdict.outcome)?;
            columns.put(verdict.detail)?;
            columns.put(verdict.at_ms)?;
            Ok(columns.put(verdict.other_id.map(int))?)
        })?;
        if let Some(count) = &mut self.verdicts {
            *count += staged.verdicts.len() as u64;
        } else if !staged.verdicts.is_empty() {
            self.verdicts = Some(count_verdicts(connection)?);
        }
        staged.outbox.clear();
        staged.released.clear();
        staged.finished.clear();
        staged.verdicts.clear();
        Ok(())
    }

    /// Keeps at most `MAX_VERDICTS` and raises the floor below which nothing is known.
    pub(super) fn prune_verdicts(&mut self, next: &mut Hot) -> Result<(), StoreError> {
        if self.verdicts.is_none_or(|count| count <= MAX_VERDICTS) {
            return Ok(());
        }
        // The running count takes replaced rows for new ones: ask before deleting.
        let mut count = count_verdicts(&self.connection)?;
        if count > MAX_VERDICTS {
            let go = count - MAX_VERDICTS + PRUNE_AT_ONCE;
            let last: i64 = self
                .connection
                .prepare_cached("SELECT id FROM verdict ORDER BY id LIMIT 1 OFFSET ?1")?
                .query_row([int(go - 1)], |row| row.get(0))?;
            count -= self.connection.prepare_cached("DELETE FROM verdict WHERE id <= ?1")?.execute([last])? as u64;
            let last = last.cast_unsigned();
            // Lane 1 stands above lane 0: what was deleted in it means that all of lane 0 was.
            let (lane, ord) = split_id(last);
            if let Some(counters) = next.lanes.get_mut(lane) {
                counters.verdict_floor = counters.verdict_floor.max(ord + 1);
            }
            for below in next.lanes.iter_mut().take(lane) {
                below.verdict_floor = below.next_ord;
            }
        }
        self.verdicts = Some(count);
        Ok(())
    }

    pub(super) fn session_lost(&mut self, sent_through: [u64; 2]) -> Result<(), StoreError> {
        self.begin()?;
        self.flush()?;
        self.connection.execute("DELETE FROM received_qos2", [])?;
        self.connection.execute("DELETE FROM released", [])?;
        self.connection.execute("DELETE FROM skipped_pid", [])?;
        for (first, last) in sent_ids(sent_through) {
            self.connection.execute(
                "UPDATE outbox SET flags = (flags | ?3) & ~?4
                 WHERE id BETWEEN ?1 AND ?2 AND (flags & ?3 = 0 OR flags & ?4 > 0)",
                [first, last, MAYBE_DUP, AS_SENT],
            )?;
        }
        self.any_released = false;
        Ok(())
    }

    pub(super) fn session_doubted(&mut self, sent_through: [u64; 2]) -> Result<(), StoreError> {
        self.begin()?;
        self.flush()?;
        for (first, last) in sent_ids(sent_through) {
            self.connection.execute(
                "UPDATE outbox SET flags = flags | ?3
                 WHERE id BETWEEN ?1 AND ?2 AND flags & 3 = 2 AND flags & ?4 = 0 AND id NOT IN (SELECT id FROM released)",
                [first, last, MAYBE_DUP, SENT_QOS1],
            )?;
        }
        Ok(())
    }

    /// Rows up to the cursors, lane by lane in order, without their payloads.
    ///
    /// # Errors
    /// The store's.
    pub fn in_flight(&mut self, sent_through: [u64; 2]) -> Result<Vec<InFlightRow>, StoreError> {
        let copied = self.session.copied_through;
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, flags, {BYTES}, props, EXISTS (SELECT 1 FROM released WHERE released.id = outbox.id)
                 FROM outbox WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
            ))?;
            let mut found = Vec::new();
            for (first, last) in sent_ids(sent_through) {
                let mut rows = statement.query([first, last])?;
                while let Some(row) = rows.next()? {
                    let flags = Flags::read(row, 1)?;
                    found.push(InFlightRow {
                        id: read_u64(row, 0)?,
                        qos: flags.sent_qos,
                        downgraded: flags.downgraded,
                        maybe_dup: flags.maybe_dup || is_copied(copied, read_u64(row, 0)?),
                        size: read_size(row, 2, 3)?,
                        released: row.get(4)?,
                    });
                }
            }
            Ok(found)
        })
    }

    /// Rows with `after < id <= through` in order, at least one if there is one; and whether that was all.
    ///
    /// # Errors
    /// The store's.
    pub fn load_outbox(
        &mut self,
        after: u64,
        through: u64,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<(Vec<OutboxRow>, bool), StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, topic, payload, props, flags, expires_ms, supersede, after_ord FROM outbox
                 WHERE id > ?1 AND id <= ?2 ORDER BY id",
            )?;
            let mut rows = statement.query([int(after), int(through)])?;
            let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
            while let Some(row) = rows.next()? {
                if found.len() >= max_rows.max(1) {
                    return Ok((found, false));
                }
                let row = read_outbox(row, &mut last)?;
                bytes += row.size();
                if !found.is_empty() && bytes > max_bytes as u64 {
                    return Ok((found, false));
                }
                found.push(row);
            }
            Ok((found, true))
        })
    }

    /// Ids of released messages in the order of their PUBRECs.
    ///
    /// # Errors
    /// The store's.
    pub fn released(&mut self) -> Result<Vec<u64>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id FROM released ORDER BY ord")?;
            let ids = statement.query_map([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
    }

    /// Waiting rows (above the cursors, never sent before) that have expired by `now_ms`, id and size, the longest expired
    /// first; and when the first of the other waiting rows will (or did, if `max_rows` cut the list short).
    ///
    /// # Errors
    /// The store's.
    #[allow(clippy::type_complexity, reason = "two plain values that are used once")]
    pub fn expired(
        &mut self,
        sent_through: [u64; 2],
        now_ms: i64,
        max_rows: usize,
    ) -> Result<(Vec<(u64, u64)>, Option<i64>), StoreError> {
        let [(_, normal), (urgent, last)] = sent_ids(sent_through);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, {BYTES}, props, expires_ms FROM outbox
                 WHERE expires_ms IS NOT NULL AND flags & ?1 = 0 AND (id > ?2 AND id < ?3 OR id > ?4)
                 ORDER BY expires_ms"
            ))?;
            let mut rows = statement.query([MAYBE_DUP, normal, urgent, last])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let expires_ms: i64 = row.get(3)?;
                if expires_ms > now_ms || found.len() >= max_rows {
                    return Ok((found, Some(expires_ms)));
                }
                found.push((read_u64(row, 0)?, read_size(row, 1, 2)?));
            }
            Ok((found, None))
        })
    }

    /// What became of a message, by the counters of the last commit (P9). None: an id that was never given.
    ///
    /// # Errors
    /// The store's.
    pub fn fate(&mut self, id: u64) -> Result<Option<Fate>, StoreError> {
        let hot = self.hot;
        let store = StoreId(self.session.store_id);
        self.read(|connection| fate(connection, store, &hot, id))
    }

    /// Runs a read that sees this turn's writes.
    pub(super) fn read<T>(&mut self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check()?;
        let result = self.flush().and_then(|()| read(&self.connection));
        self.note(result)
    }
}

/// P9, by rows and counters of one moment.
pub(super) fn fate(connection: &Connection, store: StoreId, hot: &Hot, id: u64) -> Result<Option<Fate>, StoreError> {
    let (lane, ord) = split_id(id);
    let Some(lane) = hot.lanes.get(lane).filter(|lane| ord > 0 && ord < lane.next_ord) else {
        return Ok(None);
    };
    if connection.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?.exists([int(id)])? {
        return Ok(Some(if hot.is_in_flight(id) { Fate::InFlight } else { Fate::Waiting }));
    }
    let verdict: Option<(u8, u8, Option<i64>)> = connection
        .prepare_cached("SELECT outcome, detail, other_id FROM verdict WHERE id = ?1")?
        .query_row([int(id)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    match verdict {
        Some((outcome, detail, other)) => {
            decode_outcome(store, outcome, detail, other.map(i64::cast_unsigned)).map(Some)
        }
        // Last: whoever asks for one that was delivered pays for this look, nobody else.
        None => Ok(Some(match parked_reason(connection, id)? {
            Some(reason) => Fate::Parked(reason),
            None if ord >= lane.verdict_floor => Fate::DELIVERED,
            None => Fate::Forgotten,
        })),
    }
}

/// The first and the last id of each lane that were sent.
fn sent_ids(sent_through: [u64; 2]) -> [(i64, i64); 2] {
    let [normal, urgent] = sent_through;
    [(0, normal), (join_id(1, 0), join_id(1, urgent))].map(|(first, last)| (int(first), int(last)))
}

fn count_verdicts(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 =
        connection.prepare_cached("SELECT count(*) FROM verdict")?.query_row(params![], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

const SENT: u8 = 1;
const DELIVERED: u8 = 2;
const REFUSED: u8 = 3;
const EXPIRED: u8 = 4;
const UNKNOWN: u8 = 5;
const SUPERSEDED: u8 = 6;
const CANCELLED: u8 = 7;
const DROPPED: u8 = 8;

/// Outcome, detail and the id of another message. None: delivered, nothing to remark, which needs no row.
pub(super) fn encode_outcome(outcome: Outcome) -> Option<(u8, u8, Option<u64>)> {
    let (outcome, detail) = match outcome {
        Outcome::Superseded(by) => return Some((SUPERSEDED, 0, Some(by))),
        Outcome::Cancelled => (CANCELLED, 0),
        Outcome::Dropped => (DROPPED, 0),
        Outcome::Sent => (SENT, 0),
        Outcome::Delivered { maybe_twice, maybe_lost, downgraded } => {
            let marks = u8::from(maybe_twice) | u8::from(maybe_lost) << 1 | u8::from(downgraded) << 2;
            return (marks != 0).then_some((DELIVERED, marks, None));
        }
        Outcome::Refused(reason) => (REFUSED, reason.code()),
        Outcome::Expired => (EXPIRED, 0),
        Outcome::Unknown => (UNKNOWN, 0),
    };
    Some((outcome, detail, None))
}

fn decode_outcome(store: StoreId, outcome: u8, detail: u8, other: Option<u64>) -> Result<Fate, StoreError> {
    Ok(match outcome {
        SENT => Fate::Sent,
        DELIVERED => {
            Fate::Delivered { maybe_twice: detail & 1 != 0, maybe_lost: detail & 2 != 0, downgraded: detail & 4 != 0 }
        }
        REFUSED => Fate::Refused(ReasonCode::from(detail)),
        EXPIRED => Fate::Expired,
        UNKNOWN => Fate::Unknown,
        SUPERSEDED => Fate::Superseded(MessageId::new(store, other.ok_or_else(|| StoreError::corrupt("verdict"))?)),
        CANCELLED => Fate::Cancelled,
        DROPPED => Fate::Dropped,
        _ => return Err(StoreError::corrupt("verdict")),
    })
}
