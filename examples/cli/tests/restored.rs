//! A copy of the store put back after more traffic: no packet identifier, no id and no session of the original is used
//! again unseen, and the outbox waits for a word (issue 4, deliverable 6).
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Observer, Publisher};
use homing_testkit::process::{Event, Homing};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
/// Far above what is normal: it only bounds a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn beside(store: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", store.display()))
}

/// The files that a backup of the app's folder has, SQLite's log included.
fn copy(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        drop(fs::remove_file(beside(to, suffix)));
        if beside(from, suffix).exists() {
            fs::copy(beside(from, suffix), beside(to, suffix)).unwrap();
        }
    }
    drop(fs::remove_file(beside(to, "-shm")));
}

fn send(homing: &Homing, topic: &str, numbers: std::ops::Range<u64>) -> Vec<Event> {
    let mut pipe = homing.pipe(["--exit-when-drained"]);
    pipe.publish_numbers(topic, numbers, 2);
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "{status}");
    events
}

fn queue(homing: &Homing, topic: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let said = homing.run(["pub", topic, &number.to_string(), "-q", "2", "--wait", "accepted"]);
        assert!(said.status.success(), "{said:?}");
    }
}

fn restored(decision: &str, mqtt: u8) {
    let broker = Mosquitto::start(Inflight::Max(1000));
    let folder = tempfile::tempdir().unwrap();
    let (store, backup) = (folder.path().join("s.db"), folder.path().join("backup.db"));
    let homing =
        Homing::new(BINARY, &store).flag("--broker", broker.url()).flag("--client-id", "restored").flag("--mqtt", mqtt);
    let observer = Observer::subscribe(broker.port(), "observer", "n/#").collect();
    let mut pipe = homing.pipe(["in/#", "-q", "2"]);
    pipe.subscribed("in/#", PATIENCE);
    pipe.close_stdin();
    pipe.finish(PATIENCE);
    send(&homing, "n/a", 0..50);
    queue(&homing, "n/a", 50..60);
    copy(&store, &backup);
    // The original goes on: it sends what the copy has in its outbox, and more.
    send(&homing, "n/a", 60..100);
    let id = homing.json(["status", "--json"])[0]["store_id"].clone();

    copy(&backup, &store);
    queue(&homing, "n/a", 100..101);
    let status = &homing.json(["status", "--json"])[0];
    assert_ne!(status["store_id"], id);
    assert_eq!((&status["held"], &status["outbox"]["waiting"]), (&true.into(), &11.into()));
    let said = homing.run(["pub", "n/a", "101", "-q", "2", "--wait", "delivered"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("held"), "{said:?}");
    let status = &homing.json(["status", "--json"])[0];
    assert_eq!((&status["outbox"]["waiting"], &status["outbox"]["in_flight"]), (&12.into(), &0.into()));

    let decided = homing.json(["outbox", decision, "--json"]);
    assert_eq!((&decided[0]["decided"], &decided[0]["was_held"]), (&decision.into(), &true.into()));
    assert_eq!(homing.json(["outbox", decision, "--json"])[0]["was_held"], false);
    // A new message under the packet identifiers that come next is no repeat to the broker.
    let events = send(&homing, "n/a", 102..150);
    let verdicts = |wanted: bool| {
        let twice = move |event: &&Event| matches!(event, Event::Verdict { maybe_twice, outcome, .. } if outcome == "delivered" && *maybe_twice == wanted);
        events.iter().filter(twice).count()
    };
    let (copied, sent_again) = if decision == "release" { (10, 50..60) } else { (0, 0..0) };
    assert_eq!((verdicts(true), verdicts(false)), (copied, 50));
    assert_eq!(homing.json(["status", "--json"])[0]["held"], false);
    Publisher::end(broker.port(), "n/end", 2);
    let mut seen: Vec<u64> = observer.until_end(PATIENCE).into_iter().map(|(_, number)| number).collect();
    seen.sort_unstable();
    let mut wanted: Vec<u64> = (0..150).chain(sent_again).collect();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
}

#[test]
fn a_restored_outbox_is_held_and_released_v3() {
    restored("release", 3);
}

#[test]
fn a_restored_outbox_is_held_and_released_v5() {
    restored("release", 5);
}

#[test]
fn a_restored_outbox_is_held_and_discarded_v5() {
    restored("discard", 5);
}
