//! Reading a large store: last values and pages of history, and what index and retention cost a turn.
//!
//! `cargo bench -p homing --features internals --bench reading [-- MESSAGES TOPICS]` (1,000,000 over 1,000); files go to the
//! system's temporary folder (set TMPDIR to choose a disk). Times are milliseconds: median, 99%, longest; then what the
//! thread computed on average and at most (Linux): a busy machine does not blur that.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may panic, and prints")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::cpu;
use homing::internals::rows::{Hot, InboxRow};
use homing::internals::writes::Write;
use homing::store::reader::{HistoryQuery, Reader};
use homing::store::{INDEX_ROWS, Store, StoreOptions};
use homing::{Durability, QoS, TopicFilter, TopicName};

const TURN: u64 = 1_000;
const START_MS: i64 = 1_764_000_000_000;

fn open(path: &Path) -> Store {
    Store::open(&StoreOptions {
        path,
        durability: Durability::PowerLoss,
        client_id: None,
        first_consumer: "default",
        first_consumer_filters: &[],
        device_token: None,
        wall_ms: 0,
    })
    .unwrap()
}

/// Wall time and time computed, of each run.
type Times = Vec<(Duration, Duration)>;

fn show(what: &str, times: Times) {
    let (mut times, cpu): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    times.sort_unstable();
    let ms = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1_000.0;
    println!(
        "{what:<58}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>10.3}",
        ms(times.len() / 2),
        ms(times.len() * 99 / 100),
        ms(times.len() - 1),
        cpu.iter().sum::<Duration>().as_secs_f64() * 1_000.0 / cpu.len() as f64,
        cpu.iter().max().map_or(0.0, Duration::as_secs_f64) * 1_000.0
    );
}

fn timed(run: impl FnOnce()) -> (Duration, Duration) {
    let (start, before) = (Instant::now(), cpu());
    run();
    (start.elapsed(), cpu() - before)
}

fn times(count: usize, mut run: impl FnMut(usize)) -> Times {
    (0..count).map(|n| timed(|| run(n))).collect()
}

/// One turn as the driver takes it: messages, perhaps the index, the commit, the checkpoint.
fn receive(
    store: &mut Store,
    hot: &mut Hot,
    topics: &[TopicName],
    payload: &Bytes,
    index: bool,
    random: &mut fastrand::Rng,
) {
    for _ in 0..TURN {
        let row = InboxRow {
            seq: hot.next_seq,
            topic: topics[random.usize(0..topics.len())].clone(),
            payload: payload.clone(),
            props: None,
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            received_ms: START_MS + hot.next_seq as i64,
        };
        (hot.next_seq, hot.inbox_messages, hot.inbox_bytes) =
            (hot.next_seq + 1, hot.inbox_messages + 1, hot.inbox_bytes + row.size());
        store.write(Write::InboxInsert(row)).unwrap();
    }
    if index && store.unindexed(hot.next_seq) >= INDEX_ROWS {
        store.index().unwrap();
    }
    store.commit(hot).unwrap();
    store.maintain(false).unwrap();
}

fn main() {
    let mut numbers = std::env::args().filter_map(|word| word.parse::<u64>().ok());
    let (messages, count) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(1_000) as usize);
    let topics: Vec<_> = (0..count).map(|n| TopicName::new(format!("home/room/{n}")).unwrap()).collect();
    let filter = |text: &str| TopicFilter::new(text).unwrap();
    let exact: Vec<_> = topics.iter().map(|topic| filter(topic.as_str())).collect();
    let payload = Bytes::from(vec![b'x'; 100]);
    let random = &mut fastrand::Rng::with_seed(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.homing");
    println!(
        "{:<58}{:>10}{:>10}{:>10}{:>10}{:>10}",
        format!("{messages} messages over {count} topics, ms"),
        "median",
        "99%",
        "longest",
        "CPU",
        "longest"
    );

    let mut store = open(&path);
    let mut hot = store.hot();
    let start = Instant::now();
    let turns = (messages / TURN) as usize;
    show(
        "turn: 1,000 messages, index every 8,192",
        times(turns, |_| receive(&mut store, &mut hot, &topics, &payload, true, random)),
    );
    println!(
        "{:<58}{:>10.0}",
        "received, thousand a second",
        messages as f64 / start.elapsed().as_secs_f64() / 1_000.0
    );

    let reader = Reader::open(&path).unwrap();
    let reads = 2_000;
    let pick = |n: usize| (n * 7_919) % count;
    show(
        "last of one topic",
        times(reads, |n| {
            assert_eq!(reader.last(Some(&exact[pick(n)]), None, 1).unwrap().values.len(), 1);
        }),
    );
    show(
        "last: a page of 500 of home/#",
        times(200, |_| {
            let page = reader.last(Some(&filter("home/#")), None, 500).unwrap();
            assert!(page.values.len() == 500.min(count) || page.next.is_some());
        }),
    );
    for (what, max) in [("history of one topic: a page of 100", 100), ("history of one topic: a page of 500", 500)] {
        show(
            what,
            times(reads, |n| {
                let page =
                    reader.history(&HistoryQuery::new(exact[pick(n)].clone()).newest_first(), None, max).unwrap();
                assert!(!page.messages.is_empty() || page.next.is_some());
            }),
        );
    }
    let recent = START_MS + messages as i64 * 9 / 10;
    for (what, query) in [
        ("history of home/#: a page of 500", HistoryQuery::new(filter("home/#"))),
        ("history of home/#, newest first: a page of 500", HistoryQuery::new(filter("home/#")).newest_first()),
        ("history of +/+/7 (1 topic by wildcard): a page of 500", HistoryQuery::new(filter("+/+/7"))),
        ("history of one topic since a tenth: a page", HistoryQuery::new(exact[pick(3)].clone()).since(recent)),
    ] {
        show(what, times(200, |_| drop(reader.history(&query, None, 500).unwrap())));
    }

    // A reader at 50 queries a second beside the same turns.
    let stop = AtomicBool::new(false);
    let turns = (100_000 / TURN) as usize;
    show(
        "turn: 100,000 messages more, nobody reads",
        times(turns, |_| receive(&mut store, &mut hot, &topics, &payload, true, random)),
    );
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let reader = Reader::open(&path).unwrap();
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                let topic = &exact[pick(took.len())];
                took.push(timed(|| {
                    reader.last(Some(topic), None, 1).unwrap();
                    reader.history(&HistoryQuery::new(topic.clone()).newest_first(), None, 100).unwrap();
                }));
                std::thread::sleep(Duration::from_millis(20).saturating_sub(start.elapsed()));
            }
            took
        });
        show(
            "turn: 100,000 messages more, 50 reads a second beside",
            (0..turns)
                .map(|_| {
                    // As fast as a broker on a network, or the reader would hardly get a turn.
                    std::thread::sleep(Duration::from_millis(10));
                    timed(|| receive(&mut store, &mut hot, &topics, &payload, true, random))
                })
                .collect(),
        );
        stop.store(true, Ordering::Relaxed);
        show("last and history beside those turns", beside.join().unwrap());
    });

    store.write(Write::ConsumerDoneThrough { name: "default".to_owned(), seq: hot.next_seq - 1 }).unwrap();
    store.commit(&hot).unwrap();
    show(
        "turn: retention of 1,000 rows, 100 times",
        times(100, |_| {
            let removed = store.retain(i64::MAX, 0, None, TURN as usize).unwrap();
            assert_eq!(removed.messages, TURN);
            hot.inbox_messages -= removed.messages;
            store.commit(&hot).unwrap();
            store.maintain(false).unwrap();
        }),
    );

    // The steps after an upgrade, and the worst case of one: as many topics as rows.
    for (what, count) in
        [("index step: 8,192 rows of 1,000 topics", 1_000), ("index step: 8,192 rows of 100,000 topics", 100_000)]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.homing");
        let topics: Vec<_> = (0..count).map(|n| TopicName::new(format!("home/room/{n}")).unwrap()).collect();
        let mut store = open(&path);
        let mut hot = store.hot();
        for _ in 0..200 {
            receive(&mut store, &mut hot, &topics, &payload, false, random);
        }
        show(
            what,
            times(20, |_| {
                store.index().unwrap();
                store.commit(&hot).unwrap();
                store.maintain(false).unwrap();
            }),
        );
    }
}
