//! A copy put back: a backup on the same or another device, or a clone. Its packet identifiers, its cursors and its ids
//! may have been used since by the original, so it begins as another store, and its outbox waits for the app's word.

use rusqlite::{Connection, params};

use super::Store;
use super::codec::{AS_SENT, MAYBE_DUP, int, read_size, read_u64};
use super::error::{StoreError, StoreErrorKind};
use super::lock::DriverLock;
use super::mark::Mark;
use super::session_row::read_hot;
use super::writer::write_hot;
use crate::model::event::GapCause;
use crate::model::rows::{Hot, LANE_SHIFT};

/// So many numbers are skipped: the original cannot have given as many since the copy was made.
const SKIP: u64 = 1 << 32;

/// How a copy gave itself away. The words stand in table `incident`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    OtherDevice,
    OtherStore,
    Older,
}

impl Trace {
    const fn words(self) -> &'static str {
        match self {
            Self::OtherDevice => "last driven under another device token",
            Self::OtherStore => "the lock file beside it belongs to another store",
            Self::Older => "an older state than the lock file beside it has seen",
        }
    }

    fn of(
        seen: Option<Mark>,
        store_id: [u8; 16],
        turn: u64,
        token: Option<&[u8]>,
        stored: Option<&[u8]>,
    ) -> Option<Self> {
        if token.zip(stored).is_some_and(|(token, stored)| token != stored) {
            return Some(Self::OtherDevice);
        }
        let seen = seen?;
        if seen.store_id != store_id {
            return Some(Self::OtherStore);
        }
        (turn < seen.turn).then_some(Self::Older)
    }
}

/// Before anything else happens to the store: is it the one that was driven here last? Says in words why not; then it has
/// become another store, in one transaction.
pub(super) fn settle_copy(
    connection: &Connection,
    lock: &DriverLock,
    token: Option<&[u8]>,
    wall_ms: i64,
) -> Result<Option<&'static str>, StoreError> {
    let (store_id, stored): ([u8; 16], Option<Vec<u8>>) =
        connection.query_row("SELECT store_id, device_token FROM session", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let hot = read_hot(connection)?;
    let Some(trace) = Trace::of(lock.mark(), store_id, hot.turn, token, stored.as_deref()) else {
        if let (Some(token), None) = (token, stored) {
            connection.execute("UPDATE session SET device_token = ?1", [token])?;
        }
        return Ok(None);
    };
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|_| StoreError::new(StoreErrorKind::Other, "the system has no randomness"))?;
    let [store_id @ .., a, b, c, d] = random;
    // First: a kill between this and the commit finds another store's mark, and does all of it again.
    if let Err(error) = lock.set_mark(Mark { store_id, turn: 0 }) {
        tracing::warn!(%error, "the lock file cannot be written");
    }
    let turn = connection.unchecked_transaction()?;
    become_another(&turn, hot, store_id, u32::from_le_bytes([a, b, c, d]))?;
    turn.execute("UPDATE session SET device_token = coalesce(?1, device_token)", [token])?;
    turn.execute(
        "INSERT INTO incident (at_ms, kind, detail) VALUES (?1, ?2, ?3)",
        params![wall_ms, GapCause::Restored.as_str(), trace.words()],
    )?;
    turn.commit()?;
    Ok(Some(trace.words()))
}

fn become_another(turn: &Connection, mut hot: Hot, store_id: [u8; 16], salt: u32) -> Result<(), StoreError> {
    let [normal, urgent] = hot.lanes.map(|lane| int(lane.next_ord - 1));
    // The client identifier is one that the broker may know from the original, even if we made it at random.
    turn.execute(
        "UPDATE session SET store_id = ?1, client_id_random = 0, established = 0, session_epoch = session_epoch + 1,
           pid_salt = ?2, unanswered = 0, unproven = 0, held = EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM parked),
           suspect_id = NULL, strikes = 0,
           copied_through_0 = ?3, copied_through_1 = ?4",
        params![store_id, salt, normal, urgent],
    )?;
    turn.execute("DELETE FROM received_qos2", [])?;
    turn.execute("DELETE FROM released", [])?;
    turn.execute("DELETE FROM skipped_pid", [])?;
    open_gaps(turn, &hot)?;
    for (number, lane) in hot.lanes.iter_mut().enumerate() {
        let base = (number as u64) << LANE_SHIFT;
        let in_flight = [int(base), int(base + lane.sent_through)];
        let oldest: Option<i64> =
            turn.query_row("SELECT min(id) FROM outbox WHERE id > ?1 AND id <= ?2", in_flight, |row| row.get(0))?;
        if let Some(oldest) = oldest {
            turn.execute(
                "UPDATE outbox SET flags = (flags | ?3) & ~?4 WHERE id > ?1 AND id <= ?2",
                [in_flight[0], in_flight[1], MAYBE_DUP, AS_SENT],
            )?;
            lane.sent_through = oldest.cast_unsigned() - base - 1;
        }
        lane.next_ord += SKIP;
        lane.verdict_floor = lane.next_ord;
    }
    hot.next_seq += SKIP;
    hot.turn += 1;
    write_hot(turn, &hot)
}

/// What the original received since the copy was made, the copy will never see.
fn open_gaps(turn: &Connection, hot: &Hot) -> Result<(), StoreError> {
    let (restored, lost) = (GapCause::Restored.as_str(), GapCause::SessionLost.as_str());
    // A gap that is open already goes on, for one more reason.
    turn.execute("UPDATE gap SET cause = ?1 WHERE cause = ?2 AND to_ms IS NULL", [restored, lost])?;
    turn.execute(
        "INSERT INTO gap (filter, cause, from_ms, after_seq) SELECT filter, ?1, ?2, ?3 FROM subscription
         WHERE wanted AND NOT EXISTS
           (SELECT 1 FROM gap WHERE gap.filter = subscription.filter AND cause = ?1 AND to_ms IS NULL)",
        params![restored, hot.last_contact_ms, int(hot.next_seq - 1)],
    )?;
    Ok(())
}

impl Store {
    /// Outbox rows and parked ones up to these ordinals of the lanes, id and size, at most so many together; and whether there
    /// are no more.
    ///
    /// # Errors
    /// The store's.
    #[allow(clippy::type_complexity, reason = "plain values that are used once")]
    pub fn copied(
        &mut self,
        through: [u64; 2],
        max_rows: usize,
    ) -> Result<(Vec<(u64, u64)>, Vec<(u64, u64)>, bool), StoreError> {
        let [normal, urgent] = through;
        let base = 1 << LANE_SHIFT;
        self.read(|connection| {
            let select = |table: &str, limit: usize| {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT id, octet_length(topic) + octet_length(payload), props FROM {table}
                     WHERE id <= ?1 OR id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4"
                ))?;
                let mut rows = statement.query([int(normal), int(base), int(base + urgent), int(limit as u64)])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push((read_u64(row, 0)?, read_size(row, 1, 2)?));
                }
                Ok::<_, StoreError>(found)
            };
            let rows = select("outbox", max_rows)?;
            let parked = select("parked", max_rows - rows.len())?;
            let complete = rows.len() + parked.len() < max_rows;
            Ok((rows, parked, complete))
        })
    }
}
