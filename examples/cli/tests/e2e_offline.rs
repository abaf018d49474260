//! `last`, `history`, `gaps`, `export` and the inbox's policies against a real broker; readers beside a busy driver.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use homing::{HistoryQuery, Reader, TopicFilter};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::Publisher;
use homing_testkit::process::{Event, Homing};
use homing_testkit::{ports, settings};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
const PATIENCE: Duration = Duration::from_secs(90);

fn homing(store: &std::path::Path, broker: &str) -> Homing {
    Homing::new(BINARY, store).flag("--broker", broker)
}

fn text(homing: &Homing, line: &[&str]) -> String {
    let output = homing.run(line);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn key(values: &[Value], key: &str) -> Vec<Value> {
    values.iter().map(|value| value[key].clone()).collect()
}

#[test]
fn values_and_history_are_read_without_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("panel.db");
    {
        let broker = Mosquitto::start(Inflight::Default);
        let house = homing(&folder.path().join("house.db"), &broker.url());
        house.json(["pub", "home/door", "open", "-r", "--wait", "delivered", "--json"]);
        let panel = homing(&store, &format!("mqtt://user:sesame@{}", broker.address()));
        let first = panel.json(["sub", "home/#", "--count", "1", "--json"]);
        assert_eq!((&first[0]["payload"], &first[0]["retain"]), (&json!("open"), &json!(true)));
        for n in 1..=9 {
            house.json(["pub", "home/hall/temperature", &n.to_string(), "--wait", "delivered", "--json"]);
        }
        assert_eq!(panel.json(["sub", "home/#", "--count", "4", "--json"]).len(), 4);
        assert_eq!(panel.json(["sub", "home/#", "--count", "5", "--no-done", "--json"]).len(), 5);
    }
    let nowhere = homing(&store, &format!("mqtt://127.0.0.1:{}", ports::free()));
    let last = nowhere.json(["last", "--json"]);
    assert_eq!(key(&last, "topic"), ["home/door", "home/hall/temperature"]);
    assert_eq!(key(&last, "payload"), ["open", "9"]);
    assert!(last.iter().all(|value| value["age_ms"].as_u64().is_some_and(|age| age < 600_000)), "{last:?}");
    assert_eq!(key(&nowhere.json(["last", "home/+", "--json"]), "payload"), ["open"]);
    assert!(text(&nowhere, &["last", "home/door"]).starts_with("home/door open  ("));

    let history = |line: &[&str]| {
        let line = [&["history", "--json"], line].concat();
        key(&nowhere.json(line), "payload")
            .into_iter()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(history(&["home/hall/temperature"]), ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(history(&["home/#", "--limit", "2"]), ["8", "9"]);
    assert_eq!(history(&["home/#", "--since", "2h"]).len(), 10);
    assert_eq!(history(&["home/#", "--since", "1ms"]), [] as [String; 0]);
    assert_eq!(history(&["garden/#"]), [] as [String; 0]);

    let plot = text(&nowhere, &["history", "home/#", "--plot"]);
    assert!(plot.starts_with("home/hall/temperature: 9 numbers, 1 to 9"), "{plot}");
    assert!(plot.lines().count() > 10 && plot.contains("1 of 10 messages hold no number"), "{plot}");
    let none = nowhere.run(["history", "home/door", "--plot"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no payload of them is a number"));

    let lines = text(&nowhere, &["export", "--json"]);
    assert!(!lines.contains("sesame") && !lines.contains("mqtt://"), "no credentials, no broker");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds = |wanted: &str| lines.iter().filter(|line| line["kind"] == wanted).count();
    assert_eq!((kinds("history"), kinds("inbox"), kinds("last"), lines.len()), (5, 5, 2, 12));
    assert_eq!(nowhere.json(["gaps", "--json"]), [] as [Value; 0]);
}

#[test]
fn p7_a_full_inbox_drops_the_oldest_if_told_to_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(Inflight::Default);
    let phone = homing(&folder.path().join("phone.db"), &broker.url())
        .flag("--inbox-limit", "50,1GiB")
        .flag("--inbox-full", "drop-oldest");
    let mut pipe = phone.pipe(["n/#", "-q", "1"]);
    pipe.subscribed("n/#", PATIENCE);
    let mut publisher = Publisher::start(broker.address().port(), "n/x", 1);
    publisher.numbers(0..200);
    publisher.finish();
    let mut last = None;
    while last.as_deref() != Some("199") {
        match pipe.next(PATIENCE).unwrap() {
            Event::Message(message) => last = message.payload,
            Event::Error { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
    pipe.close_stdin();
    pipe.finish(PATIENCE);
    let payloads = key(&phone.json(["inbox", "--json"]), "payload");
    assert_eq!(payloads, (150..200).map(|n| json!(n.to_string())).collect::<Vec<_>>(), "the newest stay");
    let gaps = phone.json(["gaps", "--json"]);
    assert_eq!((&gaps[0]["why"], &gaps[0]["filters"]), (&json!("inbox_overflow"), &json!(["n/#"])));
    // Less than what is there: an error that explains, and nothing is changed.
    let lower = homing(&folder.path().join("phone.db"), &broker.url()).flag("--inbox-limit", "10,1GiB");
    let refused = lower.run(["sub", "n/#", "--idle-exit", "1s"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("less than the 50 messages"), "{refused:?}");
}

/// 50 times a second `last` and `history`, and readers that are stopped in whatever they do: nobody meets a lock, the log
/// stays bounded, and everything arrives.
#[test]
fn p7_readers_and_stopped_readers_beside_a_driver_that_receives() {
    let count = settings::number("HOMING_READ_COUNT", 100_000);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("phone.db");
    let broker = Mosquitto::start(Inflight::Default);
    let phone = homing(&store, &broker.url());
    let mut pipe = phone.pipe(["n/#", "-q", "1"]);
    pipe.subscribed("n/#", PATIENCE);
    let received = AtomicBool::new(false);
    let filter: TopicFilter = "n/#".parse().unwrap();
    let mut log_bytes = 0;
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let reader = Reader::open(&store).unwrap();
            let (mut reads, mut slowest) = (0_u64, Duration::ZERO);
            while !received.load(Ordering::Relaxed) {
                let start = Instant::now();
                let last = reader.last(Some(&filter), None, 500).unwrap();
                let page = reader.history(&HistoryQuery::new(filter.clone()).newest_first(), None, 100).unwrap();
                let ends = (last.values.first(), page.messages.first());
                if let (Some(last), Some(newest)) = ends {
                    assert!(last.message.at <= newest.at, "a later read sees no less");
                }
                (reads, slowest) = (reads + 1, slowest.max(start.elapsed()));
                std::thread::sleep(Duration::from_millis(20).saturating_sub(start.elapsed()));
            }
            (reads, slowest)
        });
        let mut publisher = Publisher::start(broker.address().port(), "n/x", 1);
        publisher.numbers(0..count);
        let mut stopped = Vec::new();
        let mut dice = settings::dice("p7_readers_and_stopped_readers");
        let (mut seen, mut commands) = (0, 0);
        while seen < count {
            match pipe.next(PATIENCE).unwrap() {
                Event::Message(message) => {
                    assert_eq!(message.payload.as_deref(), Some(&*seen.to_string()), "in order, none missing");
                    seen += 1;
                }
                Event::Error { message, .. } => panic!("{message}"),
                _ => {}
            }
            // Readers as processes, stopped wherever they are.
            if commands < 6 && seen >= commands * count / 8 {
                commands += 1;
                let child = std::process::Command::new(BINARY)
                    .args(["history", "#", "--json", "--store"])
                    .arg(&store)
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::sleep(Duration::from_micros(dice.u64(3_000..60_000)));
                let pid = rustix::process::Pid::from_child(&child);
                rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
                stopped.push(child);
            }
            if seen.is_multiple_of(1_000) {
                let log = folder.path().join("phone.db-wal");
                log_bytes = log_bytes.max(std::fs::metadata(log).map_or(0, |found| found.len()));
            }
        }
        publisher.finish();
        received.store(true, Ordering::Relaxed);
        let (reads, slowest) = reading.join().unwrap();
        for mut child in stopped {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        pipe.close_stdin();
        let (_, status) = pipe.finish(PATIENCE);
        assert!(status.success());
        assert_eq!(pipe.errors(), "", "neither warnings of locks nor of the store");
        let metrics = phone.json(["status", "--json"])[0]["metrics"].clone();
        settings::say(&format!(
            "{count} received beside {reads} reads (slowest {slowest:?}); log {log_bytes} bytes at most; \
             slowest turn {} us; {} commits, {} failed",
            metrics["slowest_turn_us"], metrics["commits"], metrics["commit_failures"]
        ));
        assert_eq!(metrics["commit_failures"], 0);
    });
    assert!(log_bytes < 80 << 20, "{log_bytes} bytes of log");
}
