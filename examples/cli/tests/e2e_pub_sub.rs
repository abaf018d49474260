//! `pub`, `sub` and the reading commands against a real broker.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::ports;
use homing_testkit::process::Homing;
use homing_testkit::script_broker::ScriptBroker;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");

fn homing(store: &Path, broker: &str) -> Homing {
    Homing::new(BINARY, store).flag("--broker", broker)
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_message_is_published_received_and_marked_done() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let phone = homing(&folder.path().join("phone.db"), &broker.url());
    let house = homing(&folder.path().join("house.db"), &broker.url());
    // Makes the session; nothing has been sent yet.
    assert_eq!(phone.json(["sub", "home/#", "-q", "2", "--idle-exit", "1s", "--json"]), [] as [Value; 0]);
    assert_eq!(
        house.json(["pub", "home/light", "on", "-q", "2", "--wait", "delivered", "--json"]),
        [json!({"id": 1}), json!({"id": 1, "outcome": "delivered"})]
    );
    house.json(["pub", "home/door", "open", "--wait", "delivered", "--json"]);
    assert_eq!(house.json(["verdict", "2", "--json"]), [json!({"id": 2, "outcome": "delivered"})]);
    ended(&house.run(["verdict", "3"]), 1);

    let first = phone.json(["sub", "home/#", "-q", "2", "--count", "1", "--json"]);
    assert_eq!(first.len(), 1);
    let keys = ["seq", "topic", "payload", "payload_base64", "qos", "retain", "dup", "received_at"];
    let object = first[0].as_object().unwrap();
    assert_eq!(object.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), keys.into());
    assert_eq!((&object["topic"], &object["payload"], &object["qos"]), (&json!("home/light"), &json!("on"), &json!(2)));
    // The second one was not printed, so it was not done with; without done it comes again.
    for _ in 0..2 {
        let left = phone.json(["sub", "home/#", "-q", "2", "--count", "1", "--no-done", "--json"]);
        assert_eq!(left[0]["payload"], "open");
    }
    assert_eq!(phone.json(["inbox", "--json"]).len(), 2);
    let status = &phone.json(["status", "--json"])[0];
    assert_eq!(status["connection"], "not_driven");
    assert_eq!(status["consumers"], json!([{"name": "default", "filter": "#", "cursor": 1, "behind": 1}]));
    assert_eq!(status["subscriptions"], json!([{"filter": "home/#", "qos": 2, "granted": 2}]));
    assert_eq!(status["inbox"]["messages"], 2);
}

#[test]
fn a_named_consumer_of_a_new_store_stands_alone_and_sees_its_topics() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let phone = homing(&folder.path().join("phone.db"), &broker.url());
    let sub = ["sub", "a/#", "--consumer", "chart", "--idle-exit", "1s", "--json"];
    phone.json(sub);
    let status = &phone.json(["status", "--json"])[0];
    assert_eq!(status["consumers"], json!([{"name": "chart", "filter": "a/#", "cursor": 0, "behind": 0}]));
}

#[test]
fn without_a_broker_the_row_waits_and_the_next_run_sends_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("made/on/the/way/s.db");
    let nowhere = homing(&store, &format!("mqtt://127.0.0.1:{}", ports::free()));
    assert_eq!(nowhere.json(["pub", "a", "1", "--wait", "accepted", "--json"]), [json!({"id": 1})]);
    ended(&nowhere.run(["pub", "a", "2"]), 0);
    assert_eq!(nowhere.json(["verdict", "2", "--json"]), [json!({"id": 2, "outcome": "waiting"})]);
    let waiting = nowhere.json(["outbox", "--json"]);
    let expected = |id| json!({"id": id, "state": "waiting", "topic": "a", "bytes": 1, "qos": 1, "retain": false});
    assert_eq!(waiting, [expected(1), expected(2)]);

    let broker = Mosquitto::start(Inflight::Default);
    let there = homing(&store, &broker.url());
    ended(&there.run(["pub", "a", "3", "--wait", "delivered"]), 0);
    for id in ["1", "2", "3"] {
        assert_eq!(there.json(["verdict", id, "--json"])[0]["outcome"], "delivered");
    }
    // The store knows the broker now.
    let bare = Homing::new(BINARY, &store);
    assert_eq!(bare.json(["pub", "a", "4", "--wait", "delivered", "--json"])[1]["outcome"], "delivered");
}

#[test]
fn many_lines_are_many_messages_in_order() {
    let broker = Mosquitto::start(Inflight::Max(1000));
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let lines: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    let mut child = Command::new(BINARY)
        .args(["pub", "a", "--stdin-lines", "--wait", "delivered", "--json", "--broker", &broker.url(), "--store"])
        .arg(&store)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, lines.as_bytes()).unwrap());
    let lines: Vec<Value> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    let (verdicts, accepted): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(|line| line.get("outcome").is_some());
    assert_eq!(
        accepted.iter().map(|line| line["id"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=5000).collect::<Vec<_>>()
    );
    assert_eq!(verdicts.len(), 5000);
    assert!(verdicts.iter().all(|line| line["outcome"] == "delivered"));
}

#[test]
fn refused_credentials_end_the_wait_and_no_secret_is_kept_or_said() {
    let broker = Mosquitto::start_with(Inflight::Default, "allow_anonymous false\npassword_file /dev/null\n");
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let url = format!("mqtt://someone:sesame@127.0.0.1:{}", broker.port());
    let output =
        Homing::new(BINARY, &store).flag("--broker", &url).run(["-vv", "pub", "a", "x", "--wait", "delivered"]);
    let said = ended(&output, 1);
    assert!(said.contains("refused"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
    assert_eq!(homing(&store, &url).json(["outbox", "--json"]).len(), 1);
    assert!(!String::from_utf8_lossy(&homing(&store, &url).run(["status", "--json"]).stdout).contains("someone"));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"sesame"));
    }
}

#[test]
fn a_take_over_ends_sub_and_the_wait_of_pub() {
    for command in [&["sub", "x"][..], &["pub", "a", "x", "--wait", "delivered"]] {
        let broker = ScriptBroker::listen();
        let folder = tempfile::tempdir().unwrap();
        let homing = homing(&folder.path().join("s.db"), &broker.url());
        let running = std::thread::spawn(move || homing.run(command));
        let mut peer = broker.greet(false);
        peer.packet();
        peer.raw(&[0xe0, 0x01, 0x8e]);
        let said = ended(&running.join().unwrap(), 1);
        assert!(said.contains("taken the session over"), "{said}");
    }
}

/// A `sub` that has printed a message, so that it is connected for certain.
fn sub(store: &Path, broker: &str) -> Child {
    let mut child = Command::new(BINARY)
        .args(["sub", "ready", "--broker", broker, "--store"])
        .arg(store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let helper = store.with_extension("helper.db");
    homing(&helper, broker).run(["pub", "ready", "now", "-r", "--wait", "delivered"]);
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready now\n");
    child
}

#[test]
fn a_reader_that_goes_away_ends_sub_in_order() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let mut child = sub(&store, &broker.url());
    drop(child.stdout.take());
    let helper = homing(&folder.path().join("h.db"), &broker.url());
    ended(&helper.run(["pub", "ready", "again", "--wait", "delivered"]), 0);
    let output = child.wait_with_output().unwrap();
    ended(&output, 0);
    // What could not be written is not done.
    let status = &homing(&store, &broker.url()).json(["status", "--json"])[0];
    assert_eq!((&status["consumers"][0]["cursor"], &status["consumers"][0]["behind"]), (&json!(1), &json!(1)));
}

#[test]
fn a_store_belongs_to_one_client_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let first = Homing::new(BINARY, &store).flag("--client-id", "one");
    ended(&first.run(["pub", "a", "x", "--wait", "accepted"]), 0);
    let other = Homing::new(BINARY, &store).flag("--client-id", "two");
    let said = ended(&other.run(["pub", "a", "x", "--wait", "accepted"]), 1);
    assert!(said.contains("ClientIdMismatch"), "{said}");
    assert_eq!(first.json(["outbox", "--json"]).len(), 1);
}

#[test]
fn a_store_that_is_not_there_is_an_error_and_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    for command in ["status", "outbox", "inbox"] {
        ended(&Homing::new(BINARY, &store).run([command]), 1);
    }
    assert!(!store.exists());
}
