//! The broker goes away and comes back, or the client does: what was published meanwhile arrives once and in order (P1, P3, P5).
#![allow(clippy::expect_used, reason = "a failing helper is a failing test")]

use std::time::{Duration, Instant};

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Findings, Observer, Publisher, examine};
use homing_testkit::process::{Event, Homing, Pipe, Received};
use homing_testkit::settings;

/// Far above what any step needs, the longest wait between two attempts to connect included.
const PATIENCE: Duration = Duration::from_secs(90);
const RESTARTS: u64 = 10;
const PER_RESTART: u64 = 2000;
const QUEUED: u64 = 10_000;

#[test]
fn qos2_through_ten_restarts_v3() {
    through_restarts("qos2_through_ten_restarts_v3", 3);
}

#[test]
fn qos2_through_ten_restarts_v5() {
    through_restarts("qos2_through_ten_restarts_v5", 5);
}

#[test]
fn queued_while_away_qos1_v3() {
    queued_while_away(1, 3);
}

#[test]
fn queued_while_away_qos2_v3() {
    queued_while_away(2, 3);
}

#[test]
fn queued_while_away_qos1_v5() {
    queued_while_away(1, 5);
}

#[test]
fn queued_while_away_qos2_v5() {
    queued_while_away(2, 5);
}

fn client(broker: &Mosquitto, folder: &tempfile::TempDir, mqtt: u8) -> Homing {
    Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.path().join("store.db"))
        .flag("--broker", broker.url())
        .flag("--client-id", "restarted")
        .flag("--mqtt", mqtt)
}

/// What the pipe has said about published messages so far.
#[derive(Default)]
struct Told {
    accepted: u64,
    delivered: u64,
}

impl Told {
    fn until(&mut self, pipe: &mut Pipe, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            match pipe.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => self.note(&event),
                Err(why) => panic!("{why:?} after {} accepted and {} delivered", self.accepted, self.delivered),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Accepted { .. } => self.accepted += 1,
            Event::Verdict { outcome, maybe_twice: false, maybe_lost: false, downgraded: false, .. }
                if outcome == "delivered" =>
            {
                self.delivered += 1;
            }
            Event::Connection { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Half of the messages are published to a running broker, which is stopped while some of them are under way, the other
/// half while it is away.
fn through_restarts(name: &str, mqtt: u8) {
    let started = Instant::now();
    let mut dice = settings::dice(name);
    let mut broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().expect("a temporary folder");
    // It collects only at the end: on its way through a live subscriber a message could meet that client's own faults.
    let observer = Observer::subscribe(broker.port(), "observer", "out/#");
    let mut pipe = client(&broker, &folder, mqtt).pipe(["--exit-when-drained"]);
    let mut told = Told::default();
    for restart in 0..RESTARTS {
        let first = restart * PER_RESTART;
        let middle = first + PER_RESTART / 2;
        let under_way = dice.u64(1..PER_RESTART / 2);
        pipe.publish_numbers("out/a", first..middle, 2);
        told.until(&mut pipe, |told| told.delivered >= middle - under_way);
        broker.stop();
        pipe.publish_numbers("out/a", middle..first + PER_RESTART, 2);
        told.until(&mut pipe, |told| told.accepted == first + PER_RESTART);
        broker.restart();
    }
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    events.iter().for_each(|event| told.note(event));
    assert!(status.success(), "{status}");
    let total = RESTARTS * PER_RESTART;
    assert_eq!((told.accepted, told.delivered), (total, total));
    Publisher::end(broker.port(), "out/end", 2);
    let seen: Vec<u64> = observer.collect().until_end(PATIENCE).into_iter().map(|(_, number)| number).collect();
    let findings = examine(&seen, 0..total, |number| number < total);
    settings::say(&format!(
        "{name}: restarts {RESTARTS}, {findings:?}, seconds {:.1}",
        started.elapsed().as_secs_f64()
    ));
    assert_eq!(findings, Findings { arrived: seen.len(), ..Findings::default() });
}

/// The broker is stopped and started once more while the client is away, so that the queue comes from its disk.
fn queued_while_away(qos: u8, mqtt: u8) {
    let started = Instant::now();
    let mut broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let homing = client(&broker, &folder, mqtt);
    let number = qos.to_string();
    let arguments = ["in/#", "-q", &number, "--auto-done"];
    let mut pipe = homing.pipe(arguments);
    assert_eq!(pipe.subscribed("in/#", PATIENCE), qos);
    pipe.close_stdin();
    assert!(pipe.finish(PATIENCE).1.success());
    let mut publisher = Publisher::start(broker.port(), "in/a", qos);
    publisher.numbers(0..QUEUED);
    publisher.finish();
    Publisher::end(broker.port(), "in/end", qos);
    broker.restart();
    let mut pipe = homing.pipe(arguments);
    let mut printed = Vec::new();
    pipe.until(PATIENCE, "end of the stream", |event| match event {
        Event::Message(message) if message.topic == "in/end" => Some(()),
        Event::Message(message) => {
            printed.push(content(message));
            None
        }
        Event::Connection { session_present, .. } => {
            assert_ne!(*session_present, Some(false), "the broker has kept the session");
            None
        }
        _ => None,
    });
    pipe.close_stdin();
    assert!(pipe.finish(PATIENCE).1.success());
    let mut kept = Vec::new();
    homing.each_json(["inbox", "--json"], |message: Received| {
        if message.topic != "in/end" {
            kept.push(content(&message));
        }
    });
    let findings = examine(&kept, 0..QUEUED, |number| number < QUEUED);
    settings::say(&format!(
        "queued while away, QoS {qos}, MQTT {mqtt}: {findings:?}, seconds {:.1}",
        started.elapsed().as_secs_f64()
    ));
    assert_eq!(findings, Findings { arrived: kept.len(), ..Findings::default() });
    assert!(printed == kept, "{} were printed, the inbox holds {}, and they differ", printed.len(), kept.len());
}

fn content(message: &Received) -> u64 {
    message.payload.as_ref().and_then(|text| text.parse().ok()).expect("a number")
}
