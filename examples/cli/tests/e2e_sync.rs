//! `homing sync` against a real broker: a bounded catch-up, and what a kill in the middle of it costs (nothing).
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::ports;
use homing_testkit::process::Homing;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");

fn homing(store: &Path, broker: &str) -> Homing {
    Homing::new(BINARY, store).flag("--broker", broker)
}

fn queue(homing: &Homing, topic: &str, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (1..=count).map(|n| format!("{n}\n")).collect();
    let file = folder.path().join("lines");
    std::fs::write(&file, lines).unwrap();
    let output = homing.run_with(["pub", topic, "-q", "2", "--stdin-lines", "--wait", "accepted"], &file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_sends_what_was_queued_receives_what_was_kept_and_goes() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let phone = homing(&folder.path().join("phone.db"), &broker.url());
    let house = homing(&folder.path().join("house.db"), &broker.url());
    assert_eq!(phone.json(["sub", "home/#", "-q", "2", "--idle-exit", "1s", "--json"]), [] as [Value; 0]);
    assert_eq!(house.json(["sub", "phone/#", "-q", "2", "--idle-exit", "1s", "--json"]), [] as [Value; 0]);
    queue(&phone, "phone/said", 30);
    queue(&house, "home/said", 100);
    let sync = ["sync", "--deadline", "20s", "--json"];
    assert_eq!(house.json(sync), [json!({"sent": 100, "received": 0, "waiting": 0, "drained": true})]);
    assert_eq!(phone.json(sync), [json!({"sent": 30, "received": 100, "waiting": 0, "drained": true})]);
    assert_eq!(house.json(sync), [json!({"sent": 0, "received": 30, "waiting": 0, "drained": true})]);
    let status = &phone.json(["status", "--json"])[0];
    assert_eq!((&status["inbox"]["messages"], &status["connection"]), (&json!(100), &json!("not_driven")));
    assert_eq!(status["subscriptions"][0]["granted"], 2, "wishes are kept");
}

#[test]
fn an_inbox_that_is_full_is_not_drained() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let phone = homing(&folder.path().join("phone.db"), &broker.url()).flag("--inbox-limit", "10,1MiB");
    let house = homing(&folder.path().join("house.db"), &broker.url());
    phone.json(["sub", "home/#", "-q", "1", "--idle-exit", "1s", "--json"]);
    queue(&house, "home/said", 15);
    house.json(["sync", "--json"]);
    assert_eq!(
        phone.json(["sync", "--deadline", "4s", "--json"]),
        [json!({"sent": 0, "received": 10, "waiting": 0, "drained": false})]
    );
}

#[test]
fn without_a_broker_it_ends_in_time_prints_its_line_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = homing(&folder.path().join("s.db"), &format!("mqtt://127.0.0.1:{}", ports::free()));
    queue(&nowhere, "a", 2);
    let begun = Instant::now();
    let output = nowhere.run(["sync", "--deadline", "2s", "--json"]);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line, json!({"sent": 0, "received": 0, "waiting": 2, "drained": false}));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not reached"));
    for wrong in ["0s", "-1s", "soon"] {
        assert_eq!(nowhere.run(["sync", "--deadline", wrong]).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn p1_p3_p4_a_kill_at_any_moment_of_it_loses_and_doubles_nothing() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("phone.db");
    let phone = homing(&store, &broker.url());
    let house = homing(&folder.path().join("house.db"), &broker.url());
    phone.json(["sub", "home/#", "-q", "2", "--idle-exit", "1s", "--json"]);
    house.json(["sub", "phone/#", "-q", "2", "--idle-exit", "1s", "--json"]);
    queue(&phone, "phone/said", 300);
    queue(&house, "home/said", 300);
    house.json(["sync", "--json"]);
    // Later and later, so that every stage is met: opening, connecting, sending, receiving, waiting for silence, leaving.
    for ms in (2..60).step_by(4) {
        let mut child = Command::new(BINARY)
            .args(["sync", "--json", "--broker", &broker.url(), "--store"])
            .arg(&store)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = &phone.json(["sync", "--json"])[0];
    assert_eq!((&last["waiting"], &last["drained"]), (&json!(0), &json!(true)));
    house.json(["sync", "--json"]);
    let numbers = |homing: &Homing| -> Vec<u64> {
        let inbox = homing.json(["inbox", "--json"]);
        inbox.iter().map(|line| line["payload"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(numbers(&phone), (1..=300).collect::<Vec<_>>());
    assert_eq!(numbers(&house), (1..=300).collect::<Vec<_>>());
}
