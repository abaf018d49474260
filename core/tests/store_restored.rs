//! A copy that was put back, or a clone: it becomes another store before anything else, and says so (issue 4, P3, P8).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::path::Path;

use homing::internals::writes::Write;
use homing::store::{Store, StoreOptions};
use homing::{DeviceToken, Durability, GapCause, QoS, Subscription};
use rusqlite::Connection;
use store_common::*;
use tempfile::TempDir;

fn open_as(path: &Path, token: Option<&[u8]>, durability: Durability) -> Store {
    let token = token.map(|bytes| DeviceToken::new(bytes).unwrap());
    Store::open(&StoreOptions {
        path,
        durability,
        client_id: None,
        first_consumer: "default",
        first_consumer_filters: &[],
        device_token: token.as_ref(),
        wall_ms: 1_000,
    })
    .unwrap()
}

/// Publishes one message a turn.
fn publish(store: &mut Store, count: u64) {
    for _ in 0..count {
        let mut hot = store.hot();
        let lane = &mut hot.lanes[0];
        store.write(Write::OutboxInsert(outbox_row(lane.next_ord, QoS::ExactlyOnce))).unwrap();
        (lane.next_ord, lane.messages) = (lane.next_ord + 1, lane.messages + 1);
        assert!(store.commit(&hot).unwrap());
    }
}

/// Puts an earlier copy of the database where the store is, its lock file left alone.
fn put_back(copy: &Path, folder: &TempDir) {
    for suffix in ["-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{suffix}", path(folder).display())));
    }
    std::fs::copy(copy, path(folder)).unwrap();
}

fn incidents(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM incident", [], |row| row.get(0)).unwrap()
}

#[test]
fn an_older_copy_is_another_store_with_its_outbox_held() {
    for durability in [Durability::PowerLoss, Durability::ProcessKill] {
        let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut store = open_as(&path(&folder), None, durability);
        let wish = Subscription::new(filter("home/#"), QoS::ExactlyOnce);
        let row = homing::internals::rows::SubscriptionRow { wish, wanted: true, granted: Some((QoS::ExactlyOnce, 0)) };
        store.write(Write::Subscription(row)).unwrap();
        publish(&mut store, 3);
        store.write(Write::ReceivedQos2 { pid: 7, content: 1 }).unwrap();
        store.write(Write::Release { id: 1, release: 1 }).unwrap();
        let mut hot = store.hot();
        hot.lanes[0].sent_through = 2;
        store.commit(&hot).unwrap();
        let before = store.session();
        store.close().unwrap();
        let copy = killed_copy(&path(&folder), &backup);
        let mut store = open_as(&path(&folder), None, durability);
        assert_eq!((store.restored(), store.session().store_id), (None, before.store_id), "not a copy yet");
        publish(&mut store, 5);
        store.close().unwrap();

        put_back(&copy, &folder);
        let mut store = open_as(&path(&folder), None, durability);
        assert!(store.restored().unwrap().contains("older"));
        let session = store.session();
        assert_ne!(session.store_id, before.store_id);
        assert!(session.held && !session.established && session.session_epoch == before.session_epoch + 1);
        assert_ne!(session.pid_salt, before.pid_salt);
        assert_eq!(session.copied_through, [3, 0]);
        assert!(store.received_qos2().unwrap().is_empty() && store.released().unwrap().is_empty());
        let (rows, _) = store.load_outbox(0, 99, 99, 9_999).unwrap();
        assert_eq!(
            rows.iter().map(|row| (row.id, row.maybe_dup)).collect::<Vec<_>>(),
            [(1, true), (2, true), (3, false)]
        );
        let hot = store.hot();
        assert_eq!(hot.lanes[0].sent_through, 0, "everything waits");
        assert!(hot.lanes[0].next_ord > 1 << 32 && hot.next_seq > 1 << 32, "numbers of the original are not given");
        assert_eq!(hot.lanes[0].verdict_floor, hot.lanes[0].next_ord);
        let gaps = store.open_gaps().unwrap();
        assert_eq!(gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [GapCause::Restored]);
        let now = session.store_id;
        publish(&mut store, 1);
        store.close().unwrap();
        assert_eq!(incidents(&path(&folder)), 1);

        let store = open_as(&path(&folder), None, durability);
        assert_eq!((store.restored(), store.session().store_id), (None, now), "once is enough");
        drop(store);
        put_back(&copy, &folder);
        assert!(
            open_as(&path(&folder), None, durability).restored().unwrap().contains("another store"),
            "the same again"
        );
    }
}

#[test]
fn another_device_token_is_a_clone_and_the_first_one_is_taken() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = open_as(&path(&folder), None, Durability::PowerLoss).session().store_id;
    for token in [None, Some(&b"phone"[..]), None, Some(&b"phone"[..])] {
        let store = open_as(&path(&folder), token, Durability::PowerLoss);
        assert_eq!((store.restored(), store.session().store_id), (None, id));
    }
    let clone = killed_copy(&path(&folder), &other);
    let store = open_as(&clone, Some(b"tablet"), Durability::PowerLoss);
    assert!(store.restored().unwrap().contains("device token") && store.session().store_id != id);
    assert!(!store.session().held, "an empty outbox holds nothing back");
    drop(store);
    assert_eq!(open_as(&clone, Some(b"tablet"), Durability::PowerLoss).restored(), None);
    assert_eq!(open_as(&path(&folder), Some(b"phone"), Durability::PowerLoss).session().store_id, id);
}

#[test]
fn a_new_store_where_an_old_one_was_is_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    publish(&mut store, 3);
    store.close().unwrap();
    std::fs::remove_file(path(&folder)).unwrap();
    for _ in 0..2 {
        assert_eq!(open(&folder).restored(), None);
    }
}

/// A mark that is ahead of what survives would take a power cut for a copy.
#[test]
fn the_mark_is_never_ahead_of_what_is_synced() {
    let (folder, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open_as(&path(&folder), None, Durability::ProcessKill);
    publish(&mut store, 2);
    let copy = killed_copy(&path(&folder), &cut);
    publish(&mut store, 2_000);
    store.maintain(false).unwrap();
    drop(store);
    put_back(&copy, &folder);
    std::fs::copy(format!("{}-wal", copy.display()), format!("{}-wal", path(&folder).display())).unwrap();
    assert_eq!(open_as(&path(&folder), None, Durability::ProcessKill).restored(), None, "lost, not put back");
}

#[test]
fn tokens_have_a_length_and_are_not_shown() {
    assert!(DeviceToken::new(Vec::new()).is_err() && DeviceToken::new(vec![1; 65]).is_err());
    assert_eq!(format!("{:?}", DeviceToken::new(vec![77; 64]).unwrap()), "DeviceToken(redacted)");
}
