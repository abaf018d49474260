//! Consumers and retention (P4): nothing goes before every consumer is done with it, whatever the order of `done`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use homing::Message;
use homing::internals::rows::Hot;
use homing::internals::writes::Write;
use homing::store::reader::Reader;
use homing::store::{MAX_MARKS, Removed, Store, StoreErrorKind};
use store_common::*;
use tempfile::TempDir;

const ALL: i64 = i64::MAX;

fn done(name: &str, seq: u64) -> Write {
    Write::ConsumerDone { name: name.into(), seq }
}

fn through(name: &str, seq: u64) -> Write {
    Write::ConsumerDoneThrough { name: name.into(), seq }
}

fn put(name: &str, filters: &[&str]) -> Write {
    Write::ConsumerPut { name: name.into(), filters: filters.iter().map(|text| filter(text)).collect(), cursor: 0 }
}

/// Odd numbers come on a/…, even ones on b/….
fn filled(folder: &TempDir, count: u64) -> (Store, Hot) {
    let mut store = open(folder);
    let mut hot = store.hot();
    for seq in 1..=count {
        let row = inbox_row(seq, if seq % 2 == 1 { "a/x" } else { "b/x" });
        (hot.inbox_messages, hot.inbox_bytes) = (hot.inbox_messages + 1, hot.inbox_bytes + row.size());
        store.write(Write::InboxInsert(row)).unwrap();
    }
    hot.next_seq = count + 1;
    store.commit(&hot).unwrap();
    (store, hot)
}

fn turn(store: &mut Store, hot: &Hot, writes: impl IntoIterator<Item = Write>) {
    writes.into_iter().for_each(|write| store.write(write).unwrap());
    store.commit(hot).unwrap();
}

fn cursor(store: &Store, name: &str) -> u64 {
    store.consumers().into_iter().find(|row| row.name == name).unwrap().cursor
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.at.seq()).collect()
}

#[test]
fn p4_the_cursor_moves_only_over_what_is_done_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = filled(&folder, 10);
    turn(&mut store, &hot, [done("default", 3), done("default", 2)]);
    assert_eq!(cursor(&store, "default"), 0);
    let mut store = store.reopen().unwrap();
    let reader = Reader::open(&path(&folder)).unwrap();
    let (page, last) = reader.page("default", 0, 99).unwrap();
    assert_eq!((seqs(&page), last), (vec![1, 4, 5, 6, 7, 8, 9, 10], 10));
    turn(&mut store, &hot, [done("default", 1)]);
    assert_eq!(cursor(&store, "default"), 3);
    turn(&mut store, &hot, [done("default", 9), through("default", 7), through("default", 5), done("default", 4)]);
    assert_eq!(cursor(&store, "default"), 7);
    let mut store = store.reopen().unwrap();
    turn(&mut store, &hot, [done("default", 8)]);
    assert_eq!(cursor(&store, "default"), 9);
    assert_eq!(store.reopen().unwrap().consumers()[0].cursor, 9);
    let raw = rusqlite::Connection::open(path(&folder)).unwrap();
    let marks: i64 = raw.query_row("SELECT count(*) FROM consumer_done", [], |row| row.get(0)).unwrap();
    assert_eq!(marks, 0, "marks behind the cursor go");
}

#[test]
fn a_consumer_with_filters_is_not_held_up_by_what_it_does_not_want() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = filled(&folder, 10);
    turn(&mut store, &hot, [put("a", &["a/#", "c"])]);
    turn(&mut store, &hot, [done("a", 1), done("a", 5)]);
    assert_eq!(cursor(&store, "a"), 2);
    let reader = Reader::open(&path(&folder)).unwrap();
    let (page, last) = reader.page("a", 0, 99).unwrap();
    assert_eq!((seqs(&page), last), (vec![3, 7, 9], 10));
    assert_eq!(seqs(&reader.page("a", 3, 1).unwrap().0), [7]);
    assert_eq!(reader.page("a", 3, 1).unwrap().1, 7);
    assert!(matches!(reader.page("nobody", 0, 9), Err(homing::Error::NoSuchConsumer { .. })));
    turn(&mut store, &hot, [through("a", 9)]);
    assert_eq!(cursor(&store, "a"), 10, "the last row is not wanted");
}

#[test]
fn putting_a_consumer_again_replaces_its_filters_and_never_its_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = filled(&folder, 10);
    turn(&mut store, &hot, [through("default", 4), put("default", &["b/+"])]);
    let mut store = store.reopen().unwrap();
    let row = &store.consumers()[0];
    assert_eq!((row.filters.as_slice(), row.cursor), (&[filter("b/+")][..], 5));
    turn(&mut store, &hot, [Write::ConsumerRemove { name: "default".into() }, put("default", &[])]);
    assert_eq!(store.reopen().unwrap().consumers()[0].cursor, 0);
}

#[test]
fn many_marks_in_order_leave_none_behind_and_too_many_out_of_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let count = MAX_MARKS as u64 + 3_000;
    let (mut store, hot) = filled(&folder, count);
    turn(&mut store, &hot, [put("second", &[])]);
    turn(&mut store, &hot, (1..=count).map(|seq| done("second", seq)));
    assert_eq!(cursor(&store, "second"), count);
    for seq in 2..=MAX_MARKS as u64 + 1 {
        store.write(done("default", seq)).unwrap();
    }
    let error = store.write(done("default", count)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
    store.write(done("default", 2)).unwrap();
    assert_eq!(store.write(done("nobody", 2)).unwrap_err().kind, StoreErrorKind::Refused);
    turn(&mut store, &hot, [done("default", 1), done("default", count)]);
    assert_eq!(cursor(&store, "default"), MAX_MARKS as u64 + 1, "the turn goes on after a refusal");
    turn(&mut store, &hot, [through("default", count - 1)]);
    assert_eq!(store.reopen().unwrap().consumers()[0].cursor, count);
}

#[test]
fn p4_retention_takes_old_messages_that_all_are_done_with() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = filled(&folder, 10);
    let size = inbox_row(1, "a/x").size();
    turn(&mut store, &hot, [put("second", &[]), through("default", 8)]);
    assert_eq!(store.retain(ALL, 0, None, 1_000).unwrap(), Removed::default(), "second is not done with any");
    turn(&mut store, &hot, [through("second", 6)]);
    // Message n was received at 1,000 + n.
    assert_eq!(store.retain(2_004, 1_000, None, 1_000).unwrap(), Removed { messages: 3, bytes: 3 * size });
    assert_eq!(store.retain(ALL, 0, None, 2).unwrap(), Removed { messages: 2, bytes: 2 * size });
    let mut store = store.reopen().unwrap();
    assert_eq!(store.retain(ALL, 0, None, 1_000).unwrap().messages, 6, "an uncommitted removal did not happen");
    store.commit(&hot).unwrap();
    assert_eq!(seqs(&Reader::open(&path(&folder)).unwrap().inbox(0, 99).unwrap()), [7, 8, 9, 10]);
}

#[test]
fn p7_over_the_limit_done_messages_go_oldest_first_however_young() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = filled(&folder, 10);
    let size = inbox_row(1, "a/x").size();
    turn(&mut store, &hot, [through("default", 8)]);
    let over = |messages, bytes| Some(Removed { messages, bytes });
    let removed = |messages| Removed { messages, bytes: messages * size };
    assert_eq!(store.retain(0, 0, over(2, 0), 1_000).unwrap(), removed(2));
    assert_eq!(store.retain(0, 0, over(0, size + 1), 1_000).unwrap(), removed(2));
    assert_eq!(store.retain(0, 0, over(99, 0), 1_000).unwrap(), removed(4), "what is not done stays");
    store.commit(&hot).unwrap();
    assert_eq!(seqs(&Reader::open(&path(&folder)).unwrap().inbox(0, 99).unwrap()), [9, 10]);
}

#[test]
fn a_consumer_that_wants_nothing_of_it_does_not_keep_the_inbox_full() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = filled(&folder, 2_500);
    turn(&mut store, &hot, [put("default", &["elsewhere"])]);
    let mut messages = 0;
    for _ in 0..3 {
        messages += store.retain(ALL, 0, None, 1_000).unwrap().messages;
        store.commit(&hot).unwrap();
    }
    assert_eq!((messages, cursor(&store, "default")), (2_500, 2_500));
}

#[test]
fn properties_count_in_what_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let hot = store.hot();
    let mut row = inbox_row(1, "ä/ö");
    let mut props = homing::Properties::default();
    (props.content_type, props.user) = (Some("text".into()), vec![("näme".into(), "value".into())]);
    row.props = Some(Box::new(props));
    turn(&mut store, &hot, [Write::InboxInsert(row.clone()), through("default", 1)]);
    assert_eq!(store.retain(ALL, 0, None, 9).unwrap(), Removed { messages: 1, bytes: row.size() });
}
