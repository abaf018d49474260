//! Rows of both lanes, parked ones, keys: what the outbox's policies ask of the store.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use homing::internals::rows::{OutboxRow, Outcome, join_id};
use homing::internals::writes::Write;
use homing::store::{MAX_KEYS, Need, Store};
use homing::{Fate, QoS, ReasonCode};
use store_common::*;

fn insert(store: &mut Store, id: u64, change: impl FnOnce(&mut OutboxRow)) -> u64 {
    let mut row = outbox_row(id, QoS::ExactlyOnce);
    change(&mut row);
    let size = row.size();
    store.write(Write::OutboxInsert(row)).unwrap();
    size
}

/// Ids as the counters of the lanes give them: five normal, three urgent; two and one sent.
fn lanes(store: &mut Store) -> homing::internals::rows::Hot {
    let mut hot = store.hot();
    (hot.lanes[0].next_ord, hot.lanes[0].sent_through) = (6, 2);
    (hot.lanes[1].next_ord, hot.lanes[1].sent_through) = (4, 1);
    hot
}

fn urgent(ord: u64) -> u64 {
    join_id(1, ord)
}

#[test]
fn p5_an_urgent_row_keeps_behind_which_normal_ones_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    for id in (1..=5).chain((1..=3).map(urgent)) {
        insert(&mut store, id, |_| {});
    }
    // In the turn in which it was published, and in a later one.
    store.write(Write::SentAfter { id: urgent(1), after_ord: 2 }).unwrap();
    let hot = lanes(&mut store);
    store.commit(&hot).unwrap();
    store.write(Write::SentAfter { id: urgent(2), after_ord: 5 }).unwrap();
    store.commit(&hot).unwrap();
    drop(store);
    let mut store = open(&folder);
    let (rows, complete) = store.load_outbox(urgent(0), urgent(9), 99, 9_999).unwrap();
    let after: Vec<_> = rows.iter().map(|row| (row.id, row.after_ord)).collect();
    assert_eq!((after, complete), (vec![(urgent(1), Some(2)), (urgent(2), Some(5)), (urgent(3), None)], true));
    let in_flight: Vec<u64> = store.in_flight([2, 1]).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(in_flight, [1, 2, urgent(1)]);
}

#[test]
fn how_a_downgraded_row_was_sent_outlives_a_kill_and_ends_with_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    for id in 1..=5 {
        insert(&mut store, id, |_| {});
    }
    let sent_as = |id, qos, downgraded| Write::SentAs { id, qos, downgraded };
    // In the turn in which it was published, and in a later one.
    store.write(sent_as(1, QoS::AtLeastOnce, true)).unwrap();
    let hot = lanes(&mut store);
    store.commit(&hot).unwrap();
    store.write(sent_as(2, QoS::AtLeastOnce, true)).unwrap();
    store.write(sent_as(3, QoS::AtLeastOnce, true)).unwrap();
    store.write(sent_as(3, QoS::ExactlyOnce, true)).unwrap();
    store.write(sent_as(4, QoS::AtLeastOnce, true)).unwrap();
    store.write(sent_as(4, QoS::ExactlyOnce, false)).unwrap();
    store.commit(&hot).unwrap();
    drop(store);
    let mut store = open(&folder);
    let sent = |store: &mut Store| -> Vec<_> {
        store.in_flight([5, 0]).unwrap().iter().map(|row| (row.qos.number(), row.downgraded)).collect()
    };
    assert_eq!(sent(&mut store), [(1, true), (1, true), (2, true), (2, false), (2, false)]);
    assert_eq!(store.load_outbox(0, 1, 9, 999).unwrap().0[0].qos, QoS::ExactlyOnce, "what was asked for stays");
    store.write(Write::SessionDoubted { sent_through: [5, 0] }).unwrap();
    let doubted: Vec<bool> = store.in_flight([5, 0]).unwrap().iter().map(|row| row.maybe_dup).collect();
    assert_eq!(doubted, [false, false, true, true, true], "QoS 1 is in nobody's session twice");
    store.write(Write::SessionLost { sent_through: [5, 0] }).unwrap();
    assert_eq!(sent(&mut store), [(2, false); 5]);
    assert!(store.in_flight([5, 0]).unwrap().iter().all(|row| row.maybe_dup));
}

#[test]
fn a_lost_session_marks_what_was_sent_in_each_lane_and_frees_identifiers() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    for id in (1..=5).chain((1..=3).map(urgent)) {
        insert(&mut store, id, |row| row.expires_ms = Some(10));
    }
    store.write(Write::SkipPid(40)).unwrap();
    let hot = lanes(&mut store);
    store.commit(&hot).unwrap();
    assert_eq!(store.skipped_pids().unwrap(), [40]);
    store.write(Write::SessionDoubted { sent_through: [1, 0] }).unwrap();
    store.write(Write::SessionLost { sent_through: [2, 1] }).unwrap();
    let marked = |store: &mut Store, after, through| -> Vec<u64> {
        let rows = store.load_outbox(after, through, 99, 9_999).unwrap().0;
        rows.iter().filter(|row| row.maybe_dup).map(|row| row.id).collect()
    };
    assert_eq!(marked(&mut store, 0, 99), [1, 2]);
    assert_eq!(marked(&mut store, urgent(0), urgent(99)), [urgent(1)]);
    assert_eq!(store.skipped_pids().unwrap(), [0u16; 0]);
    let expired: Vec<u64> = store.expired([0, 0], 10, 99).unwrap().0.iter().map(|row| row.0).collect();
    assert_eq!(expired, [3, 4, 5, urgent(2), urgent(3)], "what was sent never expires");
    let expired: Vec<u64> = store.expired([3, 2], 10, 99).unwrap().0.iter().map(|row| row.0).collect();
    assert_eq!(expired, [4, 5, urgent(3)]);
}

#[test]
fn p9_parked_rows_leave_the_outbox_whole_and_their_fate_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let size = insert(&mut store, 1, |row| (row.supersede, row.expires_ms) = (Some("light".to_owned()), Some(9)));
    insert(&mut store, 2, |_| {});
    let reason = ReasonCode::QosNotSupported;
    store.write(Write::Park { id: 1, reason, maybe_dup: true, at_ms: 1 }).unwrap();
    let poison = ReasonCode::ImplementationSpecificError;
    store.write(Write::Park { id: 2, reason: poison, maybe_dup: false, at_ms: 1 }).unwrap();
    let mut hot = store.hot();
    (hot.lanes[0].next_ord, hot.lanes[0].sent_through) = (4, 3);
    (hot.parked_messages, hot.parked_bytes) = (2, 2 * size);
    store.commit(&hot).unwrap();
    let copy = tempfile::tempdir().unwrap();
    killed_copy(&path(&folder), &copy);
    let mut store = open(&copy);
    assert_eq!((store.hot().parked_messages, store.hot().parked_bytes), (2, 2 * size));
    assert_eq!(store.fate(1).unwrap(), Some(Fate::Parked(reason)));
    assert_eq!(store.load_outbox(0, 99, 99, 9_999).unwrap(), (vec![], true));
    let row = store.parked(1).unwrap().unwrap();
    assert_eq!(
        (row.maybe_dup, row.supersede.as_deref(), row.expires_ms, row.size()),
        (true, Some("light"), Some(9), size)
    );
    let (rows, complete) = store.load_parked(0, 9, 9_999).unwrap();
    assert_eq!((rows, complete), (vec![row], true), "poison is not tried again by itself");
    assert_eq!(store.superseded("light", [3, 0], true).unwrap(), (vec![], vec![(1, size)]));
    store.write(Write::ParkedGone { id: 1, verdict: Outcome::Superseded(7), at_ms: 2 }).unwrap();
    store.commit(&hot).unwrap();
    assert!(matches!(store.fate(1).unwrap(), Some(Fate::Superseded(by)) if by.number() == 7));
    assert_eq!(store.parked(1).unwrap(), None);
}

#[test]
fn only_rows_never_sent_are_superseded_or_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let key = |row: &mut OutboxRow| row.supersede = Some("light".to_owned());
    let size = insert(&mut store, 1, key);
    insert(&mut store, 2, |row| {
        key(row);
        row.maybe_dup = true;
    });
    insert(&mut store, 3, key);
    insert(&mut store, 4, |_| {});
    insert(&mut store, urgent(1), key);
    let longer = insert(&mut store, urgent(2), key);
    // Of this very turn, too.
    assert_eq!(store.superseded("light", [1, 1], false).unwrap(), (vec![(3, size), (urgent(2), longer)], vec![]));
    assert_eq!(store.superseded("door", [0, 0], true).unwrap(), (vec![], vec![]));
    assert_eq!((store.waiting(2).unwrap(), store.waiting(9).unwrap()), (Some((size, true)), None));
    let mut oldest = |messages, bytes, spared: &[u64]| {
        let rows = store.oldest_waiting([1, 1], Need { messages, bytes }, spared).unwrap();
        rows.map(|rows| rows.into_iter().map(|row| row.0).collect::<Vec<_>>())
    };
    assert_eq!(oldest(1, 0, &[]), Some(vec![3]));
    assert_eq!(oldest(1, 0, &[3]), Some(vec![4]));
    assert_eq!(oldest(0, size + 1, &[]), Some(vec![3, 4]));
    assert_eq!(oldest(3, 0, &[]), Some(vec![3, 4, urgent(2)]));
    assert_eq!((oldest(4, 0, &[]), oldest(0, 0, &[])), (None, Some(vec![])));
}

#[test]
fn keys_are_kept_until_their_time_and_counted_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let put = |store: &mut Store, key: &str, id, now_ms| {
        let (key, until_ms) = (key.to_owned(), now_ms + 100);
        store.write(Write::Idempotency { key, id, now_ms, until_ms }).unwrap();
    };
    put(&mut store, "a", 1, 10);
    put(&mut store, "b", 2, 20);
    assert_eq!((store.idempotency("a", 109).unwrap(), store.idempotency("a", 110).unwrap()), (Some(1), None));
    put(&mut store, "a", 3, 115);
    assert_eq!(store.idempotency("a", 115).unwrap(), Some(3));
    for number in 0..MAX_KEYS {
        put(&mut store, &number.to_string(), number, 116);
    }
    assert_eq!((store.idempotency("a", 117).unwrap(), store.idempotency("0", 117).unwrap()), (None, Some(0)));
    let hot = store.hot();
    store.commit(&hot).unwrap();
    let count: i64 = rusqlite::Connection::open(path(&folder))
        .unwrap()
        .query_row("SELECT count(*) FROM idem", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count.cast_unsigned(), MAX_KEYS);
}
