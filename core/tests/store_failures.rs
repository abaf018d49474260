//! What a write or a commit that fails leaves behind.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use homing::QoS;
use homing::internals::writes::Write;
use store_common::*;

#[test]
fn a_lock_of_another_program_is_busy_and_the_turn_goes_on_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let hot = store.hot();
    let tool = rusqlite::Connection::open(path(&folder)).unwrap();
    tool.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.write(Write::OutboxInsert(outbox_row(1, QoS::AtLeastOnce))).unwrap();
    let error = store.commit(&hot).unwrap_err();
    assert_eq!(error.kind, homing::store::StoreErrorKind::Busy);
    tool.execute_batch("COMMIT").unwrap();
    assert!(store.commit(&hot).unwrap());
    assert_eq!(store.in_flight([1, 0]).unwrap().len(), 1);
}

#[test]
fn p12_after_a_failure_nothing_goes_until_reopened_and_the_words_hold_no_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let hot = store.hot();
    store.write(Write::OutboxInsert(outbox_row(1, QoS::AtLeastOnce))).unwrap();
    store.commit(&hot).unwrap();
    store.write(Write::OutboxInsert(outbox_row(2, QoS::AtLeastOnce))).unwrap();
    store.write(Write::OutboxInsert(outbox_row(1, QoS::AtLeastOnce))).unwrap();
    let error = store.commit(&hot).unwrap_err();
    assert!(!error.to_string().contains("kitchen") && !error.to_string().contains("payload"), "{error}");
    assert!(store.commit(&hot).is_err());
    assert!(store.write(Write::ReceivedQos2 { pid: 1, content: 9 }).is_err());
    assert!(store.received_qos2().is_err());
    let mut store = store.reopen().unwrap();
    assert_eq!((store.hot().turn, store.load_outbox(0, 9, 9, 999).unwrap().0.len()), (1, 1));
}
