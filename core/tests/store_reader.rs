//! Readers beside a writer: pages, status, fates, gaps; no BUSY and nothing written.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use homing::internals::rows::{STALE, SubscriptionRow};
use homing::internals::writes::Write;
use homing::store::SCHEMA_VERSION;
use homing::store::reader::Reader;
use homing::{Error, Fate, Gap, GapCause, Message, MessageId, QoS, StoreId, Subscription};
use store_common::*;

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.at.seq()).collect()
}

#[test]
fn status_counts_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let mut bytes = 0;
    for id in 1..=7 {
        bytes += outbox_row(id, QoS::AtLeastOnce).size();
        store.write(Write::OutboxInsert(outbox_row(id, QoS::AtLeastOnce))).unwrap();
    }
    let lane = &mut hot.lanes[0];
    (lane.next_ord, lane.sent_through, lane.messages, lane.bytes) = (8, 3, 7, bytes);
    // Holes: seq 10, 20, … 100.
    for n in 1..=10 {
        store.write(Write::InboxInsert(inbox_row(n * 10, "a"))).unwrap();
    }
    (hot.next_seq, hot.inbox_messages, hot.inbox_bytes) = (101, 10, 130);
    for (name, cursor) in [("c1", 5), ("c2", 10), ("c3", 55), ("c4", 90), ("c5", 100), ("c6", 300)] {
        store.write(Write::ConsumerPut { name: name.into(), filters: vec![filter("x")], cursor }).unwrap();
    }
    let mut session = store.session();
    (session.session_epoch, session.broker) = (2, Some("mqtt://h:1883".into()));
    (session.session_present, session.last_connect_ms) = (Some(true), Some(7));
    let client_id = session.client_id.clone();
    store.write(Write::Session(Box::new(session))).unwrap();
    let epochs = [("asked again", true, STALE), ("live", true, 2), ("stale", true, 1), ("unwanted", false, 2)];
    for (text, wanted, epoch) in epochs {
        let wish = Subscription::new(filter(text), QoS::ExactlyOnce);
        let granted = Some((QoS::AtLeastOnce, epoch));
        store.write(Write::Subscription(SubscriptionRow { wish, wanted, granted })).unwrap();
    }
    let driver = Write::Driver { connection: "connected", metrics: r#"{"turns":3,"later":1}"#.into(), at_ms: 44 };
    store.write(driver).unwrap();
    store.commit(&hot).unwrap();

    let reader = Reader::open(&path(&folder)).unwrap();
    let status = reader.status().unwrap();
    assert_eq!((status.store_id, status.client_id), (reader.store_id(), client_id));
    assert_eq!((status.connection.as_str(), status.schema_version), ("connected", SCHEMA_VERSION));
    assert_eq!((status.broker.as_deref(), status.session_present), (Some("mqtt://h:1883"), Some(true)));
    assert_eq!((status.outbox.waiting, status.outbox.in_flight, status.outbox.bytes), (4, 3, bytes));
    assert_eq!((status.inbox_messages, status.inbox_bytes, status.last_connect_ms), (10, 130, Some(7)));
    let behind: Vec<_> = status.consumers.iter().map(|row| (row.name.as_str(), row.behind)).collect();
    let expected = [("c1", 10), ("c2", 9), ("c3", 5), ("c4", 1), ("c5", 0), ("c6", 0), ("default", 10)];
    assert_eq!(behind, expected);
    let granted: Vec<_> = status.subscriptions.iter().map(|row| (row.filter.as_str(), row.granted)).collect();
    let last_word = Some(QoS::AtLeastOnce);
    assert_eq!(granted, [("asked again", last_word), ("live", last_word), ("stale", None)]);
    let (metrics, at_ms) = status.metrics.unwrap();
    assert_eq!((metrics.turns, at_ms), (3, 44));

    drop(store);
    assert_eq!(reader.status().unwrap().connection, "not_driven");
}

#[test]
fn p9_a_reader_tells_fates_and_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for id in 1..=600 {
        store.write(Write::OutboxInsert(outbox_row(id, QoS::AtLeastOnce))).unwrap();
    }
    (hot.lanes[0].next_ord, hot.lanes[0].sent_through) = (601, 2);
    store.write(Write::OutboxFinish { id: 1, verdict: None, at_ms: 1 }).unwrap();
    store.commit(&hot).unwrap();
    let reader = Reader::open(&path(&folder)).unwrap();
    let id = |n| MessageId::new(reader.store_id(), n);
    for (n, fate) in [(1, Fate::DELIVERED), (2, Fate::InFlight), (3, Fate::Waiting)] {
        assert_eq!(reader.fate(id(n)).unwrap(), fate);
    }
    assert_eq!(reader.fate(id(601)).unwrap_err(), Error::NoSuchMessage { n: 601 });
    assert_eq!(reader.fate(MessageId::new(StoreId([7; 16]), 1)).unwrap(), Fate::OtherStore);
    let rows = reader.outbox(0, 2).unwrap();
    assert_eq!(rows.iter().map(|row| row.fate.clone()).collect::<Vec<_>>(), [Fate::InFlight, Fate::Waiting]);
    assert_eq!((rows[0].payload_bytes, rows[0].id), (9, id(2)));
    assert_eq!(reader.outbox(2, 10_000).unwrap().len(), 500);
    assert_eq!(reader.outbox(502, 10_000).unwrap().len(), 98);
}

#[test]
fn gaps_of_one_cause_and_time_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let hot = store.hot();
    let lost =
        |text, from_ms| Write::GapOpen { filter: filter(text), cause: GapCause::SessionLost, from_ms, after_seq: 3 };
    for write in [
        lost("a", 1),
        lost("b", 1),
        lost("c", 1),
        Write::GapOpen { filter: filter("a"), cause: GapCause::TooLarge, from_ms: 1, after_seq: 3 },
        Write::GapClose { filter: filter("b"), cause: GapCause::SessionLost, to_ms: 9 },
        Write::GapClose { filter: filter("c"), cause: GapCause::SessionLost, to_ms: 9 },
        lost("b", 20),
    ] {
        store.write(write).unwrap();
    }
    store.commit(&hot).unwrap();
    let reader = Reader::open(&path(&folder)).unwrap();
    let gaps: Vec<_> = reader
        .gaps()
        .unwrap()
        .into_iter()
        .map(|Gap { filters, cause, from_ms, to_ms, .. }| {
            (filters.iter().map(|filter| filter.to_string()).collect::<Vec<_>>().join(" "), cause, from_ms, to_ms)
        })
        .collect();
    let expected = [
        ("a".to_owned(), GapCause::SessionLost, 1, None),
        ("b c".to_owned(), GapCause::SessionLost, 1, Some(9)),
        ("a".to_owned(), GapCause::TooLarge, 1, None),
        ("b".to_owned(), GapCause::SessionLost, 20, None),
    ];
    assert_eq!(gaps, expected);
    assert_eq!(reader.status().unwrap().gaps, 4);
}

#[test]
fn p6_pages_are_bounded_in_rows_bytes_and_rows_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for seq in 1..=12_000 {
        store.write(Write::InboxInsert(inbox_row(seq, if seq % 6_000 == 0 { "rare" } else { "often" }))).unwrap();
    }
    for seq in 12_001..=12_004 {
        let mut row = inbox_row(seq, "large");
        row.payload = Bytes::from(vec![7; if seq == 12_002 { 9 << 20 } else { 2 << 20 }]);
        store.write(Write::InboxInsert(row)).unwrap();
    }
    let put = |name: &str, text| Write::ConsumerPut { name: name.into(), filters: vec![filter(text)], cursor: 0 };
    store.write(put("rare", "rare")).unwrap();
    store.write(put("large", "large")).unwrap();
    hot.next_seq = 12_005;
    store.commit(&hot).unwrap();
    let reader = Reader::open(&path(&folder)).unwrap();
    let (page, through) = reader.page("default", 0, 9_999).unwrap();
    assert_eq!((page.len(), through), (500, 500));
    let mut steps = Vec::new();
    let mut after = 0;
    loop {
        let (page, through) = reader.page("rare", after, 1).unwrap();
        if through == after {
            break;
        }
        steps.push((seqs(&page), through));
        after = through;
    }
    let expected = [
        (vec![], 5_000),
        (vec![6_000], 6_000),
        (vec![], 11_000),
        (vec![12_000], 12_000),
        (vec![], 12_001),
        (vec![], 12_002),
        (vec![], 12_004),
    ];
    assert_eq!(steps, expected);
    for (after, got) in [(12_000, vec![12_001]), (12_001, vec![12_002]), (12_002, vec![12_003, 12_004])] {
        assert_eq!(seqs(&reader.page("large", after, 9).unwrap().0), got);
        assert_eq!(seqs(&reader.inbox(after, 9).unwrap()), got);
    }
    assert_eq!(reader.page("large", 12_004, 9).unwrap(), (vec![], 12_004));
    assert_eq!(reader.inbox(12_004, 9).unwrap(), []);
    assert_eq!(reader.page("default", 0, 0).unwrap(), (vec![], 0));
}

#[test]
fn readers_beside_a_busy_writer_meet_no_lock_and_see_whole_turns() {
    const PER_TURN: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let stop = AtomicBool::new(false);
    let path = path(&folder);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut after = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // Opened anew each time: that is when locks are met.
                        let reader = Reader::open(&path).unwrap();
                        let status = reader.status().unwrap();
                        assert_eq!(status.inbox_messages % PER_TURN, 0);
                        assert_eq!(status.consumers[0].behind, status.inbox_messages);
                        assert_eq!(status.connection, "disconnected");
                        let (page, through) = reader.page("default", after, 500).unwrap();
                        assert_eq!(seqs(&page), (after + 1..=through).collect::<Vec<_>>());
                        after = through;
                    }
                    after
                })
            })
            .collect();
        for turn in 0..300 {
            for _ in 0..PER_TURN {
                store.write(Write::InboxInsert(inbox_row(hot.next_seq, "a"))).unwrap();
                hot.next_seq += 1;
                hot.inbox_messages += 1;
            }
            store.commit(&hot).unwrap();
            store.maintain(turn % 50 == 0).unwrap();
            if turn % 100 == 99 {
                store = std::mem::replace(&mut store, open_other(&folder)).reopen().unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

/// Something to stand in while a store is moved out.
fn open_other(folder: &tempfile::TempDir) -> homing::store::Store {
    let other = folder.path().join("other.homing");
    open_with(&other, homing::Durability::ProcessKill).unwrap()
}
