//! Last values and history, read at any moment of the index's and retention's work: they agree with a list in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::collections::BTreeMap;

use homing::internals::rows::{Hot, InboxRow};
use homing::internals::writes::Write;
use homing::store::Store;
use homing::store::reader::{HistoryQuery, Reader};
use homing::{Error, Message, Position, StoreId, TopicFilter};
use store_common::*;

const ALL: i64 = i64::MAX;

fn insert(store: &mut Store, hot: &mut Hot, row: InboxRow) {
    (hot.next_seq, hot.inbox_messages, hot.inbox_bytes) =
        (hot.next_seq + 1, hot.inbox_messages + 1, hot.inbox_bytes + row.size());
    store.write(Write::InboxInsert(row)).unwrap();
}

fn lasts(reader: &Reader, filter: Option<&TopicFilter>, max: usize) -> Vec<(String, u64, i64)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = reader.last(filter, after.as_ref(), max).unwrap();
        assert!(page.values.len() <= max.min(500));
        found.extend(page.values.into_iter().map(|value| {
            assert_eq!(value.message.payload, format!("received {}", value.message.at.seq()));
            (value.message.topic.to_string(), value.message.at.seq(), value.heard_ms)
        }));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

fn history(reader: &Reader, query: &HistoryQuery, max: usize) -> Vec<u64> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = reader.history(query, after, max).unwrap();
        assert!(page.messages.len() <= max.min(500));
        found.extend(page.messages.iter().map(|message: &Message| message.at.seq()));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

#[test]
fn any_moment_reads_the_same_as_a_list() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder);
        let mut hot = store.hot();
        let mut all: Vec<(u64, String, i64)> = Vec::new();
        let mut newest: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        let topics = if seed % 2 == 0 { 7 } else { 60 };
        for _ in 0..8 {
            for _ in 0..random.u64(0..300) {
                let n = random.u32(0..topics);
                let name = match n % 3 {
                    0 => format!("home/{n}/temperature"),
                    1 => format!("home/{n}"),
                    _ => format!("$sys/{n}"),
                };
                // The wall clock is set back now and then.
                let mut row = inbox_row(hot.next_seq, &name);
                row.received_ms = 10_000 + 10 * row.seq as i64 - random.i64(0..500);
                all.push((row.seq, name.clone(), row.received_ms));
                newest.insert(name, (row.seq, row.received_ms));
                insert(&mut store, &mut hot, row);
            }
            hot.next_seq += random.u64(0..3) * 100;
            match random.u8(0..3) {
                0 => drop(store.index().unwrap()),
                1 => {
                    let seq = hot.next_seq - 1;
                    store.write(Write::ConsumerDoneThrough { name: "default".into(), seq }).unwrap();
                    let removed = store.retain(ALL, 0, None, random.usize(0..400)).unwrap();
                    hot.inbox_messages -= removed.messages;
                    all.drain(..removed.messages as usize);
                }
                _ => {}
            }
            store.commit(&hot).unwrap();
            let reader = Reader::open(&path(&folder)).unwrap();
            for text in
                ["#", "home/#", "+/+/temperature", "home/3/temperature", "home/4", "$sys/+", "$share/g/home/+", "no"]
            {
                let filter = filter(text);
                let wanted = |name: &str| filter.matches(&topic(name));
                let max = random.usize(1..40);
                let expected: Vec<_> = newest
                    .iter()
                    .filter(|(name, _)| wanted(name))
                    .map(|(name, (seq, at))| (name.clone(), *seq, *at))
                    .collect();
                assert_eq!(lasts(&reader, Some(&filter), max), expected, "seed {seed} {text}");
                let middle = 10_000 + 5 * hot.next_seq as i64;
                for query in [
                    HistoryQuery::new(filter.clone()),
                    HistoryQuery::new(filter.clone()).since(middle),
                    HistoryQuery::new(filter.clone()).until(middle),
                ] {
                    let expected: Vec<u64> = all
                        .iter()
                        .filter(|(_, name, at)| {
                            wanted(name)
                                && query.since_ms.is_none_or(|since| *at >= since)
                                && query.until_ms.is_none_or(|until| *at < until)
                        })
                        .map(|(seq, ..)| *seq)
                        .collect();
                    assert_eq!(history(&reader, &query, max), expected, "seed {seed} {text}");
                    let mut backwards = history(&reader, &query.newest_first(), max);
                    backwards.reverse();
                    assert_eq!(backwards, expected, "seed {seed} {text}, newest first");
                }
            }
            assert_eq!(lasts(&reader, None, 9_999).len(), newest.len(), "$ topics too");
        }
    }
}

#[test]
fn p6_pages_of_last_values_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for n in 0..11_000 {
        let row = inbox_row(hot.next_seq, &format!("{}/{n:05}", if n % 1_000 == 0 { "rare" } else { "often" }));
        insert(&mut store, &mut hot, row);
    }
    while store.unindexed(hot.next_seq) > 0 {
        store.index().unwrap();
    }
    store.commit(&hot).unwrap();
    let reader = Reader::open(&path(&folder)).unwrap();
    assert_eq!(reader.last(None, None, 9_999).unwrap().values.len(), 500);
    let everywhere = filter("+/+");
    assert_eq!(lasts(&reader, Some(&everywhere), 500).len(), 11_000);
    let none = filter("+/none");
    let page = reader.last(Some(&none), None, 1).unwrap();
    assert!(page.values.is_empty() && page.next.is_some(), "5,000 topics were looked at");
    assert_eq!(lasts(&reader, Some(&none), 1), []);
    assert_eq!(lasts(&reader, Some(&filter("rare/#")), 4).len(), 11);
}

#[test]
fn a_position_of_another_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let reader = Reader::open(&path(&folder)).unwrap();
    let elsewhere = Position::new(StoreId([9; 16]), 1);
    let error = reader.history(&HistoryQuery::new(filter("#")), Some(elsewhere), 1).unwrap_err();
    assert_eq!(error, Error::PositionInvalid { seq: 1, problem: "of another store" });
}

#[test]
fn behind_the_last_position_of_all_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let row = inbox_row(hot.next_seq, "a");
    insert(&mut store, &mut hot, row);
    store.commit(&hot).unwrap();
    let reader = Reader::open(&path(&folder)).unwrap();
    for seq in [i64::MAX as u64, u64::MAX] {
        for filter in [filter("a"), filter("#")] {
            let at = Some(Position::new(reader.store_id(), seq));
            assert_eq!(reader.history(&HistoryQuery::new(filter.clone()), at, 9).unwrap().messages, []);
            assert_eq!(reader.history(&HistoryQuery::new(filter).newest_first(), at, 9).unwrap().messages.len(), 1);
        }
        assert_eq!(reader.inbox(seq, 9).unwrap(), []);
        assert_eq!(reader.outbox(seq, 9).unwrap(), []);
        assert_eq!(reader.page("default", seq, 9).unwrap().0, []);
    }
}
