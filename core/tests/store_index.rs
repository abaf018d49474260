//! The index by topic and the last values: filled in batches behind a watermark, and no row leaves before it is in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use bytes::Bytes;
use homing::internals::rows::Hot;
use homing::internals::writes::Write;
use homing::store::{INDEX_ROWS, MAX_KEPT_BYTES, Removed, Store};
use rusqlite::Connection;
use store_common::*;
use tempfile::TempDir;

const ALL: i64 = i64::MAX;

fn insert(store: &mut Store, hot: &mut Hot, topic: &str) {
    let row = inbox_row(hot.next_seq, topic);
    (hot.next_seq, hot.inbox_messages, hot.inbox_bytes) =
        (hot.next_seq + 1, hot.inbox_messages + 1, hot.inbox_bytes + row.size());
    store.write(Write::InboxInsert(row)).unwrap();
}

fn through(seq: u64) -> Write {
    Write::ConsumerDoneThrough { name: "default".into(), seq }
}

fn raw(folder: &TempDir) -> Connection {
    Connection::open(path(folder)).unwrap()
}

/// Topic, number; in the order of the index.
fn indexed(folder: &TempDir) -> Vec<(String, u64)> {
    let raw = raw(folder);
    let mut statement =
        raw.prepare("SELECT name, seq FROM inbox_by_topic AS i JOIN topic USING (tid) ORDER BY i.tid, seq").unwrap();
    statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// Topic, last number, time, and what is kept of its payload.
type Last = (String, Option<i64>, Option<i64>, Option<Vec<u8>>);

fn lasts(folder: &TempDir) -> Vec<Last> {
    let raw = raw(folder);
    let mut statement =
        raw.prepare("SELECT name, last_seq, last_at_ms, last_payload FROM topic ORDER BY name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn watermark(folder: &TempDir) -> i64 {
    raw(folder).query_row("SELECT indexed_through FROM session", [], |row| row.get(0)).unwrap()
}

#[test]
fn index_last_values_and_watermark_are_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for name in ["b", "a", "b", "c", "a"] {
        insert(&mut store, &mut hot, name);
    }
    store.commit(&hot).unwrap();
    assert_eq!((indexed(&folder), watermark(&folder)), (vec![], 0), "not row by row");
    assert!(store.index().unwrap());
    let mut store = store.reopen().unwrap();
    assert_eq!((watermark(&folder), store.unindexed(hot.next_seq)), (0, 5), "what was not committed is pending again");
    assert!(store.index().unwrap());
    store.commit(&hot).unwrap();
    let index = [("b", 1), ("b", 3), ("a", 2), ("a", 5), ("c", 4)].map(|(name, seq)| (name.to_owned(), seq));
    assert_eq!(indexed(&folder), index);
    let last = |name: &str, seq: i64| (name.to_owned(), Some(seq), Some(1_000 + seq), None);
    assert_eq!(lasts(&folder), [last("a", 5), last("b", 3), last("c", 4)]);
    assert_eq!((watermark(&folder), store.unindexed(hot.next_seq)), (5, 0));
}

#[test]
fn p6_a_large_inbox_is_taken_up_in_bounded_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for n in 0..2 * INDEX_ROWS + 100 {
        insert(&mut store, &mut hot, ["a", "b", "c"][n as usize % 3]);
    }
    // Numbers without rows, as a boot leaves them.
    hot.next_seq += 65_536;
    store.commit(&hot).unwrap();
    let mut steps = Vec::new();
    while store.unindexed(hot.next_seq) > 0 {
        store.index().unwrap();
        store.commit(&hot).unwrap();
        steps.push(watermark(&folder) as u64);
    }
    // Four turns a batch; the watermark moves with the last.
    let expected = [0, 0, 0, INDEX_ROWS, INDEX_ROWS, INDEX_ROWS, INDEX_ROWS, 2 * INDEX_ROWS, hot.next_seq - 1];
    assert_eq!(steps, expected);
    assert_eq!(indexed(&folder).len() as u64, 2 * INDEX_ROWS + 100);
}

#[test]
fn p4_retention_never_passes_the_watermark_and_keeps_the_last_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for _ in 0..INDEX_ROWS {
        insert(&mut store, &mut hot, "often");
    }
    insert(&mut store, &mut hot, "once");
    insert(&mut store, &mut hot, "often");
    store.write(through(hot.next_seq - 1)).unwrap();
    store.commit(&hot).unwrap();
    // One step of the index: two rows are left beyond it, and stay.
    assert_eq!(store.retain(ALL, 0, None, 100_000).unwrap().messages, INDEX_ROWS);
    store.commit(&hot).unwrap();
    let kept = |seq: u64| Some(format!("received {seq}").into_bytes());
    let often = ("often".to_owned(), Some(INDEX_ROWS as i64), Some(1_000 + INDEX_ROWS as i64), kept(INDEX_ROWS));
    assert_eq!(lasts(&folder)[0], often);
    assert_eq!(indexed(&folder), []);
    assert_eq!(store.retain(ALL, 0, None, 1).unwrap().messages, 1);
    store.commit(&hot).unwrap();
    let last = INDEX_ROWS as i64 + 2;
    assert_eq!(lasts(&folder)[1].3, kept(INDEX_ROWS + 1), "its row is gone, its value is not");
    assert_eq!(lasts(&folder)[0], ("often".to_owned(), Some(last), Some(1_000 + last), None), "a newer one has a row");
    assert_eq!(indexed(&folder), [("often".to_owned(), last as u64)]);
}

#[test]
fn p7_kept_values_are_bounded_and_the_oldest_topics_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for n in 0..6 {
        let mut row = inbox_row(hot.next_seq, &format!("topic/{n}"));
        row.payload = Bytes::from(vec![n; MAX_KEPT_BYTES as usize / 4]);
        hot.next_seq += 1;
        store.write(Write::InboxInsert(row)).unwrap();
    }
    store.write(through(6)).unwrap();
    store.commit(&hot).unwrap();
    assert_eq!(store.retain(ALL, 0, None, 5).unwrap().messages, 5);
    store.commit(&hot).unwrap();
    let names: Vec<_> = lasts(&folder).into_iter().map(|last| last.0).collect();
    assert_eq!(names, ["topic/1", "topic/2", "topic/3", "topic/4", "topic/5"]);
    // The topic comes again: under a number that never named another one.
    insert(&mut store, &mut hot, "topic/0");
    store.commit(&hot).unwrap();
    let tid: i64 =
        raw(&folder).query_row("SELECT tid FROM topic WHERE name = 'topic/0'", [], |row| row.get(0)).unwrap();
    assert_eq!(tid, 7);
    let over = Removed { messages: 1, bytes: 0 };
    assert_eq!(store.retain(0, 0, Some(over), 5).unwrap().messages, 1);
    store.commit(&hot).unwrap();
    let names: Vec<_> = lasts(&folder).into_iter().map(|last| last.0).collect();
    assert_eq!(names, ["topic/0", "topic/2", "topic/3", "topic/4", "topic/5"]);
}

#[test]
fn p7_the_newest_topic_stays_and_is_not_counted_as_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let large = |store: &mut Store, n: u8, seq: u64| {
        let mut row = inbox_row(seq, &format!("topic/{n}"));
        row.payload = Bytes::from(vec![n; MAX_KEPT_BYTES as usize / 4]);
        store.write(Write::InboxInsert(row)).unwrap();
    };
    // The topic with the highest number is the one not heard of for the longest time.
    for n in 0..6_u8 {
        let mut row = inbox_row(hot.next_seq + u64::from(n), &format!("topic/{n}"));
        row.payload = Bytes::new();
        store.write(Write::InboxInsert(row)).unwrap();
    }
    hot.next_seq += 6;
    for n in [5, 0, 1, 2, 3, 4] {
        large(&mut store, n, hot.next_seq);
        hot.next_seq += 1;
    }
    store.write(through(hot.next_seq - 1)).unwrap();
    store.commit(&hot).unwrap();
    for _ in 0..6 {
        store.retain(ALL, 0, None, 2).unwrap();
        store.commit(&hot).unwrap();
    }
    let names: Vec<_> = lasts(&folder).into_iter().map(|last| last.0).collect();
    assert_eq!(names, ["topic/2", "topic/3", "topic/4", "topic/5"], "64 MiB of them");
}

#[test]
fn a_turn_for_the_index_alone_gives_way_to_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    insert(&mut store, &mut hot, "a");
    store.commit(&hot).unwrap();
    let other = raw(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!store.index_alone(&hot).unwrap());
    other.execute_batch("ROLLBACK").unwrap();
    assert!(store.index_alone(&hot).unwrap());
    assert_eq!((watermark(&folder), store.hot().turn), (1, 2));
}

#[test]
fn a_batch_that_a_kill_interrupts_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for n in 0..5_000 {
        insert(&mut store, &mut hot, if n % 2 == 0 { "a" } else { "b" });
    }
    store.index().unwrap();
    store.commit(&hot).unwrap();
    assert!(store.is_indexing() && indexed(&folder).len() > 2_000);
    let mut store = store.reopen().unwrap();
    assert_eq!((watermark(&folder), store.is_indexing()), (0, false));
    while !store.index().unwrap() {}
    store.commit(&hot).unwrap();
    let all: Vec<u64> = indexed(&folder).into_iter().filter(|(name, _)| name == "b").map(|(_, seq)| seq).collect();
    assert_eq!(all, (1..=2_500).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(watermark(&folder), 5_000);
}

#[test]
fn dead_rows_of_the_index_go_topic_by_topic_and_are_not_read() {
    use homing::store::reader::{HistoryQuery, Reader};
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for n in 0..1_000 {
        insert(&mut store, &mut hot, &format!("topic/{}", n % 100));
    }
    store.write(through(1_000)).unwrap();
    assert_eq!(store.retain(ALL, 0, None, 500).unwrap().messages, 500);
    store.commit(&hot).unwrap();
    let dead = indexed(&folder).into_iter().filter(|(_, seq)| *seq <= 500).count();
    assert_eq!(dead, 36 * 5, "64 topics a turn");
    let reader = Reader::open(&path(&folder)).unwrap();
    let page = reader.history(&HistoryQuery::new(filter("topic/99")), None, 99).unwrap();
    assert_eq!(page.messages.iter().map(|message| message.at.seq()).collect::<Vec<_>>(), [600, 700, 800, 900, 1_000]);
    for _ in 0..4 {
        store.retain(ALL, 0, None, 10).unwrap();
        store.commit(&hot).unwrap();
    }
    assert!(indexed(&folder).into_iter().all(|(_, seq)| seq > 500));
}

#[test]
fn p4_an_older_value_that_a_batch_under_way_ends_with_is_not_taken_for_the_last_one() {
    use homing::store::reader::Reader;
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let door = |hot: &mut Hot, payload: &'static str| {
        let mut row = inbox_row(hot.next_seq, "door");
        (row.payload, row.retain) = (Bytes::from_static(payload.as_bytes()), true);
        (hot.next_seq, hot.inbox_messages) = (hot.next_seq + 1, hot.inbox_messages + 1);
        row
    };
    store.write(Write::InboxInsert(door(&mut hot, "open"))).unwrap();
    for _ in 0..5_000 {
        insert(&mut store, &mut hot, "other");
    }
    store.index().unwrap();
    assert!(store.is_indexing());
    store.commit(&hot).unwrap();
    store.write(Write::InboxInsert(door(&mut hot, "shut"))).unwrap();
    store.commit(&hot).unwrap();
    for payload in ["open", "open"] {
        let row = door(&mut hot, payload);
        store.write(Write::InboxRetained { row, asked: false }).unwrap();
        store.commit(&hot).unwrap();
        hot = store.hot();
    }
    let reader = Reader::open(&path(&folder)).unwrap();
    let doors: Vec<_> = reader.inbox(5_001, 9).unwrap().into_iter().map(|message| message.payload).collect();
    assert_eq!(doors, ["shut", "open"], "the first is news, the second is not");
    assert_eq!(reader.status().unwrap().inbox_messages, 5_003);
}
