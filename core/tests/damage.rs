//! P10: a damaged file is set aside whole, what can be read of it comes through once, and numbers are never given twice.
//! More than 400 lines: one file a kind of damage would repeat what all of them prepare.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use homing::internals::rows::join_id;
use homing::internals::writes::Write;
use homing::store::Store;
use homing::{Checkup, Durability, Homing, OpenError, Options, QoS, Reader, Subscription};
use rusqlite::Connection;
use store_common::*;
use tempfile::TempDir;

const ROWS: u64 = 600;
const SENT: u64 = 50;
const PAGE: usize = 4096;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn options(path: &Path) -> Options {
    let mut options = Options::new(path);
    options.connect = false;
    options
}

fn open_client(options: &Options) -> Result<Homing, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Homing::open(options.clone()))
}

fn close(client: Homing) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.close(std::time::Duration::from_secs(5))).unwrap();
}

/// 600 messages to send, of them 50 sent, 100 verdicts' worth of ids, 600 received; a subscription, a broker.
fn known_store(folder: &TempDir) -> Store {
    let mut store = open(folder);
    let mut hot = store.hot();
    let mut row = store.session();
    (row.broker, row.protocol, row.established) = (Some("mqtt://localhost:1883".into()), Some(5), true);
    (row.last_connect_ms, row.session_epoch) = (Some(900), 3);
    store.write(Write::Session(Box::new(row))).unwrap();
    let wish = Subscription::new(filter("home/#"), QoS::AtLeastOnce);
    let row = homing::internals::rows::SubscriptionRow { wish, wanted: true, granted: Some((QoS::AtLeastOnce, 3)) };
    store.write(Write::Subscription(row)).unwrap();
    for n in 1..=ROWS {
        let row = outbox_row(n, QoS::AtLeastOnce);
        (hot.lanes[0].messages, hot.lanes[0].bytes) = (hot.lanes[0].messages + 1, hot.lanes[0].bytes + row.size());
        hot.lanes[0].next_ord = n + 1;
        store.write(Write::OutboxInsert(row)).unwrap();
        let row = inbox_row(n, &format!("home/room{}", n % 7));
        (hot.inbox_messages, hot.inbox_bytes) = (hot.inbox_messages + 1, hot.inbox_bytes + row.size());
        hot.next_seq = n + 1;
        store.write(Write::InboxInsert(row)).unwrap();
        if n % 100 == 0 {
            store.commit(&hot).unwrap();
        }
    }
    hot.lanes[0].sent_through = SENT;
    (hot.wall_ms, hot.last_contact_ms) = (2_000, 1_500);
    store.commit(&hot).unwrap();
    store
}

/// Rows of a table that can be found one by one: the independent read.
fn readable(path: &Path, table: &str, key: &str) -> BTreeSet<i64> {
    let Ok(raw) = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return BTreeSet::new();
    };
    let read = |n: i64| {
        let sql = format!("SELECT * FROM {table} WHERE {key} = ?1");
        raw.prepare(&sql)?
            .query_row([n], |row| (0..row.as_ref().column_count()).try_for_each(|column| row.get_ref(column).map(drop)))
    };
    (1..=ROWS as i64).filter(|n| read(*n).is_ok()).collect()
}

fn numbers(path: &Path, sql: &str) -> BTreeSet<i64> {
    let raw = Connection::open(path).unwrap();
    let mut statement = raw.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn one(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn set_aside(folder: &TempDir) -> Vec<PathBuf> {
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<PathBuf> = names.filter(|path| path.display().to_string().contains("-damaged-")).collect();
    names.retain(|path| !["-wal", "-shm"].iter().any(|part| path.display().to_string().ends_with(part)));
    names
}

/// What holds of a store that was saved from a damaged one, whatever was lost.
fn assert_saved(folder: &TempDir, damaged: &[u8], log: Option<&[u8]>, old_id: [u8; 16]) {
    let path = path(folder);
    let aside = set_aside(folder);
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(fs::read(&aside[0]).unwrap() == damaged, "set aside byte by byte");
    if let Some(log) = log {
        assert!(fs::read(beside(&aside[0], "-wal")).unwrap() == log, "with its log");
    }
    let reader = Reader::open(&path).unwrap();
    assert_ne!(reader.store_id().to_string(), hex(old_id));
    let incidents = reader.incidents().unwrap();
    assert_eq!((incidents.len(), incidents[0].kind.as_str()), (1, "damaged"));
    assert!(incidents[0].detail.contains(aside[0].file_name().unwrap().to_str().unwrap()), "{incidents:?}");
    assert!(!incidents[0].detail.contains('/'), "no paths: {incidents:?}");
    assert!(!path.with_file_name("test.homing-salvage").exists());
    assert!(!path.with_file_name("test.homing-new").exists() && !path.with_file_name("test.homing-salvaging").exists());
    let checkup = Checkup::run(&path).unwrap();
    assert!(checkup.findings.is_empty(), "{checkup:?}");
    assert_eq!(one(&path, "SELECT established + sent_through_0 + sent_through_1 FROM session, hot"), 0);
    let (outbox, inbox) = (numbers(&path, "SELECT id FROM outbox"), numbers(&path, "SELECT seq FROM inbox"));
    assert!(outbox.iter().chain(&inbox).all(|n| (1..=ROWS as i64).contains(n)));
    let highest = outbox.last().copied().unwrap_or(0);
    assert!(one(&path, "SELECT next_ord_0 FROM hot") > highest + 65_536);
    assert_eq!(one(&path, "SELECT next_ord_0 - verdict_floor_0 FROM hot"), 0);
    assert!(one(&path, "SELECT next_seq FROM hot") > inbox.last().copied().unwrap_or(0) + 65_536);
    // What the store never knew of, it says.
    if let Some(gone) = (1..=ROWS).find(|n| !outbox.contains(&(*n as i64))) {
        let id = homing::MessageId::new(reader.store_id(), gone);
        assert_eq!(reader.fate(id).unwrap(), homing::Fate::Forgotten);
    }
}

fn hex(id: [u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn p10_seeded_damage_of_pages_saves_what_an_independent_read_finds() {
    for seed in 0..24 {
        let folder = tempfile::tempdir().unwrap();
        let store = known_store(&folder);
        let old_id = store.session().store_id;
        store.close().unwrap();
        let path = path(&folder);
        let mut bytes = fs::read(&path).unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..=seed % 4 {
            // Page 1 and the page map behind it have a test of their own.
            let page = random.usize(2..bytes.len() / PAGE) * PAGE;
            match random.u8(..3) {
                0 => bytes[page..page + PAGE].fill(0),
                1 => random.fill(&mut bytes[page..page + PAGE]),
                _ => random.fill(&mut bytes[page..page + 200]),
            }
        }
        fs::write(&path, &bytes).unwrap();
        let (outbox, inbox) = (readable(&path, "outbox", "id"), readable(&path, "inbox", "seq"));
        assert!(fs::read(&path).unwrap() == bytes);
        let client = match open_client(&options(&path)) {
            Ok(client) => client,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let at_open = !set_aside(&folder).is_empty();
        // What lies where an open does not look may be met by a later turn.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(runtime.block_on(client.close(std::time::Duration::from_secs(5))));
        if !at_open {
            // The damage lies where an open does not look.
            let mended = Checkup::repair(&options(&path)).unwrap();
            if set_aside(&folder).is_empty() {
                assert!(mended.iter().all(|done| !done.contains("aside")), "seed {seed}: {mended:?}");
                continue;
            }
            let reader = Reader::open(&path).unwrap();
            assert_eq!(reader.incidents().unwrap().len(), 1);
        } else {
            assert_saved(&folder, &bytes, None, old_id);
        }
        let topics = numbers(&path, "SELECT count(*) FROM topic").first() == Some(&7);
        // More, where the schema could not be read but was known.
        let saved = numbers(&path, "SELECT id FROM outbox");
        assert!(outbox.is_subset(&saved), "seed {seed}: lost {:?}", outbox.difference(&saved));
        if topics {
            let saved = numbers(&path, "SELECT seq FROM inbox");
            assert!(inbox.is_subset(&saved), "seed {seed}: lost {:?}", inbox.difference(&saved));
        }
    }
}

#[test]
fn p10_a_destroyed_first_page_costs_no_row() {
    for zeroed in [100, PAGE] {
        let folder = tempfile::tempdir().unwrap();
        let store = known_store(&folder);
        let (old_id, client_id) = (store.session().store_id, store.session().client_id);
        store.close().unwrap();
        let path = path(&folder);
        let mut bytes = fs::read(&path).unwrap();
        bytes[..zeroed].fill(0);
        fs::write(&path, &bytes).unwrap();
        close(open_client(&options(&path)).unwrap());
        assert_saved(&folder, &bytes, None, old_id);
        assert_eq!(one(&path, "SELECT count(*) FROM outbox"), ROWS as i64);
        assert_eq!(one(&path, "SELECT count(*) FROM inbox"), ROWS as i64);
        // What was sent may be sent twice, the rest never was.
        assert_eq!(one(&path, "SELECT count(*) FROM outbox WHERE flags & 16"), SENT as i64);
        let reader = Reader::open(&path).unwrap();
        let status = reader.status().unwrap();
        assert_eq!((status.client_id, status.last_connect_ms), (client_id, Some(900)));
        assert_eq!(status.outbox.waiting, ROWS);
        assert_eq!(one(&path, "SELECT client_id_random FROM session"), 0);
        assert_eq!(one(&path, "SELECT session_epoch FROM session"), 4);
        let gaps = reader.gaps().unwrap();
        assert_eq!((gaps.len(), gaps[0].cause, gaps[0].from_ms), (1, homing::GapCause::StoreDamaged, 1_500));
        assert_eq!((gaps[0].after_seq, gaps[0].filters.as_slice()), (ROWS, &[filter("home/#")][..]));
        // A second open finds nothing to do, and gives ids above all that ever were.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let next = runtime.block_on(async {
            let client = Homing::open(options(&path)).await.unwrap();
            client.publish(homing::Publish::new(topic("home/light"), "on")).await.unwrap().number()
        });
        assert!(next > ROWS + 65_536 && next < join_id(1, 0));
        assert_eq!(set_aside(&folder).len(), 1);
    }
}

#[test]
fn a_held_copy_that_is_damaged_is_held_still_and_what_came_with_it_can_be_discarded() {
    let folder = tempfile::tempdir().unwrap();
    known_store(&folder).close().unwrap();
    let path = path(&folder);
    let raw = Connection::open(&path).unwrap();
    let held = format!("UPDATE session SET held = 1, copied_through_0 = {}", ROWS - 1);
    raw.execute_batch(&format!("{held}; PRAGMA wal_checkpoint(TRUNCATE);")).unwrap();
    drop(raw);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..100].fill(0);
    fs::write(&path, &bytes).unwrap();
    let client = open_client(&options(&path)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(client.held()), Ok(true));
    assert_eq!(runtime.block_on(client.discard_outbox()), Ok(true));
    close(client);
    assert_eq!(numbers(&path, "SELECT id FROM outbox"), [ROWS as i64].into(), "what came after the copy stays");
    assert_eq!(set_aside(&folder).len(), 1);
}

#[test]
fn p10_truncated_and_emptied_files_are_set_aside_too() {
    for keep in [0, 1, 700, 3 * PAGE + 17, 20 * PAGE] {
        let folder = tempfile::tempdir().unwrap();
        let store = known_store(&folder);
        let old_id = store.session().store_id;
        store.close().unwrap();
        let path = path(&folder);
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() > keep + PAGE);
        fs::write(&path, &bytes[..keep]).unwrap();
        match open_client(&options(&path)) {
            Ok(client) => {
                close(client);
                if !set_aside(&folder).is_empty() {
                    assert_saved(&folder, &bytes[..keep], None, old_id);
                }
            }
            Err(error) => panic!("{keep} bytes kept: {error}"),
        }
    }
}

#[test]
fn p10_the_log_is_read_with_a_damaged_file_and_moves_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = known_store(&folder);
    let old_id = store.session().store_id;
    let copy = tempfile::tempdir().unwrap();
    let path = killed_copy(&path(&folder), &copy);
    drop(store);
    fs::write(beside(&path, "-lock"), b"").unwrap();
    let log = fs::read(beside(&path, "-wal")).unwrap();
    assert!(log.len() > 20 * PAGE, "everything stands in the log");
    let mut bytes = fs::read(&path).unwrap();
    // The log's pages count; what it does not hold is gone.
    for page in bytes.chunks_mut(PAGE).skip(2) {
        page.fill(0xa5);
    }
    fs::write(&path, &bytes).unwrap();
    close(open_client(&options(&path)).unwrap());
    if !set_aside(&copy).is_empty() {
        assert_saved(&copy, &bytes, Some(&log), old_id);
        assert_eq!(one(&path, "SELECT count(*) FROM outbox"), ROWS as i64);
    }
}

#[test]
fn p10_a_log_of_garbage_never_stops_an_open() {
    let folder = tempfile::tempdir().unwrap();
    known_store(&folder).close().unwrap();
    let path = path(&folder);
    let mut garbage = vec![0; 40_000];
    fastrand::Rng::with_seed(7).fill(&mut garbage);
    fs::write(beside(&path, "-wal"), &garbage).unwrap();
    close(open_client(&options(&path)).unwrap());
    assert_eq!(one(&path, "SELECT count(*) FROM outbox"), ROWS as i64);
    assert!(set_aside(&folder).is_empty());
}

#[test]
fn p10_a_kill_in_the_middle_is_finished_by_the_next_open() {
    // How far it came: note only; renamed; renamed with a half made new store; all but the note.
    for state in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let store = known_store(&folder);
        let old_id = store.session().store_id;
        store.close().unwrap();
        let path = path(&folder);
        let mut bytes = fs::read(&path).unwrap();
        bytes[..PAGE].fill(0);
        fs::write(&path, &bytes).unwrap();
        let name = "test.homing-damaged-20260101T000000Z";
        match state {
            3 => {
                close(open_client(&options(&path)).unwrap());
                let aside = set_aside(&folder);
                fs::write(beside(&path, "-salvage"), aside[0].file_name().unwrap().to_str().unwrap()).unwrap();
            }
            _ => {
                fs::write(beside(&path, "-salvage"), name).unwrap();
                if state > 0 {
                    fs::rename(&path, path.with_file_name(name)).unwrap();
                }
                if state > 1 {
                    fs::write(beside(&path, "-new"), b"half of a store").unwrap();
                    fs::write(beside(&path, "-salvaging"), b"half of a copy").unwrap();
                }
            }
        }
        close(open_client(&options(&path)).unwrap());
        assert_saved(&folder, &bytes, None, old_id);
        assert_eq!(one(&path, "SELECT count(*) FROM outbox"), ROWS as i64, "state {state}");
    }
}

#[test]
fn p10_what_is_not_damaged_or_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    known_store(&folder).close().unwrap();
    let path = path(&folder);
    let bytes = fs::read(&path).unwrap();

    // An encrypted file, beside a lock of ours.
    let mut cipher = bytes.clone();
    fastrand::Rng::with_seed(3).fill(&mut cipher);
    // Files that never were ours.
    let text = b"a shopping list".repeat(400);
    for (content, lock) in [(&cipher, true), (&cipher, false), (&text, false), (&text, true)] {
        fs::write(&path, content).unwrap();
        drop(fs::remove_file(beside(&path, "-lock")));
        if lock {
            fs::write(beside(&path, "-lock"), b"").unwrap();
        }
        let error = open_client(&options(&path)).err().unwrap();
        assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
        assert!(fs::read(&path).unwrap() == *content && set_aside(&folder).is_empty());
        assert_eq!(beside(&path, "-lock").exists(), lock, "nothing is made beside it");
    }

    // Held by another program.
    fs::write(&path, &bytes).unwrap();
    let tool = Connection::open(&path).unwrap();
    tool.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE hot SET turn = turn;").unwrap();
    let error = open_client(&options(&path)).err().unwrap();
    assert!(matches!(error, OpenError::StoreUnavailable { .. }), "{error}");
    assert!(set_aside(&folder).is_empty());
    drop(tool);

    // Driven by another one.
    let client = open_client(&options(&path)).unwrap();
    assert!(matches!(Checkup::repair(&options(&path)), Err(OpenError::StoreInUse { .. })));
    close(client);
}

#[cfg(unix)]
#[test]
fn p10_a_file_that_may_not_be_read_is_never_set_aside() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    known_store(&folder).close().unwrap();
    let path = path(&folder);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = open_client(&options(&path)).err().unwrap();
    assert!(matches!(error, OpenError::StoreUnavailable { .. }), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(set_aside(&folder).is_empty());
    close(open_client(&options(&path)).unwrap());
}

#[test]
fn a_log_without_its_database_and_a_vanished_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let store = known_store(&folder);
    let path = path(&folder);
    let away = folder.path().join("away");
    fs::rename(&path, &away).unwrap();
    let error = store.reopen().err().unwrap();
    assert!(error.to_string().contains("vanished; put it back"), "{error}");
    let existing = Store::open_existing(&homing::store::StoreOptions {
        path: &path,
        durability: Durability::PowerLoss,
        client_id: None,
        first_consumer: "default",
        first_consumer_filters: &[],
        wall_ms: 1_000,
        device_token: None,
        #[cfg(feature = "encryption")]
        key: None,
    });
    assert!(matches!(existing, Err(OpenError::StoreUnavailable { .. })));
    assert!(!path.exists(), "no new store in its place");
    let log = beside(&path, "-wal");
    if !log.exists() {
        fs::write(&log, b"a log").unwrap();
    }
    let error = open_client(&options(&path)).err().unwrap();
    assert!(error.to_string().contains("vanished"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_checkup_names_wrong_counters_and_repair_mends_them() {
    let folder = tempfile::tempdir().unwrap();
    known_store(&folder).close().unwrap();
    let path = path(&folder);
    let well = Checkup::run(&path).unwrap();
    assert!(well.findings.is_empty() && !well.driven && well.sizes.database > 0, "{well:?}");
    Connection::open(&path).unwrap().execute("UPDATE hot SET messages_0 = 5, inbox_bytes = 1", []).unwrap();
    let ill = Checkup::run(&path).unwrap();
    assert_eq!(ill.findings.len(), 1);
    assert!(ill.findings[0].text.contains("normal lane 5, counted 600"), "{ill:?}");
    let done = Checkup::repair(&options(&path)).unwrap();
    assert!(done.iter().any(|text| text.contains("counted")), "{done:?}");
    assert!(Checkup::run(&path).unwrap().findings.is_empty());
    assert!(Checkup::repair(&options(&path)).unwrap().is_empty());
    assert!(matches!(Checkup::run(&folder.path().join("none")), Err(OpenError::StoreUnavailable { .. })));
}
