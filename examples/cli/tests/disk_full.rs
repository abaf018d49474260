//! Full disks and a log that a reader holds (P7, P10): the real binary, real file systems of 2 and 16 MB, a real broker.
//! The file systems are mounted by the tests, which needs root.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Observer, Publisher};
use homing_testkit::process::{Event, Homing, Pipe};
use homing_testkit::settings;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
/// Far above what is normal: it only bounds a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const DIGITS: usize = 800;
const QUEUES: &str = "max_queued_messages 0\n";

/// A file system of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(folder.path())
            .output()
            .expect("the command mount");
        assert!(
            mounted.status.success(),
            "this test mounts a tmpfs of {megabytes} MB, for which it must be root: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self(folder)
    }

    fn store(&self) -> std::path::PathBuf {
        self.0.path().join("phone.db")
    }

    /// Writes until nothing goes in any more.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// What a run has told so far.
#[derive(Default)]
struct Seen {
    accepted: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    verdicts: usize,
    received: Vec<u64>,
    last_seq: u64,
    connected: usize,
    reason: String,
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::Accepted { r#ref, .. } => {
                let number = r#ref.unwrap().parse().unwrap();
                self.refused.remove(&number);
                assert!(self.accepted.insert(number));
            }
            Event::Error { r#ref, code, message } => {
                assert_eq!(code, "storage_full", "{message}");
                self.reason = message;
                self.refused.insert(r#ref.unwrap().parse().unwrap());
            }
            Event::Verdict { outcome, .. } => {
                assert_eq!(outcome, "delivered");
                self.verdicts += 1;
            }
            Event::Message(message) => {
                self.received.push(message.payload.unwrap().parse().unwrap());
                self.last_seq = message.seq;
            }
            Event::Connection { state, .. } => self.connected += usize::from(state == "connected"),
            _ => {}
        }
    }

    fn until(&mut self, pipe: &mut Pipe, what: &str, mut done: impl FnMut(&mut Self, &mut Pipe) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self, pipe) {
            assert!(
                Instant::now() < deadline,
                "no {what}: {} accepted, {} refused, {} verdicts, {} received",
                self.accepted.len(),
                self.refused.len(),
                self.verdicts,
                self.received.len()
            );
            match pipe.next(Duration::from_millis(100)) {
                Ok(event) => self.take(event),
                Err(homing_testkit::process::NoEvent::TimedOut) => {}
                Err(homing_testkit::process::NoEvent::Ended) => panic!("homing has ended"),
            }
        }
    }

    /// Publishes numbers again until all are accepted.
    fn publish_refused(&mut self, pipe: &mut Pipe, digits: usize) {
        let deadline = Instant::now() + PATIENCE;
        while !self.refused.is_empty() {
            assert!(Instant::now() < deadline, "{} are still refused: {}", self.refused.len(), self.reason);
            let (again, answered) = (self.refused.clone(), self.accepted.len());
            self.refused.clear();
            for number in &again {
                publish(pipe, *number, digits);
            }
            self.until(pipe, "answers", |seen, _| seen.accepted.len() + seen.refused.len() == answered + again.len());
        }
    }
}

fn publish(pipe: &Pipe, number: u64, digits: usize) {
    pipe.publish(number, "up", format!("{number:0>digits$}"), 2);
}

fn storage(homing: &Homing) -> String {
    homing.json(["status", "--json"])[0]["storage"].as_str().unwrap().to_owned()
}

fn arrived(broker: &Mosquitto, observer: &Observer, expected: &BTreeSet<u64>) {
    let collector = observer.collect();
    Publisher::end(broker.port(), "up", 2);
    let seen: Vec<u64> = collector.until_end(PATIENCE).into_iter().map(|(_, number)| number).collect();
    assert_eq!(seen.len(), expected.len(), "each once");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), *expected, "none lost");
}

/// The traffic itself fills the disk in both directions; that the app is done with messages makes the room.
#[test]
fn p10_two_megabytes_are_filled_by_traffic_and_nothing_is_lost() {
    let broker = Mosquitto::start_with(Inflight::Default, QUEUES);
    let observer = Observer::subscribe(broker.port(), "eye", "up");
    let disk = SmallDisk::mount(2);
    let homing = Homing::new(BINARY, &disk.store()).flag("--broker", broker.url());
    let mut pipe = homing.pipe(["down", "-q", "2"]);
    let mut seen = Seen { connected: 1, ..Seen::default() };
    pipe.subscribed("down", PATIENCE);

    let count = 4_000;
    let mut publisher = Publisher::start(broker.port(), "down", 2);
    let feeding = std::thread::spawn(move || {
        publisher.wide_numbers(0..count, DIGITS);
        publisher.finish();
    });
    // Nothing is done: the inbox takes the disk.
    let mut next = 0;
    seen.until(&mut pipe, "refusal", |seen, pipe| {
        if (seen.accepted.len() + seen.refused.len()) as u64 == next {
            for number in next..next + 20 {
                publish(pipe, number, DIGITS);
            }
            next += 20;
        }
        !seen.refused.is_empty()
    });
    assert!((seen.received.len() as u64) < count, "it all fits");
    assert!(seen.reason.contains("disk is full"), "{}", seen.reason);
    seen.until(&mut pipe, "end of what was accepted", |seen, _| {
        (seen.accepted.len() + seen.refused.len()) as u64 == next && seen.verdicts == seen.accepted.len()
    });
    // What has drained may have made some room meanwhile; the broker has more than enough for it.
    seen.until(&mut pipe, "full disk", |_, _| storage(&homing) == "full");
    let at_full = (seen.received.len(), seen.accepted.len());

    // From now on the app works: room comes by itself.
    let mut done = 0;
    seen.until(&mut pipe, "all messages", |seen, pipe| {
        if seen.last_seq > done {
            done = seen.last_seq;
            pipe.send(&json!({"op": "done", "seq": done}));
        }
        seen.received.len() as u64 == count
    });
    feeding.join().unwrap();
    seen.publish_refused(&mut pipe, DIGITS);
    seen.until(&mut pipe, "verdicts", |seen, _| seen.verdicts == seen.accepted.len());
    assert_eq!(seen.received, (0..count).collect::<Vec<_>>(), "in order, each once");
    assert_eq!(seen.accepted, (0..next).collect());
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success());
    events.into_iter().for_each(|event| seen.take(event));
    let metrics = homing.json(["status", "--json"])[0]["metrics"].clone();
    settings::say(&format!(
        "full at {at_full:?}; {} connects, {} commits failed",
        seen.connected, metrics["commit_failures"]
    ));
    assert_eq!(metrics["commit_failures"], 0);
    // mosquitto goes over our receive maximum now and then, and is told so once (ADR 9).
    assert!(seen.connected <= 2, "the link stayed");
    arrived(&broker, &observer, &seen.accepted);
}

/// Somebody else takes all of the disk, down to the last block; the driver is killed while it is full.
#[test]
fn p10_sixteen_megabytes_are_taken_by_others_and_nothing_is_lost() {
    let broker = Mosquitto::start_with(Inflight::Default, QUEUES);
    let observer = Observer::subscribe(broker.port(), "eye", "up");
    let disk = SmallDisk::mount(16);
    let homing = Homing::new(BINARY, &disk.store()).flag("--broker", broker.url());
    let mut pipe = homing.pipe(["down", "-q", "2"]);
    let mut seen = Seen::default();
    pipe.subscribed("down", PATIENCE);
    for number in 0..100 {
        publish(&pipe, number, DIGITS);
    }
    seen.until(&mut pipe, "verdicts", |seen, _| seen.verdicts == 100);
    let reserve = disk.0.path().join("phone.db-reserve");
    seen.until(&mut pipe, "reserve", |_, _| fs::metadata(&reserve).is_ok_and(|found| found.len() >= 1 << 20));

    let filler = disk.fill();
    let count = 2_000;
    let mut publisher = Publisher::start(broker.port(), "down", 2);
    let feeding = std::thread::spawn(move || {
        publisher.wide_numbers(0..count, DIGITS);
        publisher.finish();
    });
    for number in 100..200 {
        publish(&pipe, number, DIGITS);
    }
    seen.until(&mut pipe, "answers", |seen, _| seen.accepted.len() + seen.refused.len() == 200);
    assert!(!seen.refused.is_empty());
    seen.until(&mut pipe, "end of what was accepted", |seen, _| seen.verdicts == seen.accepted.len());
    assert!(!reserve.exists(), "freed for progress");
    assert_eq!(storage(&homing), "full");

    // What was acknowledged stands in the store, or this loses it.
    pipe.kill();
    while let Ok(event) = pipe.next(PATIENCE) {
        seen.take(event);
    }
    fs::remove_file(filler).unwrap();
    let mut pipe = homing.pipe(["down", "-q", "2"]);
    let before: Vec<u64> = std::mem::take(&mut seen.received);
    seen.until(&mut pipe, "all messages", |seen, _| seen.received.len() as u64 == count);
    feeding.join().unwrap();
    assert_eq!(seen.received, (0..count).collect::<Vec<_>>(), "in order, each once; {} before the kill", before.len());
    seen.publish_refused(&mut pipe, DIGITS);
    seen.until(&mut pipe, "verdicts", |seen, _| seen.verdicts == seen.accepted.len());
    assert_eq!(seen.accepted, (0..200).collect());
    pipe.close_stdin();
    let (_, status) = pipe.finish(PATIENCE);
    assert!(status.success());
    assert_eq!(storage(&homing), "ok");
    arrived(&broker, &observer, &seen.accepted);
}

fn log_bytes(store: &Path) -> u64 {
    let mut name = store.as_os_str().to_owned();
    name.push("-wal");
    fs::metadata(name).map_or(0, |found| found.len())
}

/// This process reads with another SQLite, and stops in the middle of a query.
#[test]
fn p7_a_reader_that_never_ends_bounds_the_log_and_is_named() {
    const WIDE: usize = 32 << 10;
    let broker = Mosquitto::start_with(Inflight::Default, QUEUES);
    let observer = Observer::subscribe(broker.port(), "eye", "up");
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("phone.db");
    let homing = Homing::new(BINARY, &store).flag("--broker", broker.url());
    let mut pipe = homing.pipe::<&str>([]);
    let mut seen = Seen::default();
    publish(&pipe, 0, WIDE);
    publish(&pipe, 1, WIDE);
    seen.until(&mut pipe, "verdicts", |seen, _| seen.verdicts == 2);

    let reader = rusqlite::Connection::open_with_flags(&store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut query = reader.prepare("SELECT name FROM sqlite_schema").unwrap();
    let mut rows = query.query([]).unwrap();
    rows.next().unwrap().unwrap();
    let (mut next, mut largest) = (2, 0);
    seen.until(&mut pipe, "refusal", |seen, pipe| {
        if (seen.accepted.len() + seen.refused.len()) as u64 == next {
            for number in next..next + 32 {
                publish(pipe, number, WIDE);
            }
            next += 32;
        }
        largest = largest.max(log_bytes(&store));
        !seen.refused.is_empty()
    });
    assert!(seen.reason.contains("reader holds the write-ahead log"), "{}", seen.reason);
    seen.until(&mut pipe, "end of what was accepted", |seen, _| {
        (seen.accepted.len() + seen.refused.len()) as u64 == next && seen.verdicts == seen.accepted.len()
    });
    assert_eq!(storage(&homing), "reader");
    largest = largest.max(log_bytes(&store));
    assert!((60 << 20..72 << 20).contains(&largest), "{largest} bytes of log");

    drop(rows);
    drop(query);
    drop(reader);
    seen.publish_refused(&mut pipe, WIDE);
    seen.until(&mut pipe, "verdicts", |seen, _| seen.verdicts == seen.accepted.len());
    seen.until(&mut pipe, "a short log", |_, _| log_bytes(&store) < 8 << 20);
    pipe.close_stdin();
    let (_, status) = pipe.finish(PATIENCE);
    assert!(status.success());
    assert_eq!(storage(&homing), "ok");
    arrived(&broker, &observer, &seen.accepted);
}
