//! Encryption at rest: nothing of it stands in the files, a wrong key touches nothing, another key is all or nothing.
#![cfg(feature = "encryption")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use homing::{Homing, KeyError, KeyProvider, OpenError, Options, Publish, Reader, StoreKey, TopicName};

const SECRET: &str = "a payload that nobody may read on the disk";

fn key(byte: u8) -> KeyProvider {
    KeyProvider::new(move || Ok(StoreKey::new([byte; 32])))
}

fn options(path: &Path, key: Option<KeyProvider>) -> Options {
    let mut options = Options::new(path);
    options.connect = false;
    options.key = key;
    options
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn open(path: &Path, byte: u8) -> Result<Homing, OpenError> {
    Homing::open(options(path, Some(key(byte)))).await
}

async fn publish(homing: &Homing) {
    homing.publish(Publish::new(TopicName::new("home/door").unwrap(), SECRET)).await.unwrap();
}

fn waiting(path: &Path, byte: u8) -> u64 {
    Reader::open_with_key(path, key(byte)).unwrap().status().unwrap().outbox.waiting
}

/// The store's files but for the lock.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = ["", "-wal"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())));
    names.into_iter().filter(|name| name.exists()).map(|name| (name.clone(), fs::read(name).unwrap())).collect()
}

fn wrong(result: Result<impl Sized, OpenError>) {
    assert!(matches!(result.err(), Some(OpenError::WrongKey { .. })));
}

#[test]
fn nothing_of_a_message_stands_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    block(async {
        let homing = open(&path, 1).await.unwrap();
        publish(&homing).await;
        for (name, content) in files(&path) {
            assert!(!content.windows(9).any(|part| part == b"a payload" || part == b"home/door"), "{}", name.display());
            assert!(!content.starts_with(b"SQLite format"), "{}", name.display());
        }
        assert_eq!(waiting(&path, 1), 1, "beside the driver");
        homing.close(Duration::ZERO).await.unwrap();
        drop(open(&path, 1).await.unwrap());
    });
    assert_eq!(waiting(&path, 1), 1);
}

#[test]
fn a_wrong_or_missing_key_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    block(async {
        let homing = open(&path, 1).await.unwrap();
        publish(&homing).await;
        homing.close(Duration::ZERO).await.unwrap();
        let before = files(&path);
        wrong(open(&path, 2).await);
        wrong(Homing::open(options(&path, None)).await);
        wrong(Reader::open(&path));
        wrong(Reader::open_with_key(&path, key(2)));
        let locked = KeyProvider::new(|| Err(KeyError("the device is locked".to_owned())));
        let error = Homing::open(options(&path, Some(locked))).await.err().unwrap();
        assert!(matches!(&error, OpenError::StoreUnavailable { detail, .. } if detail.contains("locked")), "{error}");
        assert_eq!(files(&path), before);
        drop(open(&path, 1).await.unwrap());

        let plain = folder.path().join("plain.db");
        drop(Homing::open(options(&plain, None)).await.unwrap());
        let refused = open(&plain, 1).await.err().unwrap();
        assert!(refused.to_string().contains("not encrypted"), "{refused}");
    });
}

#[test]
fn another_key_takes_the_place_of_the_first_while_the_store_is_driven() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let current = Arc::new(Mutex::new(1));
    let asked = Arc::clone(&current);
    let provider = KeyProvider::new(move || Ok(StoreKey::new([*asked.lock().unwrap(); 32])));
    block(async {
        let homing = Homing::open(options(&path, Some(provider))).await.unwrap();
        publish(&homing).await;
        homing.rekey(StoreKey::new([2; 32])).await.unwrap();
        *current.lock().unwrap() = 2;
        publish(&homing).await;
        assert_eq!(homing.reader().unwrap().status().unwrap().outbox.waiting, 2);
        homing.close(Duration::ZERO).await.unwrap();
        wrong(open(&path, 1).await);
    });
    assert_eq!(waiting(&path, 2), 2);
}

/// Run by the next test as a process of its own: changes keys to and fro until it is killed.
#[test]
#[ignore = "a part of the next test"]
fn child_that_changes_keys() {
    let Ok(path) = std::env::var("HOMING_REKEY_STORE") else { return };
    let current = Arc::new(Mutex::new(1));
    let asked = Arc::clone(&current);
    let provider = KeyProvider::new(move || Ok(StoreKey::new([*asked.lock().unwrap(); 32])));
    block(async {
        let homing = Homing::open(options(Path::new(&path), Some(provider))).await.unwrap();
        for _ in 0..200 {
            publish(&homing).await;
        }
        fs::write(format!("{path}.ready"), "").unwrap();
        loop {
            for byte in [2, 1] {
                homing.rekey(StoreKey::new([byte; 32])).await.unwrap();
                *current.lock().unwrap() = byte;
            }
        }
    });
}

#[test]
fn a_kill_while_keys_change_leaves_one_of_the_two() {
    for wait_ms in [0, 3, 7, 13, 29] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_that_changes_keys"])
            .env("HOMING_REKEY_STORE", &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let ready = folder.path().join("s.db.ready");
        for _ in 0..6_000 {
            if ready.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(ready.exists());
        // Any moment of a change will do: this only spreads them.
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        block(async {
            let byte = match open(&path, 1).await {
                Ok(homing) => {
                    homing.close(Duration::ZERO).await.unwrap();
                    1
                }
                Err(OpenError::WrongKey { .. }) => 2,
                Err(error) => panic!("{error}"),
            };
            open(&path, byte).await.unwrap().close(Duration::ZERO).await.unwrap();
            assert_eq!(waiting(&path, byte), 200);
        });
    }
}
