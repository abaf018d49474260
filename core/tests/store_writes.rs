//! Every write of a turn, on real files: seen in the same turn, gone without a commit, there after one.

mod store_common;

use homing::QoS;
use homing::internals::event::Fate;
use homing::internals::rows::Outcome;
use homing::internals::writes::Write;
use store_common::*;

#[test]
fn a_published_message_is_there_after_commit_and_gone_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    store.write(Write::OutboxInsert(outbox_row(1, QoS::AtLeastOnce))).unwrap();
    assert_eq!(store.load_outbox(0, 10, 10, 1000).unwrap(), (vec![outbox_row(1, QoS::AtLeastOnce)], true));
    drop(store);
    let mut store = open(&folder);
    assert_eq!(store.load_outbox(0, 10, 10, 1000).unwrap(), (vec![], true));
    store.write(Write::OutboxInsert(outbox_row(1, QoS::AtLeastOnce))).unwrap();
    hot.lanes[0].next_ord = 2;
    assert!(store.commit(&hot).unwrap());
    assert!(!store.commit(&hot).unwrap());
    assert_eq!(store.hot().turn, 1);
    drop(store);
    let mut store = open(&folder);
    assert_eq!(store.load_outbox(0, 10, 10, 1000).unwrap(), (vec![outbox_row(1, QoS::AtLeastOnce)], true));
    assert_eq!(store.fate(1).unwrap(), Some(Fate::Waiting));
    store.write(Write::OutboxFinish { id: 1, verdict: Some(Outcome::Unknown), at_ms: 5 }).unwrap();
    assert_eq!(store.fate(1).unwrap(), Some(Fate::Unknown));
    let mut store = store.reopen().unwrap();
    assert_eq!(store.fate(1).unwrap(), Some(Fate::Waiting));
}
