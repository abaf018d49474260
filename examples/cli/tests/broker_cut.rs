//! The link is cut after every single byte, one way and the other, and the process is killed there: once each for QoS 2,
//! nothing lost for QoS 1, both to the broker and back from it [4.4.0-1].
#![allow(clippy::expect_used, reason = "a failing helper is a failing test")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Findings, examine};
use homing_testkit::process::{Event, Homing, Pipe, Received};
use homing_testkit::proxy::{Cut, Proxy};
use homing_testkit::settings;

const PATIENCE: Duration = Duration::from_secs(60);
/// A run that publishes two messages and gets both back is well below so many bytes; beyond it something loops.
const BYTES: u64 = 2000;

#[test]
fn every_byte_to_the_broker_v3() {
    every_byte(3, "to the broker", |up| Cut { up: Some(up), down: None });
}

#[test]
fn every_byte_to_the_broker_v5() {
    every_byte(5, "to the broker", |up| Cut { up: Some(up), down: None });
}

#[test]
fn every_byte_from_the_broker_v3() {
    every_byte(3, "from the broker", |down| Cut { up: None, down: Some(down) });
}

#[test]
fn every_byte_from_the_broker_v5() {
    every_byte(5, "from the broker", |down| Cut { up: None, down: Some(down) });
}

fn every_byte(mqtt: u8, way: &str, cut: impl Fn(u64) -> Cut) {
    let started = Instant::now();
    let broker = Mosquitto::start(Inflight::Default);
    let proxy = Proxy::start(broker.address(), []);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let homing = Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.path().join("store.db"))
        .flag("--broker", proxy.url())
        .flag("--client-id", "cut")
        .flag("--mqtt", mqtt);
    let arguments = ["loop/#", "-q", "2", "--auto-done"];
    let mut pipe = homing.pipe(arguments);
    pipe.subscribed("loop/#", PATIENCE);
    pipe.kill();
    let mut cuts = 0;
    // One number a run, published with QoS 2 and with QoS 1, until a run gets through before its byte is reached.
    for number in 0.. {
        assert!(number < BYTES, "not through after {number} bytes");
        proxy.plan(cut(number + 1));
        let mut pipe = homing.pipe(arguments);
        if run(&mut pipe, number) == Ended::Through {
            break;
        }
        cuts += 1;
        pipe.kill();
        // What was cut off is finished before the next run, which is then the same but for the byte at which it ends.
        let mut pipe = homing.pipe(["--exit-when-drained"]);
        pipe.close_stdin();
        assert!(pipe.finish(PATIENCE).1.success());
    }
    let (mut once, mut at_least_once) = (Vec::new(), Vec::new());
    homing.each_json(["inbox", "--json"], |message: Received| {
        let list = if message.topic == "loop/2" { &mut once } else { &mut at_least_once };
        list.push(message.payload.and_then(|text| text.parse().ok()).expect("a number"));
    });
    let findings = [once, at_least_once].map(|seen: Vec<u64>| examine(&seen, 0..=cuts, |number| number <= cuts));
    let seconds = started.elapsed().as_secs_f64();
    settings::say(&format!(
        "{cuts} cuts {way}, MQTT {mqtt}: QoS 2 {:?}; QoS 1 {:?}; seconds {seconds:.1}",
        findings[0], findings[1]
    ));
    assert_eq!(findings[0], Findings { arrived: findings[0].arrived, ..Findings::default() });
    let doubled = findings[1].doubled.clone();
    assert_eq!(findings[1], Findings { arrived: findings[1].arrived, doubled, ..Findings::default() });
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Cut,
    Through,
}

/// Publishes the number twice and waits until both are delivered and received, or until the link is gone. A last message that
/// nobody receives ends the run: its answer comes behind everything that the two had to exchange.
fn run(pipe: &mut Pipe, number: u64) -> Ended {
    pipe.publish_numbers("loop/2", [number], 2);
    pipe.publish_numbers("loop/1", [number], 1);
    let payload = number.to_string();
    let (mut accepted, mut verdicts, mut topics) = (0, 0, BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    let mut cut = false;
    while !(cut && accepted >= 2) {
        match pipe.next(deadline.saturating_duration_since(Instant::now())).expect("the run ends") {
            Event::Accepted { .. } => accepted += 1,
            Event::Verdict { outcome, .. } => {
                assert_eq!(outcome, "delivered");
                verdicts += 1;
            }
            Event::Message(message) if message.payload.as_ref() == Some(&payload) => {
                let new = topics.insert(message.topic);
                if new && topics.len() == 2 {
                    pipe.publish_numbers("last", [number], 1);
                }
            }
            Event::Connection { state, .. } => cut |= state == "waiting",
            Event::SessionLost { .. } => panic!("the session was lost"),
            _ => {}
        }
        if verdicts == 3 {
            return Ended::Through;
        }
    }
    Ended::Cut
}
