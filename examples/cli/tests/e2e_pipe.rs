//! `pipe` against a real broker, and without one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::ports;
use homing_testkit::process::{Event, Homing, Pipe};
use homing_testkit::script_broker::ScriptBroker;
use rustix::process::Signal;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
/// Far above what is normal: it only bounds a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn homing(store: &Path, broker: &str) -> Homing {
    Homing::new(BINARY, store).flag("--broker", broker)
}

fn error(pipe: &mut Pipe) -> (Option<String>, String) {
    pipe.until(PATIENCE, "error", |event| match event {
        Event::Error { r#ref, code, .. } => Some((r#ref.clone(), code.clone())),
        _ => None,
    })
}

#[test]
fn accepted_lines_come_in_order_and_every_message_has_one_verdict_after_them() {
    let broker = Mosquitto::start(Inflight::Max(1000));
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &broker.url());
    let mut pipe = homing.pipe(["--exit-when-drained"]);
    for qos in [0, 1, 2] {
        pipe.publish_numbers("a", 0..2000, qos);
        // A bad one among them costs its neighbours nothing.
        pipe.publish(format!("bad{qos}"), "a/#", "x", 1);
    }
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "{status}");
    let mut ids = Vec::new();
    let mut references = Vec::new();
    let mut verdicts = BTreeSet::new();
    let mut errors = Vec::new();
    for event in events {
        match event {
            Event::Accepted { r#ref, id } => {
                ids.push(id);
                references.push(r#ref.unwrap());
            }
            Event::Verdict { id, outcome, .. } => {
                assert!(ids.contains(&id), "verdict of {id} before it was accepted");
                assert!(verdicts.insert(id), "two verdicts of {id}");
                assert_eq!(outcome, if id <= 2000 { "sent" } else { "delivered" });
            }
            Event::Error { r#ref, code, .. } => errors.push((r#ref.unwrap(), code)),
            _ => {}
        }
    }
    assert_eq!(ids, (1..=6000).collect::<Vec<_>>());
    let numbers: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    assert_eq!(references, [numbers.clone(), numbers.clone(), numbers].concat());
    assert_eq!(verdicts.len(), 6000);
    let bad = |qos| (format!("bad{qos}"), "topic_invalid".to_owned());
    assert_eq!(errors, [bad(0), bad(1), bad(2)]);
}

#[test]
fn without_a_broker_all_is_accepted_and_the_end_of_stdin_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let nowhere = homing(&store, &format!("mqtt://127.0.0.1:{}", ports::free()));
    let mut pipe = nowhere.pipe::<&str>([]);
    pipe.publish_numbers("a", 0..20_000, 1);
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "{status}");
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Accepted { .. })).count(), 20_000);
    assert_eq!(nowhere.json(["status", "--json"])[0]["outbox"]["waiting"], 20_000);

    // The next run tells the verdicts that fall in it, of the earlier run's messages too.
    let broker = Mosquitto::start(Inflight::Max(1000));
    let mut pipe = homing(&store, &broker.url()).pipe(["--exit-when-drained"]);
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "{status}");
    let verdicts =
        events.iter().filter(|event| matches!(event, Event::Verdict { outcome, .. } if outcome == "delivered"));
    assert_eq!(verdicts.count(), 20_000);
    assert_eq!(nowhere.json(["status", "--json"])[0]["outbox"], json!({"waiting": 0, "in_flight": 0, "bytes": 0}));
}

#[test]
fn bad_lines_are_errors_with_their_reference_and_nothing_ends() {
    let folder = tempfile::tempdir().unwrap();
    let homing = Homing::new(BINARY, &folder.path().join("s.db"));
    let mut pipe = homing.pipe::<&str>([]);
    let code = |code: &str| (None, code.to_owned());
    let with = |reference: &str, code: &str| (Some(reference.to_owned()), code.to_owned());
    pipe.raw("junk\n\n".to_owned());
    assert_eq!(error(&mut pipe), code("bad_json"));
    pipe.send(&json!({"op": "publish", "ref": "r", "topic": "a", "colour": "red"}));
    assert_eq!(error(&mut pipe), with("r", "unknown_key"));
    pipe.send(&json!({"op": "cancel", "ref": "c", "id": 7}));
    assert_eq!(error(&mut pipe), with("c", "not_waiting"));
    pipe.publish("q", "a", "x", 3);
    assert_eq!(error(&mut pipe), with("q", "qos_invalid"));
    pipe.publish("large", "a", "x".repeat((16 << 20) + 1), 1);
    assert_eq!(error(&mut pipe), with("large", "payload_too_large"));
    pipe.send(&json!({"op": "done", "ref": "d", "seq": 1}));
    assert_eq!(error(&mut pipe), with("d", "position_invalid"));
    pipe.send(&json!({"op": "done", "ref": "d", "seq": -1}));
    assert_eq!(error(&mut pipe), with("d", "position_invalid"));
    pipe.send(&json!({"op": "publish", "ref": "t", "topic": "a", "ttl": "0s"}));
    assert_eq!(error(&mut pipe), with("t", "ttl_invalid"));
    pipe.raw(format!("{{\"op\":\"publish\",\"topic\":\"{}\"}}\n", "x".repeat(64 << 20)));
    assert_eq!(error(&mut pipe), code("line_too_long"));
    pipe.publish("good", "a", "x", 1);
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success());
    assert!(events.iter().any(|event| matches!(event, Event::Accepted { id: 1, .. })), "{events:?}");
}

#[test]
fn messages_come_until_they_are_done_and_once_a_run() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &broker.url());
    let received = |pipe: &mut Pipe| {
        pipe.until(PATIENCE, "message", |event| match event {
            Event::Message(message) => Some((message.seq, message.payload.clone().unwrap())),
            _ => None,
        })
    };
    let mut pipe = homing.pipe(["a/#", "-q", "2"]);
    assert_eq!(pipe.subscribed("a/#", PATIENCE), 2);
    pipe.publish_numbers("a/b", 1..=3, 2);
    let all: Vec<_> = (0..3).map(|_| received(&mut pipe)).collect();
    assert_eq!(all.iter().map(|(_, payload)| payload.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    pipe.send(&json!({"op": "done", "seq": all[0].0}));
    pipe.close_stdin();
    let (events, _) = pipe.finish(PATIENCE);
    assert!(!events.iter().any(|event| matches!(event, Event::Message(_))), "printed twice in a run");

    let mut pipe = homing.pipe(["--auto-done"]);
    let again: Vec<_> = (0..2).map(|_| received(&mut pipe)).collect();
    assert_eq!(again, all[1..]);
    pipe.close_stdin();
    assert!(pipe.finish(PATIENCE).1.success());
    let status = &homing.json(["status", "--json"])[0];
    assert_eq!(status["consumers"][0]["cursor"], all[2].0);
    assert_eq!(status["consumers"][0]["behind"], 0);
}

#[test]
fn subscribe_widens_what_a_named_consumer_sees() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &broker.url());
    let mut pipe = homing.pipe(["a/#", "--consumer", "c"]);
    pipe.subscribed("a/#", PATIENCE);
    pipe.send(&json!({"op": "subscribe", "filter": "b/#", "qos": 2}));
    assert_eq!(pipe.subscribed("b/#", PATIENCE), 2);
    pipe.publish("", "b/x", "1", 1);
    let topic = pipe.until(PATIENCE, "message", |event| match event {
        Event::Message(message) => Some(message.topic.clone()),
        _ => None,
    });
    assert_eq!(topic, "b/x");
    pipe.send(&json!({"op": "unsubscribe", "filter": "b/#"}));
    pipe.until(PATIENCE, "unsubscribed", |event| {
        matches!(event, Event::Unsubscribed { filter } if filter == "b/#").then_some(())
    });
}

#[test]
fn disconnect_connect_flush_and_status() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &broker.url());
    let mut pipe = homing.pipe::<&str>([]);
    assert!(!pipe.connected(PATIENCE));
    pipe.send(&json!({"op": "disconnect"}));
    pipe.until(PATIENCE, "disconnected", |event| {
        matches!(event, Event::Connection { state, .. } if state == "disconnected").then_some(())
    });
    pipe.publish("", "a", "1", 1);
    pipe.send(&json!({"op": "flush", "deadline": "100ms"}));
    let flushed = |pipe: &mut Pipe| {
        pipe.until(PATIENCE, "flushed", |event| match event {
            Event::Flushed { drained } => Some(*drained),
            _ => None,
        })
    };
    assert!(!flushed(&mut pipe));
    pipe.send(&json!({"op": "status"}));
    let status = pipe.until(PATIENCE, "status", |event| match event {
        Event::Status(status) => Some(status.clone()),
        _ => None,
    });
    assert_eq!(status["connection"], "disconnected");
    assert_eq!(status["outbox"]["waiting"], 1);
    assert_eq!(status["metrics"]["published"], 1);
    // Counts are exact beside a running pipe, and a second driver is kept out.
    let beside = &homing.json(["status", "--json"])[0];
    assert_eq!((&beside["outbox"]["waiting"], &beside["connection"]), (&json!(1), &json!("disconnected")));
    let second = homing.run(["pub", "a", "2"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("StoreInUse"));
    pipe.send(&json!({"op": "connect"}));
    assert!(pipe.connected(PATIENCE), "the session was kept");
    pipe.send(&json!({"op": "flush", "deadline": "60s"}));
    let mut delivered = false;
    let drained = pipe.until(PATIENCE, "flushed", |event| match event {
        Event::Verdict { id: 1, .. } => {
            delivered = true;
            None
        }
        Event::Flushed { drained } => Some(*drained),
        _ => None,
    });
    assert!(drained && delivered, "a verdict is told before the flush that waited for it");
}

#[test]
fn signals_end_it_in_order_and_keep_the_session() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &broker.url());
    let mut known = false;
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 143)] {
        let mut pipe = homing.pipe(["a/#"]);
        assert_eq!(pipe.connected(PATIENCE), known);
        known = true;
        pipe.signal(signal);
        let (_, status) = pipe.finish(PATIENCE);
        assert_eq!(status.code(), Some(code), "{signal:?}");
    }
    assert_eq!(homing.json(["status", "--json"])[0]["connection"], "not_driven");
}

#[test]
fn a_take_over_lasts_until_connect() {
    let broker = ScriptBroker::listen();
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = homing(&folder.path().join("s.db"), &broker.url()).pipe::<&str>([]);
    let mut peer = broker.greet(false);
    pipe.connected(PATIENCE);
    peer.raw(&[0xe0, 0x01, 0x8e]);
    let reason = pipe.until(PATIENCE, "disconnected", |event| match event {
        Event::Connection { state, reason, .. } if state == "disconnected" => reason.clone(),
        _ => None,
    });
    assert_eq!(reason, "0x8e session taken over");
    pipe.send(&json!({"op": "connect"}));
    let _peer = broker.greet(true);
    assert!(pipe.connected(PATIENCE));
}

#[test]
fn refused_credentials_are_a_long_wait_with_the_reason() {
    let broker = Mosquitto::start_with(Inflight::Default, "allow_anonymous false\npassword_file /dev/null\n");
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = homing(&folder.path().join("s.db"), &broker.url()).pipe::<&str>([]);
    let (retry, reason) = pipe.until(PATIENCE, "waiting", |event| match event {
        Event::Connection { state, retry_in_ms, reason, .. } if state == "waiting" => {
            Some((retry_in_ms.unwrap(), reason.clone().unwrap()))
        }
        _ => None,
    });
    assert!(retry >= 60_000, "{retry}");
    assert!(reason.starts_with("0x8"), "{reason}");
}
