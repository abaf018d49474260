//! Every schema that was ever shipped is kept beside the migrations. A store made by each of them opens, keeps its rows,
//! and ends with the schema of a fresh store.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::path::{Path, PathBuf};

use homing::QoS;
use homing::store::reader::Reader;
use homing::store::{APPLICATION_ID, SCHEMA_VERSION};
use rusqlite::Connection;
use store_common::*;

fn schema_file(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("migrations/schema_{version:03}.sql"))
}

/// The statements that make a store's tables and indexes, in a fixed order.
fn schema(path: &Path) -> String {
    let raw = Connection::open(path).unwrap();
    let mut statement = raw
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name")
        .unwrap();
    let all: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    all.join(";\n\n") + ";\n"
}

#[test]
fn a_fresh_store_has_the_newest_stored_schema() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let file = schema_file(SCHEMA_VERSION);
    let fresh = schema(&path(&folder));
    assert_eq!(
        std::fs::read_to_string(&file).unwrap_or_default(),
        fresh,
        "a shipped schema changes only by a new migration; for a new one write this to {}",
        file.file_name().unwrap().display()
    );
}

#[test]
fn every_stored_schema_opens_with_its_rows_and_ends_as_a_fresh_one() {
    let fresh = tempfile::tempdir().unwrap();
    drop(open(&fresh));
    for version in 1..=SCHEMA_VERSION {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(path(&folder)).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.execute_batch(&std::fs::read_to_string(schema_file(version)).unwrap()).unwrap();
        old.pragma_update(None, "user_version", version).unwrap();
        let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("migrations/rows_{version:03}.sql"));
        old.execute_batch(&std::fs::read_to_string(rows).unwrap()).unwrap();
        drop(old);

        let mut store = open(&folder);
        assert_eq!((store.hot().turn, store.hot().next_seq, store.hot().lanes[0].next_ord), (9, 4, 6));
        assert_eq!(store.session().client_id, "kitchen");
        let (outbox, _) = store.load_outbox(0, 99, 99, 9_999).unwrap();
        assert_eq!(
            outbox.iter().map(|row| (row.id, row.qos)).collect::<Vec<_>>(),
            [(3, QoS::ExactlyOnce), (5, QoS::AtLeastOnce)]
        );
        let props = outbox[1].props.as_ref().unwrap();
        assert_eq!((props.content_type.as_deref(), props.user.len()), (Some("text/plain"), 1));
        assert_eq!((outbox[1].retain, outbox[1].expires_ms), (true, Some(5_000)));
        let waiting = homing::internals::rows::ReceivedQos2 { pid: 40, content: 7, completed: false };
        assert_eq!((store.released().unwrap(), store.received_qos2().unwrap()), (vec![3], vec![waiting]));
        assert_eq!(store.fate(2).unwrap(), Some(homing::Fate::Expired));
        let consumer = &store.consumers()[0];
        assert_eq!((consumer.filters.as_slice(), consumer.cursor), (&[filter("home/#")][..], 1));
        assert_eq!(store.subscriptions().unwrap()[0].granted, Some((QoS::AtLeastOnce, 1)));
        assert_eq!(store.open_gaps().unwrap()[0].after_seq, 2);
        let reader = Reader::open(&path(&folder)).unwrap();
        let (messages, _) = reader.page("default", 0, 99).unwrap();
        assert_eq!(messages.iter().map(|message| message.at.seq()).collect::<Vec<_>>(), [3], "2 is marked done");
        assert_eq!(reader.status().unwrap().metrics.unwrap().0.turns, 9);
        drop((store, reader));
        assert_eq!(schema(&path(&folder)), schema(&path(&fresh)), "from version {version}");
    }
}
