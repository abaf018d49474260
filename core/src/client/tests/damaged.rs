//! A running client whose file is damaged under it: it sets the file aside, says so, and ends.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use super::driver::{nowhere, on, options, run};
use crate::model::error::PublishError;
use crate::model::event::Event;
use crate::store::reader::Reader;
use crate::{Fate, Homing};

/// As a failing disk does it: everything is in the database, and the client has to read it anew.
fn damage(store: &std::path::Path, from: u64) {
    let connection = rusqlite::Connection::open(store).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute_batch("UPDATE hot SET wall_ms = wall_ms + 1").unwrap();
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert!(!busy);
    drop(connection);
    let mut file = std::fs::OpenOptions::new().write(true).open(store).unwrap();
    // Page 2 belongs to SQLite's own map of pages; the rows stand behind it.
    let length = if from == 0 { 4_096 } else { 3 * 4_096 };
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xA5; length]).unwrap();
}

fn meets(from: u64) {
    run(async move {
        let folder = tempfile::tempdir().unwrap();
        // Attempts to connect are written down: then pages would be in the client's memory again.
        let mut offline = options(folder.path(), nowhere());
        offline.connect = false;
        let client = Homing::open(offline).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        let mut events = client.events();
        damage(&folder.path().join("store.db"), from);
        let mut told = None;
        for _ in 0..20 {
            match client.publish(on()).await {
                Err(PublishError::Closed) => break,
                Ok(_) => panic!("taken by a damaged file"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        assert_eq!(client.publish(on()).await, Err(PublishError::Closed), "the new store is another one");
        while let Some(event) = events.next().await {
            if let Event::Warning { code: "store_damaged", text } = event {
                told = Some(text);
            }
        }
        let told = told.unwrap();
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
        let names: Vec<String> = std::fs::read_dir(folder.path()).unwrap().map(name).collect();
        let aside = names.iter().find(|name| name.starts_with("store.db-damaged-") && !name.ends_with("-shm")).unwrap();
        assert!(told.contains(aside.trim_end_matches("-wal")), "{told}: {names:?}");

        let again = Homing::open(options(folder.path(), nowhere())).await.unwrap();
        assert_ne!(again.store_id(), client.store_id());
        assert_eq!(again.fate(id).await, Ok(Fate::OtherStore));
        let next = again.publish(on()).await.unwrap();
        assert!(next.number() > id.number());
        let incidents = Reader::open(&folder.path().join("store.db")).unwrap().incidents().unwrap();
        assert_eq!(incidents.iter().map(|found| found.kind.as_str()).collect::<Vec<_>>(), ["damaged"]);
        again.close(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn p10_a_running_client_sets_aside_a_file_whose_rows_are_damaged() {
    meets(2 * 4_096);
}

#[test]
fn p10_a_running_client_sets_aside_a_file_that_is_no_database_any_more() {
    meets(0);
}
