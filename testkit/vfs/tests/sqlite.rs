//! SQLite on the VFS: it fails as told, and power cuts lose exactly what SQLite's documentation says they may.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use homing_fault_vfs::{Disk, Lasts, Op, Trouble};
use rusqlite::Connection;

fn open(folder: &Path, pragmas: &str) -> Connection {
    let connection = Connection::open(folder.join("test.db")).unwrap();
    connection.execute_batch(pragmas).unwrap();
    connection
}

fn insert(connection: &Connection, n: u64) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO t VALUES (?1, randomblob(900))", [n as i64])
}

/// 60 commits, 300 power cuts; how many of them lost something that was committed.
fn losses(pragmas: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::watch(folder.path()).unwrap();
    let pragmas =
        format!("PRAGMA cache_size = 10; {pragmas}; CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, x BLOB)");
    drop(open(folder.path(), &pragmas));
    disk.record().unwrap();
    let connection = open(folder.path(), &pragmas);
    let mut committed = Vec::new();
    for n in 1..=60 {
        insert(&connection, n).unwrap();
        committed.push(disk.moment());
        if n % 20 == 0 {
            // A whole log, or nothing to do.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
    let log = disk.recorded();
    drop(connection);
    let (mut lost, mut unsynced) = (0, 0);
    for image in log.crash_images(7, 300) {
        let folder = tempfile::tempdir().unwrap();
        let _disk = Disk::watch(folder.path()).unwrap();
        image.write_to(folder.path()).unwrap();
        let connection = open(folder.path(), "");
        let intact: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(intact, "ok");
        let query = "SELECT count(*), coalesce(max(n), 0) FROM t";
        let (count, last): (i64, i64) = connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(count, last, "a hole");
        let last = last as usize;
        let acknowledged = committed.partition_point(|moment| *moment <= image.moment);
        assert!(last <= acknowledged + 1);
        lost += usize::from(last < acknowledged);
        unsynced += usize::from(!image.unsynced.is_empty());
        assert!(image.lost <= image.unsynced.values().sum());
    }
    assert!(unsynced > 30, "{unsynced} cuts met anything unsynced");
    lost
}

#[test]
fn power_cuts_lose_what_the_documentation_says() {
    assert_eq!(losses("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"), 0);
    assert!(losses("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL") > 30);
    assert_eq!(losses("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA"), 0);
    // The deletion of the journal is the commit, and only EXTRA syncs the folder behind it.
    assert!(losses("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL") > 0);
}

#[test]
fn what_is_told_to_fail_fails_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::watch(folder.path()).unwrap();
    let connection =
        open(folder.path(), "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER, x BLOB)");
    let code = |result: rusqlite::Result<usize>| result.unwrap_err().sqlite_error().unwrap().extended_code;
    disk.fail(Op::Write, 2, Trouble::Full, Lasts::Once);
    assert_eq!(code(insert(&connection, 1)), rusqlite::ffi::SQLITE_FULL);
    insert(&connection, 2).unwrap();
    disk.fail(Op::Sync, 2, Trouble::Io, Lasts::UntilHealed);
    insert(&connection, 3).unwrap();
    assert_eq!(code(insert(&connection, 4)), rusqlite::ffi::SQLITE_IOERR_FSYNC);
    assert_eq!(code(insert(&connection, 5)), rusqlite::ffi::SQLITE_IOERR_FSYNC);
    disk.heal();
    insert(&connection, 6).unwrap();
    assert_eq!(disk.counts().failed, 3);
    let sum: i64 = connection.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(sum, 2 + 3 + 6);
    assert!(disk.record().is_err(), "the file is open");
}

#[test]
fn what_a_failed_sync_left_behind_is_never_certain_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::watch(folder.path()).unwrap();
    let pragmas =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (n INTEGER, x BLOB)";
    drop(open(folder.path(), pragmas));
    let unsynced_at_the_end = |fails: bool| {
        disk.record().unwrap();
        let connection = open(folder.path(), pragmas);
        if fails {
            disk.fail(Op::Sync, 1, Trouble::Io, Lasts::Once);
        }
        assert_eq!(insert(&connection, 1).is_err(), fails);
        insert(&connection, 2).unwrap();
        let log = disk.recorded();
        log.crash_images(1, 200)
            .filter(|image| image.moment == log.len())
            .map(|image| image.unsynced.values().sum::<usize>())
            .max()
            .unwrap()
    };
    assert_eq!(unsynced_at_the_end(false), 0);
    assert!(unsynced_at_the_end(true) > 0);
}

#[test]
fn other_folders_are_left_alone() {
    let (watched, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = Disk::watch(watched.path()).unwrap();
    disk.fail(Op::Write, 1, Trouble::Io, Lasts::UntilHealed);
    drop(open(other.path(), "PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER, x BLOB)"));
    assert_eq!(disk.counts(), homing_fault_vfs::Counts::default());
}
