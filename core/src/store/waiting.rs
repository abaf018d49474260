//! Messages that were not sent yet, and those set aside: found by key or by age, parked, brought back (P7, P9).

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Store;
use super::codec::{AS_SENT, MAYBE_DUP, int, read_outbox, read_size, read_u64};
use super::error::StoreError;
use super::outbox::{BYTES, encode_outcome};
use crate::model::reason::ReasonCode;
use crate::model::rows::{OutboxRow, Outcome, join_id, split_id};

/// What `oldest_waiting` is to make room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A message in flight that others with its key may have followed.
#[derive(Debug)]
pub struct Replaceable {
    /// Its id.
    pub id: u64,
    /// Its supersede key.
    pub key: String,
    /// See [`OutboxRow::after_ord`].
    pub after_ord: Option<u64>,
    /// See [`OutboxRow::size`].
    pub size: u64,
}

impl Store {
    pub(super) fn sent_after(&mut self, id: u64, after_ord: u64) -> Result<(), StoreError> {
        // Mostly it was published in this very turn.
        if let Ok(index) = self.staged.outbox.binary_search_by_key(&id, |new| new.row.id) {
            self.staged.outbox[index].row.after_ord = Some(after_ord);
            return Ok(());
        }
        self.begin()?;
        self.connection
            .prepare_cached("UPDATE outbox SET after_ord = ?2 WHERE id = ?1")?
            .execute([int(id), int(after_ord)])?;
        Ok(())
    }

    /// `sent`: bits of `codec::AS_SENT`.
    pub(super) fn sent_as(&mut self, id: u64, sent: i64) -> Result<(), StoreError> {
        if let Ok(index) = self.staged.outbox.binary_search_by_key(&id, |new| new.row.id) {
            self.staged.outbox[index].sent = sent;
            return Ok(());
        }
        self.begin()?;
        self.connection.prepare_cached("UPDATE outbox SET flags = flags & ~?2 | ?3 WHERE id = ?1")?.execute([
            int(id),
            AS_SENT,
            sent,
        ])?;
        Ok(())
    }

    pub(super) fn park(&mut self, id: u64, reason: ReasonCode, maybe_dup: bool, at_ms: i64) -> Result<(), StoreError> {
        self.begin()?;
        self.flush()?;
        let set = if maybe_dup { MAYBE_DUP } else { 0 };
        self.connection
            .prepare_cached(
                "INSERT INTO parked (id, topic, payload, props, flags, expires_ms, supersede, reason, at_ms)
                 SELECT id, topic, payload, props, (flags | ?2) & ~?5, expires_ms, supersede, ?3, ?4 FROM outbox
                 WHERE id = ?1",
            )?
            .execute(params![int(id), set, reason.code(), at_ms, AS_SENT])?;
        self.connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([int(id)])?;
        Ok(())
    }

    pub(super) fn parked_gone(&mut self, id: u64, verdict: Outcome, at_ms: i64) -> Result<(), StoreError> {
        self.begin()?;
        self.flush()?;
        self.connection.prepare_cached("DELETE FROM parked WHERE id = ?1")?.execute([int(id)])?;
        self.stage_verdict(id, encode_outcome(verdict), at_ms);
        Ok(())
    }

    pub(super) fn skip_pid(&mut self, pid: u16) -> Result<(), StoreError> {
        self.begin()?;
        self.connection.prepare_cached("INSERT OR IGNORE INTO skipped_pid (pid) VALUES (?1)")?.execute([pid])?;
        Ok(())
    }

    /// Packet identifiers that no fresh QoS 2 message may get in this session.
    ///
    /// # Errors
    /// The store's.
    pub fn skipped_pids(&mut self) -> Result<Vec<u16>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT pid FROM skipped_pid")?;
            let pids = statement.query_map([], |row| row.get(0))?;
            Ok(pids.collect::<Result<_, _>>()?)
        })
    }

    /// Size of a waiting row, and whether it was sent in an earlier session.
    ///
    /// # Errors
    /// The store's.
    pub fn waiting(&mut self, id: u64) -> Result<Option<(u64, bool)>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {BYTES}, props, flags & ?2 FROM outbox WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([int(id), MAYBE_DUP])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some((read_size(row, 0, 1)?, row.get::<_, i64>(2)? != 0)))
        })
    }

    /// Rows with this supersede key that were never sent, id and size: waiting ones above the cursors, and parked ones.
    ///
    /// # Errors
    /// The store's.
    #[allow(clippy::type_complexity, reason = "two plain lists that are used once")]
    pub fn superseded(
        &mut self,
        key: &str,
        sent_through: [u64; 2],
        any_parked: bool,
    ) -> Result<(Vec<(u64, u64)>, Vec<(u64, u64)>), StoreError> {
        self.read(|connection| {
            let waiting = format!(
                "SELECT id, {BYTES}, props FROM outbox WHERE supersede = ?1 AND flags & {MAYBE_DUP} = 0 ORDER BY id"
            );
            let mut rows = sizes(connection, &waiting, key)?;
            rows.retain(|(id, _)| {
                let (lane, ord) = split_id(*id);
                sent_through.get(lane).is_some_and(|through| ord > *through)
            });
            let parked = match any_parked {
                true => sizes(connection, &format!("SELECT id, {BYTES}, props FROM parked WHERE supersede = ?1"), key)?,
                false => Vec::new(),
            };
            Ok((rows, parked))
        })
    }

    /// The oldest waiting rows that were never sent, id and size: as many as it takes for `need`, the normal lane first.
    /// None: all of them together are not enough. Rows in `spared` do not count.
    ///
    /// # Errors
    /// The store's.
    pub fn oldest_waiting(
        &mut self,
        sent_through: [u64; 2],
        need: Need,
        spared: &[u64],
    ) -> Result<Option<Vec<(u64, u64)>>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, {BYTES}, props FROM outbox WHERE id BETWEEN ?1 AND ?2 AND flags & {MAYBE_DUP} = 0
                 ORDER BY id"
            ))?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            for (lane, through) in sent_through.into_iter().enumerate() {
                let ends = [int(join_id(lane, through + 1)), int(join_id(lane + 1, 0) - 1)];
                let mut rows = statement.query(ends)?;
                loop {
                    if found.len() as u64 >= need.messages && bytes >= need.bytes {
                        return Ok(Some(found));
                    }
                    let Some(row) = rows.next()? else { break };
                    let (id, size) = (read_u64(row, 0)?, read_size(row, 1, 2)?);
                    if !spared.contains(&id) {
                        found.push((id, size));
                        bytes += size;
                    }
                }
            }
            Ok(None)
        })
    }

    /// A row in flight that has a supersede key.
    ///
    /// # Errors
    /// The store's.
    pub fn replaceable(&mut self, id: u64) -> Result<Option<Replaceable>, StoreError> {
        self.read(|connection| {
            let sql = format!(
                "SELECT supersede, after_ord, {BYTES}, props FROM outbox WHERE id = ?1 AND supersede IS NOT NULL"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([int(id)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let after_ord = row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned);
            Ok(Some(Replaceable { id, key: row.get(0)?, after_ord, size: read_size(row, 2, 3)? }))
        })
    }

    /// The newest message with its key that was published behind it.
    ///
    /// # Errors
    /// The store's.
    pub fn newer(&mut self, older: &Replaceable, sent_through: [u64; 2]) -> Result<Option<u64>, StoreError> {
        let (lane, ord) = split_id(older.id);
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT id, after_ord, flags & ?2 FROM outbox WHERE supersede = ?1 ORDER BY id")?;
            let mut rows = statement.query(params![older.key, MAYBE_DUP])?;
            let mut newer = None;
            while let Some(row) = rows.next()? {
                let id = read_u64(row, 0)?;
                let (its_lane, its_ord) = split_id(id);
                let waits =
                    row.get::<_, i64>(2)? == 0 && sent_through.get(its_lane).is_some_and(|sent| its_ord > *sent);
                // Of two that were sent the one first sent is the older: had it waited still, the other had replaced it.
                let sent_later = match (lane, its_lane) {
                    (0, 1) => row.get::<_, Option<i64>>(1)?.is_some_and(|after| after.cast_unsigned() >= ord),
                    (1, 0) => older.after_ord.is_some_and(|after| its_ord > after),
                    _ => its_ord > ord,
                };
                if waits || sent_later {
                    newer = Some(id);
                }
            }
            Ok(newer)
        })
    }

    /// A row that was set aside.
    ///
    /// # Errors
    /// The store's.
    pub fn parked(&mut self, id: u64) -> Result<Option<OutboxRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, topic, payload, props, flags, expires_ms, supersede, NULL FROM parked WHERE id = ?1",
            )?;
            let mut rows = statement.query([int(id)])?;
            rows.next()?.map(|row| read_outbox(row, &mut None)).transpose()
        })
    }

    /// Rows that were set aside because of what the broker supports, in order; and whether that was all.
    ///
    /// # Errors
    /// The store's.
    pub fn load_parked(
        &mut self,
        after: u64,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<(Vec<OutboxRow>, bool), StoreError> {
        let limits = [
            ReasonCode::PacketTooLarge,
            ReasonCode::RetainNotSupported,
            ReasonCode::QosNotSupported,
            // Longer than a service takes.
            ReasonCode::TopicNameInvalid,
        ];
        let [size, retain, qos, topic] = limits.map(ReasonCode::code);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, topic, payload, props, flags, expires_ms, supersede, NULL FROM parked
                 WHERE id > ?1 AND reason IN ({size}, {retain}, {qos}, {topic}) ORDER BY id"
            ))?;
            let mut rows = statement.query([int(after)])?;
            let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
            while let Some(row) = rows.next()? {
                if found.len() >= max_rows || bytes >= max_bytes as u64 {
                    return Ok((found, false));
                }
                let row = read_outbox(row, &mut last)?;
                bytes += row.size();
                found.push(row);
            }
            Ok((found, true))
        })
    }
}

/// The reason for which a message was set aside, if it is.
pub(super) fn parked_reason(connection: &Connection, id: u64) -> Result<Option<ReasonCode>, StoreError> {
    let reason: Option<u8> = connection
        .prepare_cached("SELECT reason FROM parked WHERE id = ?1")?
        .query_row([int(id)], |row| row.get(0))
        .optional()?;
    Ok(reason.map(ReasonCode::from))
}

fn sizes(connection: &Connection, sql: &str, key: &str) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((read_u64(row, 0)?, read_size(row, 1, 2)?));
    }
    Ok(found)
}
