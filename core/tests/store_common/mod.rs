//! What the store's tests share.
#![allow(dead_code, reason = "each test file uses some of it")]

use bytes::Bytes;
use homing::internals::rows::{InboxRow, OutboxRow};
use homing::store::{Store, StoreOptions};
use homing::{Durability, IfUnsupported, QoS, TopicFilter, TopicName};
use tempfile::TempDir;

pub(crate) fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("test.homing")
}

pub(crate) fn open_with(path: &std::path::Path, durability: Durability) -> Result<Store, homing::OpenError> {
    Store::open(&StoreOptions {
        path,
        durability,
        client_id: None,
        first_consumer: "default",
        first_consumer_filters: &[],
        device_token: None,
        wall_ms: 1_000,
    })
}

pub(crate) fn open(folder: &TempDir) -> Store {
    open_with(&path(folder), Durability::PowerLoss).unwrap()
}

pub(crate) fn topic(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

pub(crate) fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

pub(crate) fn outbox_row(id: u64, qos: QoS) -> OutboxRow {
    OutboxRow {
        id,
        topic: topic("home/kitchen"),
        payload: Bytes::from(format!("payload {id}")),
        props: None,
        qos,
        retain: false,
        expires_ms: None,
        maybe_dup: false,
        if_unsupported: IfUnsupported::Refuse,
        supersede: None,
        after_ord: None,
    }
}

pub(crate) fn inbox_row(seq: u64, name: &str) -> InboxRow {
    InboxRow {
        seq,
        topic: topic(name),
        payload: Bytes::from(format!("received {seq}")),
        props: None,
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
        received_ms: 1_000 + seq as i64,
    }
}

/// Puts a store's rows before the next process as a kill leaves them: the files, without any process's state.
pub(crate) fn killed_copy(from: &std::path::Path, folder: &TempDir) -> std::path::PathBuf {
    let to = path(folder);
    for suffix in ["", "-wal"] {
        let name = |path: &std::path::Path| std::path::PathBuf::from(format!("{}{suffix}", path.display()));
        if name(from).exists() {
            std::fs::copy(name(from), name(&to)).unwrap();
        }
    }
    to
}
