//! Opening: what is refused is not touched, one driver a store (P11), and a kill while a store is made leaves none.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use homing::internals::writes::Write;
use homing::store::reader::Reader;
use homing::store::{APPLICATION_ID, SCHEMA_VERSION, Store, StoreOptions};
use homing::{ClientId, Durability, OpenError, QoS};
use rusqlite::Connection;
use store_common::*;

/// Every file of a folder with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Writer and reader refuse it, and neither leaves a trace.
fn refused_untouched(path: &Path) -> (OpenError, OpenError) {
    let before = contents(path.parent().unwrap());
    let writer = open_with(path, Durability::PowerLoss).err().unwrap();
    let reader = Reader::open(path).err().unwrap();
    assert_eq!(contents(path.parent().unwrap()), before);
    (writer, reader)
}

fn not_a_store(path: &Path, says: &str) {
    let (writer, reader) = refused_untouched(path);
    for error in [writer, reader] {
        assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(path(&folder)).unwrap();
    not_a_store(&path(&folder), "a folder");
}

#[test]
fn files_of_something_else_are_refused() {
    for content in [&b"x"[..], b"hello, this is no database", &[0; 5000]] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(&folder), content).unwrap();
        not_a_store(&path(&folder), "not SQLite");
    }
}

#[test]
fn a_foreign_sqlite_file_is_refused_also_one_with_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = Connection::open(path(&folder)).unwrap();
    foreign.execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')").unwrap();
    not_a_store(&path(&folder), "another program");
    foreign.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO notes VALUES ('more')").unwrap();
    not_a_store(&path(&folder), "another program");
    drop(foreign);
    let killed = tempfile::tempdir().unwrap();
    let foreign = Connection::open(path(&folder)).unwrap();
    foreign.execute_batch("INSERT INTO notes VALUES ('last')").unwrap();
    not_a_store(&killed_copy(&path(&folder), &killed), "another program");
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    Connection::open(path(&folder)).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION + 6).unwrap();
    let (writer, reader) = refused_untouched(&path(&folder));
    for error in [writer, reader] {
        let expected = OpenError::StoreTooNew { path: path(&folder), found: SCHEMA_VERSION + 6, known: SCHEMA_VERSION };
        assert_eq!(error, expected);
    }
}

#[test]
fn a_newer_version_that_stands_in_the_log_only_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let newer = Connection::open(path(&folder)).unwrap();
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    for error in [open_with(&path(&folder), Durability::PowerLoss).err(), Reader::open(&path(&folder)).err()] {
        assert!(matches!(error, Some(OpenError::StoreTooNew { .. })), "{error:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_file_or_folder_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (place, read_only, writable) in [(path(&folder), 0o444, 0o644), (folder.path().to_owned(), 0o555, 0o755)] {
        mode(&place, read_only);
        let before = contents(folder.path());
        let error = open_with(&path(&folder), Durability::PowerLoss).err().unwrap();
        assert!(matches!(error, OpenError::StoreUnavailable { .. }), "{error}");
        assert!(error.to_string().contains("read-only; make it writable"), "{error}");
        assert_eq!(contents(folder.path()), before);
        mode(&place, writable);
    }
    let new = folder.path().join("new.homing");
    mode(folder.path(), 0o555);
    assert!(matches!(open_with(&new, Durability::PowerLoss), Err(OpenError::StoreUnavailable { .. })));
    mode(folder.path(), 0o755);
    assert!(!new.exists());
    drop(open(&folder));
}

#[test]
fn missing_folders_are_made_and_a_reader_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c.homing");
    assert!(matches!(Reader::open(&path), Err(OpenError::StoreUnavailable { .. })));
    assert!(!folder.path().join("a").exists());
    drop(open_with(&path, Durability::PowerLoss).unwrap());
    assert_eq!(Reader::open(&path).unwrap().status().unwrap().schema_version, SCHEMA_VERSION);
    let below_a_file = path.join("d.homing");
    assert!(matches!(open_with(&below_a_file, Durability::PowerLoss), Err(OpenError::StoreUnavailable { .. })));
}

#[test]
fn a_store_whose_making_was_interrupted_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    fs::write(&path, b"").unwrap();
    assert!(matches!(Reader::open(&path), Err(OpenError::NotAStore { .. })));
    fs::write(folder.path().join("test.homing-new"), b"half of a store").unwrap();
    fs::write(folder.path().join("test.homing-new-wal"), b"half of its log").unwrap();
    let store = open(&folder);
    assert_eq!(store.consumers().len(), 1);
    assert!(!folder.path().join("test.homing-new").exists());
    assert!(!folder.path().join("test.homing-new-wal").exists());
}

#[test]
fn a_new_store_is_ours_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let session = store.session();
    assert!(session.client_id_random && session.client_id.starts_with("homing"));
    assert_eq!(session.client_id.len(), 22);
    assert_ne!(session.store_id, [0; 16]);
    assert!(!session.established && session.protocol.is_none() && session.broker.is_none());
    let hot = store.hot();
    assert_eq!((hot.turn, hot.next_seq, hot.next_release, hot.lanes[0].next_ord), (0, 1, 1, 1));
    assert_eq!(hot.wall_ms, 1_000);
    assert_eq!(store.fate(0).unwrap(), None);
    assert_eq!(store.fate(1).unwrap(), None);
    assert_eq!(store.fate(u64::MAX).unwrap(), None);
    drop(store);
    let raw = Connection::open(path(&folder)).unwrap();
    let pragma = |name: &str| raw.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("application_id"), i64::from(APPLICATION_ID));
    assert_eq!(pragma("user_version"), i64::from(SCHEMA_VERSION));
    assert_eq!((pragma("page_size"), pragma("auto_vacuum")), (4096, 2));
    assert_eq!(raw.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap(), "wal");
}

#[test]
fn a_store_belongs_to_one_client_id() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (ClientId::new("kitchen").unwrap(), ClientId::new("attic").unwrap());
    let path = path(&folder);
    let with = |client_id| {
        Store::open(&StoreOptions {
            path: &path,
            durability: Durability::PowerLoss,
            client_id,
            first_consumer: "app",
            first_consumer_filters: &[],
            device_token: None,
            wall_ms: 0,
        })
    };
    let store = with(Some(&ours)).unwrap();
    assert_eq!((store.session().client_id.as_str(), store.session().client_id_random), ("kitchen", false));
    assert_eq!(store.consumers()[0].name, "app");
    drop(store);
    let expected = OpenError::ClientIdMismatch { stored: "kitchen".into(), asked: "attic".into() };
    assert_eq!(with(Some(&other)).err(), Some(expected));
    assert_eq!(with(Some(&ours)).unwrap().session().client_id, "kitchen");
    assert_eq!(with(None).unwrap().session().client_id, "kitchen");
}

#[cfg(unix)]
#[test]
fn p11_two_clients_of_one_process_cannot_drive_a_store_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let link = folder.path().join("link.homing");
    std::os::unix::fs::symlink(path(&folder), &link).unwrap();
    for name in [path(&folder), link, folder.path().join("./test.homing")] {
        let error = open_with(&name, Durability::PowerLoss).err();
        assert!(matches!(error, Some(OpenError::StoreInUse { .. })), "{error:?}");
    }
    let store = store.reopen().unwrap();
    assert!(matches!(open_with(&path(&folder), Durability::PowerLoss), Err(OpenError::StoreInUse { .. })));
    drop(store);
    drop(open(&folder));
}

const CHILD: &str = "HOMING_STORE_TEST_CHILD";

/// Runs a test of this binary in a process of its own, with a path to work on.
fn child(test: &str, path: &Path) -> std::process::ExitStatus {
    let this = std::env::current_exe().unwrap();
    Command::new(this).args(["--exact", test, "--nocapture"]).env(CHILD, path).status().unwrap()
}

#[test]
fn p11_a_second_process_cannot_drive_the_store() {
    if let Some(path) = std::env::var_os(CHILD) {
        let error = open_with(Path::new(&path), Durability::PowerLoss).err();
        assert!(matches!(error, Some(OpenError::StoreInUse { .. })), "{error:?}");
        assert_ne!(Reader::open(Path::new(&path)).unwrap().status().unwrap().connection, "not_driven");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    assert!(child("p11_a_second_process_cannot_drive_the_store", &path(&folder)).success());
    drop(store);
    assert_eq!(Reader::open(&path(&folder)).unwrap().status().unwrap().connection, "not_driven");
}

#[test]
fn p1_a_process_that_aborts_keeps_what_it_committed_and_frees_the_lock() {
    if let Some(path) = std::env::var_os(CHILD) {
        let mut store = open_with(Path::new(&path), Durability::ProcessKill).unwrap();
        let mut hot = store.hot();
        for id in 1..=100 {
            store.write(Write::OutboxInsert(outbox_row(id, QoS::AtLeastOnce))).unwrap();
            hot.lanes[0].next_ord = id + 1;
            store.commit(&hot).unwrap();
        }
        store.write(Write::OutboxInsert(outbox_row(101, QoS::AtLeastOnce))).unwrap();
        store.in_flight([1, 0]).unwrap();
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(!child("p1_a_process_that_aborts_keeps_what_it_committed_and_frees_the_lock", &path(&folder)).success());
    let mut store = open(&folder);
    let (rows, complete) = store.load_outbox(0, 1_000, 1_000, usize::MAX).unwrap();
    assert_eq!((rows.len(), complete), (100, true));
    assert_eq!(store.hot().turn, 100);
    assert_eq!(store.hot().lanes[0].next_ord, 101);
}

#[test]
fn process_kill_skips_numbers_after_a_boot_that_was_not_clean() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let open = |durability| open_with(&path, durability).unwrap();
    let other_boot = || Connection::open(&path).unwrap().execute("UPDATE session SET boot_id = 'earlier'", []).unwrap();
    let give = |store: &mut Store| {
        let mut hot = store.hot();
        hot.lanes[0].next_ord += 10;
        hot.next_seq += 5;
        store.commit(&hot).unwrap();
        store.hot()
    };

    let mut store = open(Durability::ProcessKill);
    let before = give(&mut store);
    drop(store);
    assert_eq!(open(Durability::ProcessKill).hot(), before, "killed, same boot: nothing can be lost");

    other_boot();
    let mut store = open(Durability::ProcessKill);
    let after = store.hot();
    assert_eq!(after.lanes[0].next_ord, before.lanes[0].next_ord + 65_536);
    assert_eq!(after.next_seq, before.next_seq + 65_536);
    assert_eq!(after.lanes[0].verdict_floor, after.lanes[0].next_ord);
    assert_eq!(store.fate(after.lanes[0].next_ord - 1).unwrap(), Some(homing::Fate::Forgotten));
    let before = give(&mut store);
    store.close().unwrap();

    other_boot();
    let store = open(Durability::ProcessKill);
    assert_eq!(store.hot(), before, "closed in order");
    drop(store);

    other_boot();
    let mut store = open(Durability::PowerLoss);
    assert_eq!(store.hot().next_seq, before.next_seq + 65_536, "the run before decides");
    let before = give(&mut store);
    drop(store);
    other_boot();
    assert_eq!(open(Durability::PowerLoss).hot(), before, "every commit was synced");
}

#[test]
fn a_damaged_store_is_reported_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).close().unwrap();
    let mut bytes = fs::read(path(&folder)).unwrap();
    bytes[100..].fill(0xa5);
    fs::write(path(&folder), &bytes).unwrap();
    let error = open_with(&path(&folder), Durability::PowerLoss).err().unwrap();
    assert!(matches!(error, OpenError::StoreCorrupt { .. }), "{error}");
    assert_eq!(fs::read(path(&folder)).unwrap(), bytes);
}
