//! Cycles of the store in thousand messages a second, at 100 and 1,000 messages a turn.
//!
//! `cargo bench -p homing --features internals --bench store [-- MESSAGES]`; files go to the system's temporary folder
//! (set TMPDIR to choose a disk). Each figure is the best of three, for other work on the machine only ever slows.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may panic, and prints")]

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use homing::internals::rows::{InboxRow, OutboxRow, Outcome};
use homing::internals::writes::Write;
use homing::store::reader::Reader;
use homing::store::{Store, StoreOptions};
use homing::{Durability, IfUnsupported, QoS, TopicName};

const BEST_OF: usize = 3;

fn open(path: &Path, durability: Durability) -> Store {
    Store::open(&StoreOptions {
        path,
        durability,
        client_id: None,
        first_consumer: "default",
        first_consumer_filters: &[],
        device_token: None,
        wall_ms: 0,
    })
    .unwrap()
}

fn outgoing(id: u64, topic: &TopicName, payload: &Bytes, qos: QoS) -> Write {
    Write::OutboxInsert(OutboxRow {
        id,
        topic: topic.clone(),
        payload: payload.clone(),
        props: None,
        qos,
        retain: false,
        expires_ms: None,
        maybe_dup: false,
        if_unsupported: IfUnsupported::Refuse,
        supersede: None,
        after_ord: None,
    })
}

/// Publishes one turn's worth while the turn before is acknowledged.
fn publish(store: &mut Store, turns: u64, size: u64, qos: QoS) {
    let (topic, payload) = (TopicName::new("dev/0123456789/telemetry").unwrap(), Bytes::from(vec![b'x'; 100]));
    let mut hot = store.hot();
    for turn in 0..turns {
        let first = hot.lanes[0].next_ord;
        for id in first..first + size {
            store.write(outgoing(id, &topic, &payload, qos)).unwrap();
            if qos == QoS::AtMostOnce {
                store.write(Write::OutboxFinish { id, verdict: Some(Outcome::Sent), at_ms: 0 }).unwrap();
            } else if turn > 0 {
                store.write(Write::OutboxFinish { id: id - size, verdict: None, at_ms: 0 }).unwrap();
            }
        }
        if qos == QoS::ExactlyOnce {
            for id in first..first + size {
                store.write(Write::Release { id, release: id }).unwrap();
            }
        }
        hot.lanes[0].next_ord += size;
        store.commit(&hot).unwrap();
        store.maintain(false).unwrap();
    }
}

fn receive(store: &mut Store, turns: u64, size: u64, qos: QoS, topics: &[TopicName]) {
    let payload = Bytes::from(vec![b'x'; 100]);
    let mut hot = store.hot();
    for turn in 0..turns {
        for _ in 0..size {
            let seq = hot.next_seq;
            hot.next_seq += 1;
            let pid = (seq % 60_000) as u16 + 1;
            if qos == QoS::ExactlyOnce {
                if turn > 0 {
                    let old = ((seq - size) % 60_000) as u16 + 1;
                    store.write(Write::CompletedQos2(old)).unwrap();
                }
                store.write(Write::ReceivedQos2 { pid, content: 0 }).unwrap();
            }
            store
                .write(Write::InboxInsert(InboxRow {
                    seq,
                    topic: topics[seq as usize % topics.len()].clone(),
                    payload: payload.clone(),
                    props: None,
                    qos,
                    retain: false,
                    dup: false,
                    received_ms: 1_764_000_000_000,
                }))
                .unwrap();
        }
        store.commit(&hot).unwrap();
        store.maintain(false).unwrap();
    }
}

/// Reads all by pages and marks each message done, in order.
fn consume(store: &mut Store, path: &Path, size: u64) -> u64 {
    let reader = Reader::open(path).unwrap();
    let (hot, mut after, mut count) = (store.hot(), 0, 0);
    loop {
        let (messages, through) = reader.page("default", after, size as usize).unwrap();
        if through == after {
            return count;
        }
        for message in &messages {
            store.write(Write::ConsumerDone { name: "default".to_owned(), seq: message.at.seq() }).unwrap();
        }
        store.commit(&hot).unwrap();
        store.maintain(false).unwrap();
        (after, count) = (through, count + messages.len() as u64);
    }
}

fn main() {
    let total: u64 = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(200_000);
    let topics =
        |count: usize| (0..count).map(|n| TopicName::new(format!("home/room/{n}")).unwrap()).collect::<Vec<_>>();
    let (one, hundred) = (topics(1), topics(100));
    type Run<'a> = Box<dyn Fn(&mut Store, &Path, u64, u64) + 'a>;
    let cycles: Vec<(&str, Run<'_>)> = vec![
        ("publish QoS 0", Box::new(|store, _, turns, size| publish(store, turns, size, QoS::AtMostOnce))),
        ("publish QoS 1", Box::new(|store, _, turns, size| publish(store, turns, size, QoS::AtLeastOnce))),
        ("publish QoS 2", Box::new(|store, _, turns, size| publish(store, turns, size, QoS::ExactlyOnce))),
        (
            "receive QoS 1, 1 topic",
            Box::new(|store, _, turns, size| receive(store, turns, size, QoS::AtLeastOnce, &one)),
        ),
        (
            "receive QoS 1, 100 topics",
            Box::new(|store, _, turns, size| receive(store, turns, size, QoS::AtLeastOnce, &hundred)),
        ),
        (
            "receive QoS 2, 100 topics",
            Box::new(|store, _, turns, size| receive(store, turns, size, QoS::ExactlyOnce, &hundred)),
        ),
        (
            "read and done",
            Box::new(|store, path, _, size| {
                consume(store, path, size);
            }),
        ),
    ];
    println!("{:<28}{:>16}{:>16}{:>16}{:>16}", "krow/s", "kill, 100", "kill, 1000", "power, 100", "power, 1000");
    for (name, run) in &cycles {
        print!("{name:<28}");
        for durability in [Durability::ProcessKill, Durability::PowerLoss] {
            for size in [100, 1_000] {
                let best = (0..BEST_OF)
                    .map(|_| {
                        let folder = tempfile::tempdir().unwrap();
                        let path = folder.path().join("bench.homing");
                        let mut store = open(&path, durability);
                        if name.starts_with("read") {
                            receive(&mut store, total / 1_000, 1_000, QoS::AtLeastOnce, &hundred);
                        }
                        let start = Instant::now();
                        run(&mut store, &path, total / size, size);
                        total as f64 / start.elapsed().as_secs_f64() / 1_000.0
                    })
                    .fold(0.0, f64::max);
                print!("{best:>16.0}");
            }
        }
        println!();
    }
}
