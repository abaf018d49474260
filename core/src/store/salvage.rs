//! What can be read of a damaged file, row by row, into a new store.

use std::fs;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::boot::SKIP;
use super::checkup::counted;
use super::codec::{AS_SENT, MAYBE_DUP, int, read_topic};
use super::copying::{TABLES, copy};
use super::create::{fill, put_in_place};
use super::error::StoreError;
use super::lock::beside;
use super::open::{StoreOptions, file_uri, unavailable};
use super::session_row::{read_hot, read_session};
use super::writer::write_hot;
use crate::model::error::OpenError;
use crate::model::event::GapCause;
use crate::model::rows::{Hot, SessionRow, join_id, split_id};
use crate::model::topic::ClientId;

/// No number that we give comes near it: what stands above was never ours.
pub(super) const LARGEST: u64 = 1 << 51;

/// Rows that came through, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Table and rows.
    pub tables: Vec<(&'static str, u64)>,
    /// Whether the client identifier, the broker and the counters could be read.
    pub session: bool,
    /// See `session`.
    pub counters: bool,
}

impl Saved {
    /// All rows together.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }

    fn words(&self, name: &str) -> String {
        let tables: Vec<String> = self.tables.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
        let could = |read: bool| if read { "read" } else { "not readable" };
        let (session, counters) = (could(self.session), could(self.counters));
        format!("set aside as {name}; rows saved: {}; session {session}, counters {counters}", tables.join(", "))
    }
}

/// Makes a new store of what can be read of `aside`, under another name, and renames it when it is whole.
pub(super) fn salvage(aside: &Path, path: &Path, options: &StoreOptions<'_>, name: &str) -> Result<Saved, OpenError> {
    let work = beside(path, "-salvaging");
    let clear = || ["", "-wal", "-shm", "-journal"].iter().for_each(|part| drop(fs::remove_file(beside(&work, part))));
    clear();
    let make = |fresh: &Path| -> Result<Saved, StoreError> {
        let mut client_id = None;
        // Schema and first page are the same in every store: where they are gone, a new store's serve as well.
        let source = match open_source(aside) {
            Some(source) => Some(source),
            None => {
                fill(fresh, options)?;
                let grafted = graft(aside, fresh, &work);
                for part in ["", "-wal", "-shm"] {
                    drop(fs::remove_file(beside(fresh, part)));
                }
                grafted.ok().and_then(|()| open_source(&work))
            }
        };
        let session = source.as_ref().and_then(|source| read_session(source).ok());
        let session = session.filter(|row| ClientId::new(row.client_id.as_str()).is_ok());
        if let Some(row) = &session {
            client_id = ClientId::new(row.client_id.as_str()).ok();
        }
        fill(fresh, &StoreOptions { client_id: client_id.as_ref().or(options.client_id), ..*options })?;
        let target = Connection::open(fresh)?;
        super::open::pragmas(&target)?;
        let saved = fill_from(source.as_ref(), &target, session.as_ref(), options.wall_ms, name)?;
        target.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        target.close().map_err(|(_, error)| StoreError::from(error))?;
        Ok(saved)
    };
    let saved = put_in_place(path, |fresh| make(fresh).map_err(|error| error.at_open(path)));
    clear();
    saved.map_err(|error| match error {
        OpenError::StoreUnavailable { detail, .. } => {
            unavailable(path, format!("it is damaged and was set aside, but no new store can be made yet: {detail}"))
        }
        error => error,
    })
}

/// The damaged file and its log, read and not written. None: not even the schema can be read.
fn open_source(aside: &Path) -> Option<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let usable = |connection: Connection| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;").ok()?;
        connection.prepare("SELECT id FROM outbox").ok()?;
        connection.prepare("SELECT indexed_through FROM session").ok()?;
        Some(connection)
    };
    // Beside a log that cannot be used the file is read as it is.
    let immutable = file_uri(aside) + "?immutable=1";
    [file_uri(aside), immutable].iter().find_map(|uri| usable(Connection::open_with_flags(uri, flags).ok()?))
}

/// A copy of the damaged file under the pages of a new store that hold its schema.
fn graft(aside: &Path, template: &Path, work: &Path) -> Result<(), StoreError> {
    let system = |error: std::io::Error| StoreError::new(super::StoreErrorKind::Io, error.to_string());
    let roots: Vec<i64> = {
        let connection = Connection::open(template)?;
        let mut statement = connection.prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0")?;
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    let page = 4096;
    let whole = fs::read(template).map_err(system)?;
    fs::copy(aside, work).map_err(system)?;
    if beside(aside, "-wal").exists() {
        fs::copy(beside(aside, "-wal"), beside(work, "-wal")).map_err(system)?;
    }
    let file = fs::OpenOptions::new().write(true).open(work).map_err(system)?;
    let pages = file.metadata().map_err(system)?.len() / page as u64;
    let write = |bytes: &[u8], at: u64| -> std::io::Result<()> {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let mut file = &file;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    };
    for (index, bytes) in whole.chunks(page).enumerate() {
        let number = index as i64 + 1;
        if number != 2 && !roots.contains(&number) {
            write(bytes, (index * page) as u64).map_err(system)?;
        }
    }
    // The number of pages is this file's, and nothing of it is free.
    write(&u32::try_from(pages).unwrap_or(u32::MAX).to_be_bytes(), 28).map_err(system)?;
    write(&[0; 8], 32).map_err(system)
}

fn fill_from(
    source: Option<&Connection>,
    target: &Connection,
    session: Option<&SessionRow>,
    now_ms: i64,
    name: &str,
) -> Result<Saved, StoreError> {
    let old = source.and_then(|source| read_hot(source).ok()).filter(is_plausible);
    let mut saved = Saved { session: session.is_some(), counters: old.is_some(), ..Saved::default() };
    target.execute_batch("CREATE TEMP TABLE first AS SELECT * FROM consumer; DELETE FROM consumer;")?;
    for table in &TABLES {
        let rows = match source {
            Some(source) => copy(source, target, table)?,
            None => 0,
        };
        saved.tables.push((table.name, rows));
    }
    target.execute_batch(
        "INSERT INTO consumer SELECT * FROM first WHERE NOT EXISTS (SELECT 1 FROM consumer); DROP TABLE first;",
    )?;
    let turn = target.unchecked_transaction()?;
    if let Some(source) = source {
        names_from_index(source, &turn)?;
    }
    let orphans = turn.execute("DELETE FROM inbox WHERE tid NOT IN (SELECT tid FROM topic)", [])? as u64;
    if let Some((_, rows)) = saved.tables.iter_mut().find(|(table, _)| *table == "inbox") {
        *rows -= orphans.min(*rows);
    }
    let (mut hot, last_seq) = counters(&turn, old.as_ref(), now_ms)?;
    let sent = old.as_ref().map_or([LARGEST; 2], Hot::sent_through);
    for (lane, through) in sent.iter().enumerate() {
        turn.execute(
            "UPDATE outbox SET flags = (flags | ?3) & ~?4 WHERE id BETWEEN ?1 AND ?2",
            params![int(join_id(lane, 0)), int(join_id(lane, *through)), MAYBE_DUP, AS_SENT],
        )?;
    }
    turn.execute_batch(
        "UPDATE outbox SET after_ord = NULL;
         DELETE FROM consumer_done WHERE name NOT IN (SELECT name FROM consumer);
         INSERT OR IGNORE INTO inbox_by_topic (tid, seq) SELECT tid, seq FROM inbox ORDER BY tid, seq;
         UPDATE topic SET last_seq = NULL, last_at_ms = NULL, last_props = NULL, last_flags = NULL
           WHERE last_payload IS NULL AND tid NOT IN (SELECT tid FROM inbox_by_topic);
         UPDATE topic SET last_seq = (SELECT max(seq) FROM inbox_by_topic WHERE inbox_by_topic.tid = topic.tid),
           last_payload = NULL, last_props = NULL, last_flags = NULL WHERE tid IN (SELECT tid FROM inbox_by_topic);
         UPDATE topic SET last_at_ms = max(coalesce(last_at_ms, 0), (SELECT received_ms FROM inbox WHERE seq = last_seq))
           WHERE last_payload IS NULL AND last_seq IS NOT NULL;",
    )?;
    turn.execute("UPDATE consumer SET cursor = min(max(cursor, 0), ?1)", [int(last_seq)])?;
    keep_session(&turn, source, session, hot.next_seq - 1)?;
    let from_ms = old.as_ref().map_or(0, |hot| hot.last_contact_ms);
    turn.execute(
        "INSERT INTO gap (filter, cause, from_ms, to_ms, after_seq)
         SELECT filter, ?1, ?2, ?3, ?4 FROM subscription WHERE wanted",
        params![GapCause::StoreDamaged.as_str(), from_ms, now_ms, int(last_seq)],
    )?;
    turn.execute(
        "INSERT INTO incident (at_ms, kind, detail) VALUES (?1, 'damaged', ?2)",
        params![now_ms, saved.words(name)],
    )?;
    counted(&turn)?.put_into(&mut hot);
    write_hot(&turn, &hot)?;
    turn.commit()?;
    Ok(saved)
}

fn is_plausible(hot: &Hot) -> bool {
    let number = |number: u64| number > 0 && number < LARGEST;
    number(hot.next_seq) && hot.lanes.iter().all(|lane| number(lane.next_ord) && lane.sent_through < lane.next_ord)
}

/// Counters behind everything that was ever given out, as far as can be seen; and the last message received.
fn counters(target: &Connection, old: Option<&Hot>, now_ms: i64) -> Result<(Hot, u64), StoreError> {
    let highest = |sql: &str, args: [i64; 2]| -> Result<u64, StoreError> {
        let found: Option<i64> = target.query_row(sql, args, |row| row.get(0))?;
        Ok(u64::try_from(found.unwrap_or(0)).unwrap_or(0))
    };
    let mut hot = read_hot(target)?;
    for (lane, counters) in hot.lanes.iter_mut().enumerate() {
        let ids = [int(join_id(lane, 0)), int(join_id(lane, LARGEST))];
        let mut last = old.map_or(0, |old| old.lanes[lane].next_ord);
        for table in ["outbox", "parked", "verdict", "idem"] {
            let sql = format!("SELECT max(id) FROM {table} WHERE id BETWEEN ?1 AND ?2");
            last = last.max(split_id(highest(&sql, ids)?).1);
        }
        counters.next_ord = last + SKIP + 1;
        counters.verdict_floor = counters.next_ord;
        counters.sent_through = 0;
    }
    let bounds = [0, int(LARGEST)];
    let mut last_seq = old.map_or(0, |old| old.next_seq - 1);
    for sql in [
        "SELECT max(seq) FROM inbox WHERE seq BETWEEN ?1 AND ?2",
        "SELECT max(last_seq) FROM topic WHERE last_seq BETWEEN ?1 AND ?2",
        "SELECT max(cursor) FROM consumer WHERE cursor BETWEEN ?1 AND ?2",
        "SELECT max(seq) FROM consumer_done WHERE seq BETWEEN ?1 AND ?2",
    ] {
        last_seq = last_seq.max(highest(sql, bounds)?);
    }
    hot.next_seq = last_seq + SKIP + 1;
    hot.turn = old.map_or(0, |old| old.turn) + 1;
    (hot.clock_ms, hot.wall_ms, hot.last_contact_ms) =
        old.map_or((now_ms, now_ms, 0), |old| (old.clock_ms, old.wall_ms, old.last_contact_ms));
    hot.held_until_ms = old.map_or(0, |old| old.held_until_ms);
    Ok((hot, last_seq))
}

/// Who we are stays, what we had with the broker does not: its session is not ours any more.
fn keep_session(
    target: &Connection,
    source: Option<&Connection>,
    session: Option<&SessionRow>,
    indexed_through: u64,
) -> Result<(), StoreError> {
    target.execute("UPDATE session SET indexed_through = ?1", [int(indexed_through)])?;
    let Some(row) = session else { return Ok(()) };
    let mut salt = [0; 4];
    getrandom::fill(&mut salt)
        .map_err(|_| StoreError::new(super::StoreErrorKind::Other, "the system has no randomness"))?;
    // Not a random identifier that nobody can have: the broker may well hold a session of it.
    target.execute(
        "UPDATE session SET client_id_random = 0, broker = ?1, protocol = ?2, established = 0, session_epoch = ?3,
           pid_salt = ?4, last_connect_ms = ?5",
        params![
            row.broker,
            row.protocol,
            int(row.session_epoch.min(LARGEST) + 1),
            u32::from_ne_bytes(salt),
            row.last_connect_ms
        ],
    )?;
    let kept = "SELECT device_token, held, copied_through_0, copied_through_1 FROM session";
    let kept = source.and_then(|source| {
        let read = |row: &rusqlite::Row<'_>| {
            let (token, held): (Option<Vec<u8>>, bool) = (row.get(0)?, row.get(1)?);
            Ok((token, held, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        };
        source.query_row(kept, [], read).ok()
    });
    if let Some((token, held, normal, urgent)) = kept {
        target.execute(
            "UPDATE session SET device_token = ?1, held = ?2, copied_through_0 = ?3, copied_through_1 = ?4",
            params![token, held, normal, urgent],
        )?;
    }
    Ok(())
}

/// Topics whose rows cannot be read may stand in the index of their names.
fn names_from_index(source: &Connection, target: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT tid, name FROM topic INDEXED BY sqlite_autoindex_topic_1 ORDER BY name";
    let Ok(mut statement) = source.prepare(sql) else { return Ok(()) };
    let Ok(mut rows) = statement.query([]) else { return Ok(()) };
    while let Ok(Some(row)) = rows.next() {
        if let (Ok(tid), Ok(name)) = (row.get::<_, i64>(0), read_topic(row, 1)) {
            target.execute("INSERT OR IGNORE INTO topic (tid, name) VALUES (?1, ?2)", params![tid, name.as_str()])?;
        }
    }
    Ok(())
}
