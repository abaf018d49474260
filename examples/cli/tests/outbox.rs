//! The outbox as a product: cancel, supersede, parking, the urgent lane, a message that closes every link.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use homing::wire::packet::Packet;
use homing::{BrokerUrl, Event as Told, Fate, Lane, Options, Publish, QoS, Subscription, TopicName, Version};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::ports;
use homing_testkit::process::{Event, Homing};
use homing_testkit::script_broker::{NoPacket, PATIENCE, ScriptBroker, puback};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_homing");

fn homing(store: &Path, broker: &str) -> Homing {
    Homing::new(BINARY, store).flag("--broker", broker)
}

/// Nobody listens there.
fn nowhere() -> String {
    format!("mqtt://127.0.0.1:{}", ports::free())
}

#[track_caller]
fn failed(output: &Output, with: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(with) && !said.contains("panicked") && output.stdout.is_empty(), "{said}");
}

#[test]
fn outbox_cancel_takes_back_what_waits_and_its_verdict_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let homing = homing(&store, &nowhere());
    failed(&homing.run(["outbox", "cancel", "1"]), "");
    assert!(!store.exists(), "nothing is made for a question");
    for payload in ["a", "b", "c"] {
        homing.json(["pub", "t", payload, "--wait", "accepted", "--json"]);
    }
    assert_eq!(homing.json(["outbox", "cancel", "2", "--json"]), [json!({"id": 2, "outcome": "cancelled"})]);
    assert_eq!(homing.json(["verdict", "2", "--json"]), [json!({"id": 2, "outcome": "cancelled"})]);
    let left: Vec<_> = homing.json(["outbox", "--json"]).iter().map(|row| row["id"].clone()).collect();
    assert_eq!(left, [1, 3]);
    assert_eq!(homing.json(["status", "--json"])[0]["outbox"]["waiting"], 2);
    failed(&homing.run(["outbox", "cancel", "2"]), "already: cancelled");
    failed(&homing.run(["outbox", "cancel", "4"]), "never given");
    let pipe = homing.pipe([""; 0]);
    pipe.send(&json!({"op": "status"}));
    let mut pipe = pipe;
    pipe.until(PATIENCE, "status", |event| matches!(event, Event::Status(..)).then_some(()));
    failed(&homing.run(["outbox", "cancel", "1"]), "StoreInUse");
    pipe.close_stdin();
    pipe.finish(PATIENCE);
    assert_eq!(homing.json(["outbox", "--json"]).len(), 2);
}

#[test]
fn outbox_cancel_is_too_late_for_what_was_sent() {
    let broker = ScriptBroker::listen();
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &broker.url());
    let mut pipe = homing.pipe([""; 0]);
    let mut peer = broker.greet(false);
    pipe.publish(1, "t", "x", 1);
    let pid = peer.publish().pid;
    pipe.send(&json!({"op": "cancel", "id": 1, "ref": "c"}));
    let code = pipe.until(PATIENCE, "error", |event| match event {
        Event::Error { code, r#ref, .. } => Some((code.clone(), r#ref.clone())),
        _ => None,
    });
    assert_eq!(code, ("not_waiting".to_owned(), Some("c".to_owned())));
    pipe.kill();
    failed(&homing.run(["outbox", "cancel", "1"]), "too late");
    let mut pipe = homing.pipe([""; 0]);
    let mut peer = broker.greet(true);
    let again = peer.publish();
    assert!(again.dup && again.pid == pid);
    peer.send(&puback(pid));
    pipe.until(PATIENCE, "verdict", |event| matches!(event, Event::Verdict { id: 1, .. }).then_some(()));
    pipe.send(&json!({"op": "cancel", "id": 1}));
    pipe.until(PATIENCE, "error", |event| {
        matches!(event, Event::Error { code, .. } if code == "not_waiting").then_some(())
    });
}

#[test]
fn pipe_cancels_and_supersedes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(&folder.path().join("s.db"), &nowhere());
    let mut pipe = homing.pipe([""; 0]);
    for payload in ["on", "off"] {
        pipe.send(&json!({"op": "publish", "topic": "light", "payload": payload, "supersede": "light"}));
    }
    pipe.send(&json!({"op": "publish", "topic": "door", "payload": "x"}));
    pipe.send(&json!({"op": "cancel", "id": 3}));
    let mut verdicts = Vec::new();
    while verdicts.len() < 2 {
        verdicts.push(pipe.until(PATIENCE, "verdict", |event| match event {
            Event::Verdict { id, outcome, .. } => Some((*id, outcome.clone())),
            _ => None,
        }));
    }
    assert_eq!(verdicts, [(1, "superseded".to_owned()), (3, "cancelled".to_owned())]);
    pipe.close_stdin();
    pipe.finish(PATIENCE);
    assert_eq!(homing.json(["verdict", "1", "--json"]), [json!({"id": 1, "outcome": "superseded", "by": 2})]);
    homing.json(["pub", "light", "dim", "--supersede", "light", "--wait", "accepted", "--json"]);
    assert_eq!(homing.json(["verdict", "2", "--json"]), [json!({"id": 2, "outcome": "superseded", "by": 4})]);
    let long = "k".repeat(256);
    failed(&homing.run(["pub", "light", "x", "--supersede", &long, "--wait", "accepted"]), "1 to 255 bytes");
    assert_eq!(homing.json(["outbox", "--json"]).len(), 1);
}

#[test]
fn parked_is_a_verdict_that_a_more_capable_broker_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db");
    let poor = Mosquitto::start_with(Inflight::Default, "retain_available false");
    let homing_poor = homing(&store, &poor.url());
    let output = homing_poor.run(["pub", "t", "x", "-r", "--if-unsupported", "park", "--wait", "delivered", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains(r#""outcome":"parked","reason":"0x9a"#),
        "{said} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = homing_poor.json(["outbox", "--json"]);
    assert_eq!((rows.len(), &rows[0]["state"]), (1, &json!("parked")));
    let status = &homing_poor.json(["status", "--json"])[0]["outbox"];
    assert_eq!((&status["waiting"], &status["in_flight"], &status["parked"]), (&json!(0), &json!(0), &json!(1)));
    // Another broker, which can: the message goes out under a new id.
    let rich = Mosquitto::start(Inflight::Default);
    let homing = homing(&store, &rich.url());
    let mut pipe = homing.pipe(["--exit-when-drained"]);
    let (id, outcome) = pipe.until(PATIENCE, "verdict", |event| match event {
        Event::Verdict { id, outcome, .. } => Some((*id, outcome.clone())),
        _ => None,
    });
    assert_eq!((id, outcome.as_str()), (1, "superseded"));
    pipe.close_stdin();
    pipe.finish(PATIENCE);
    assert_eq!(homing.json(["verdict", "2", "--json"]), [json!({"id": 2, "outcome": "delivered"})]);
}

fn options(store: &Path, broker: &str) -> Options {
    let mut options = Options::new(store);
    options.broker = Some(BrokerUrl::parse(broker).unwrap());
    options.retry = (Duration::from_millis(10), Duration::from_millis(40));
    options.connect = false;
    options
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await.unwrap() })
}

#[test]
fn p5_urgent_overtakes_and_cancelled_ones_never_arrive_at_a_real_broker() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let phone = homing::Homing::open(options(&folder.path().join("phone.db"), &broker.url())).await.unwrap();
        let mut events = phone.events();
        phone.subscribe(Subscription::new("up".parse().unwrap(), QoS::AtLeastOnce)).await.unwrap();
        phone.connect().await.unwrap();
        while !matches!(events.next().await.unwrap(), Told::Subscribed { .. }) {}
        let client = homing::Homing::open(options(&folder.path().join("s.db"), &broker.url())).await.unwrap();
        let message = |text: String| Publish::new(TopicName::new("up").unwrap(), text);
        let normal: Vec<Publish> = (0..290).map(|number| message(format!("n{number:03}"))).collect();
        let normal = client.publish_all(normal).await.unwrap();
        let urgent: Vec<Publish> = (0..10).map(|number| message(format!("u{number:03}")).lane(Lane::Urgent)).collect();
        client.publish_all(urgent).await.unwrap();
        assert_eq!(client.cancel(normal[100]).await.unwrap(), homing::Cancel::Cancelled);
        client.connect().await.unwrap();
        assert!(client.flush(Duration::from_secs(30)).await.unwrap());
        assert_eq!(client.fate(normal[100]).await.unwrap(), Fate::Cancelled);
        client.close(Duration::from_secs(5)).await.unwrap();
        let mut expected: Vec<String> = (0..10).map(|number| format!("u{number:03}")).collect();
        expected.extend((0..290).filter(|number| *number != 100).map(|number| format!("n{number:03}")));
        let mut consumer = phone.consumer(homing::ConsumerSpec::new("default")).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let page = consumer.next(std::num::NonZeroUsize::new(500).unwrap()).await.unwrap();
            seen.extend(page.iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()));
        }
        assert_eq!(seen, expected);
    });
}

/// A 3.1.1 broker that ends the link at one given PUBLISH, as often as it comes, and takes all others. How many links it
/// took until the others arrived, or `most`.
fn hostile(broker: &ScriptBroker, reset: bool, most: usize) -> (usize, Vec<Vec<u8>>) {
    let mut taken = Vec::new();
    for link in 0..most {
        let mut peer = broker.greet(link > 0);
        loop {
            match peer.try_packet(PATIENCE) {
                Ok(Packet::PingReq) => peer.send(&Packet::PingResp),
                Ok(Packet::Publish(publish)) if &publish.payload[..] == b"poison" => {
                    // What was pipelined behind it is read first, or the system would make a reset of the close.
                    while peer.try_packet(Duration::from_millis(50)).is_ok() {}
                    if reset {
                        peer.reset()
                    } else {
                        peer.close()
                    }
                    break;
                }
                Ok(Packet::Publish(publish)) => {
                    peer.send(&puback(publish.pid));
                    taken.push(publish.payload.to_vec());
                    if taken.len() == 2 {
                        return (link + 1, taken);
                    }
                }
                Ok(_) => {}
                Err(NoPacket::Closed | NoPacket::TimedOut) => break,
            }
        }
    }
    (most, taken)
}

#[test]
fn link_closed_on_one_given_publish_always_v3() {
    for reset in [false, true] {
        let broker = ScriptBroker::listen();
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&folder.path().join("s.db"), &broker.url());
        options.version = Version::V311;
        let script = std::thread::spawn(move || hostile(&broker, reset, 10));
        block_on(async {
            let client = homing::Homing::open(options).await.unwrap();
            let mut events = client.events();
            let message = |text: &'static str| Publish::new(TopicName::new("up").unwrap(), text);
            let ids = client.publish_all(["poison", "a", "b"].map(message).to_vec()).await.unwrap();
            client.connect().await.unwrap();
            if reset {
                tokio::task::spawn_blocking(move || assert_eq!(script.join().unwrap(), (10, vec![]))).await.unwrap();
                assert_eq!(client.fate(ids[0]).await.unwrap(), Fate::InFlight, "a network may look like that");
            } else {
                assert!(client.flush(Duration::from_secs(40)).await.unwrap());
                assert!(matches!(client.fate(ids[0]).await.unwrap(), Fate::Parked(_)));
                let (links, taken) = tokio::task::spawn_blocking(move || script.join().unwrap()).await.unwrap();
                assert_eq!((links, taken), (7, vec![b"a".to_vec(), b"b".to_vec()]), "three, three alone, one more");
                let mut told = false;
                while !told {
                    told = matches!(events.next().await.unwrap(), Told::Warning { code: "poison", .. });
                }
            }
            client.close(Duration::from_secs(1)).await.unwrap();
        });
    }
}
