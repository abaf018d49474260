//! The binary is killed at random moments, over and over, against a real mosquitto: nothing is lost, nothing of QoS 2 is
//! doubled, and the order holds (P1 to P5).
//!
//! `HOMING_KILLS` is the number of kills a combination (default 10), `HOMING_SEED` replays the choice of moments.
#![allow(clippy::expect_used, reason = "a failing helper is a failing test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use homing_testkit::broker_log;
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Observer, Publisher, examine};
use homing_testkit::process::{Event, Homing, NoEvent, Pipe, Received};
use homing_testkit::settings;

/// Far above what any step needs: it only bounds a run that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Combination {
    name: &'static str,
    qos: u8,
    mqtt: u8,
    inflight: Inflight,
}

macro_rules! combinations {
    ($($name:ident: $run:ident, QoS $qos:literal, MQTT $mqtt:literal, $inflight:expr;)*) => {
        $(#[test]
        fn $name() {
            $run(&Combination { name: stringify!($name), qos: $qos, mqtt: $mqtt, inflight: $inflight });
        })*
    };
}

combinations! {
    out_qos1_v3_default: out, QoS 1, MQTT 3, Inflight::Default;
    out_qos1_v3_1000: out, QoS 1, MQTT 3, Inflight::Max(1000);
    out_qos1_v5_default: out, QoS 1, MQTT 5, Inflight::Default;
    out_qos1_v5_1000: out, QoS 1, MQTT 5, Inflight::Max(1000);
    out_qos2_v3_default: out, QoS 2, MQTT 3, Inflight::Default;
    out_qos2_v3_1000: out, QoS 2, MQTT 3, Inflight::Max(1000);
    out_qos2_v5_default: out, QoS 2, MQTT 5, Inflight::Default;
    out_qos2_v5_1000: out, QoS 2, MQTT 5, Inflight::Max(1000);
    in_qos1_v3_default: into, QoS 1, MQTT 3, Inflight::Default;
    in_qos1_v3_1000: into, QoS 1, MQTT 3, Inflight::Max(1000);
    in_qos1_v5_default: into, QoS 1, MQTT 5, Inflight::Default;
    in_qos1_v5_1000: into, QoS 1, MQTT 5, Inflight::Max(1000);
    in_qos2_v3_default: into, QoS 2, MQTT 3, Inflight::Default;
    in_qos2_v3_1000: into, QoS 2, MQTT 3, Inflight::Max(1000);
    in_qos2_v5_default: into, QoS 2, MQTT 5, Inflight::Default;
    in_qos2_v5_1000: into, QoS 2, MQTT 5, Inflight::Max(1000);
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the start of the process.
    After(Duration),
    /// When so many lines of interest have been read.
    Lines(u64),
}

impl Moment {
    /// A third falls into start-up and connect, a third anywhere, a third on a given line.
    fn roll(dice: &mut fastrand::Rng, most_lines: u64) -> Self {
        match dice.u8(0..3) {
            0 => Self::After(Duration::from_micros(dice.u64(0..60_000))),
            1 => Self::After(Duration::from_micros(dice.u64(0..300_000))),
            _ => Self::Lines(dice.u64(0..=most_lines)),
        }
    }
}

/// Mostly a few messages, now and then more than any window holds.
fn batch(dice: &mut fastrand::Rng) -> u64 {
    if dice.u8(0..16) == 0 { dice.u64(500..1500) } else { dice.u64(1..120) }
}

/// Reads events until the moment comes, kills, and reads what the process had still written. `take` says whether a line counts.
fn kill_at(pipe: &mut Pipe, moment: Moment, started: Instant, mut take: impl FnMut(Event) -> bool) {
    let (deadline, lines) = match moment {
        Moment::After(delay) => (started + delay, u64::MAX),
        Moment::Lines(lines) => (started + PATIENCE, lines),
    };
    let mut seen = 0;
    while seen < lines {
        match pipe.next(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => seen += u64::from(take(event)),
            Err(NoEvent::TimedOut) if lines == u64::MAX => break,
            Err(why) => panic!("{why:?} after {seen} of {lines} lines"),
        }
    }
    pipe.kill();
    while let Ok(event) = pipe.next(PATIENCE) {
        take(event);
    }
}

struct Figures {
    started: Instant,
    kills: u64,
    /// Kills that struck while messages were under way; the others prove little.
    amid: u64,
}

impl Figures {
    fn say(&self, what: &Combination, messages: usize, lost: usize, doubled: usize) {
        let Self { started, kills, amid } = self;
        let seconds = started.elapsed().as_secs_f64();
        let name = what.name;
        settings::say(&format!(
            "{name}: kills {kills} (amid traffic {amid}), messages {messages}, lost {lost}, doubled {doubled}, seconds {seconds:.1}"
        ));
    }
}

fn client(what: &Combination, broker: &Mosquitto, folder: &tempfile::TempDir) -> Homing {
    Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.path().join("store.db"))
        .flag("--broker", broker.url())
        .flag("--client-id", "killed")
        .flag("--mqtt", what.mqtt)
}

/// Numbers are published; after each kill it is unknown whether those without an `accepted` exist, so they are not
/// published again, and may arrive or not.
fn out(what: &Combination) {
    let mut dice = settings::dice(what.name);
    let mut figures = Figures { started: Instant::now(), kills: 0, amid: 0 };
    let broker = Mosquitto::start(what.inflight);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let homing = client(what, &broker, &folder);
    let collector = Observer::subscribe(broker.port(), "observer", "out/#").collect();
    let mut next = 0;
    let mut accepted = BTreeMap::new();
    let mut doubted = 0;
    while figures.kills < settings::number("HOMING_KILLS", 10) {
        let count = batch(&mut dice);
        let moment = Moment::roll(&mut dice, 2 * count);
        let mut waiting = 0_i64;
        let started = Instant::now();
        let mut pipe = homing.pipe([""; 0]);
        pipe.publish_numbers("out/a", next..next + count, what.qos);
        kill_at(&mut pipe, moment, started, |event| match event {
            Event::Accepted { r#ref, id } => {
                let number: u64 = r#ref.and_then(|text| text.parse().ok()).expect("our reference");
                let before = accepted.insert(number, id);
                assert_eq!(before, None, "{number} was accepted twice");
                waiting += 1;
                true
            }
            Event::Verdict { id, outcome, maybe_twice, maybe_lost, downgraded, .. } => {
                // A kill between CONNECT and CONNACK leaves open whether the broker still had the session: the client says so,
                // and whether it really came twice is the observer's to say.
                assert!(outcome == "delivered" && !maybe_lost && !downgraded, "{id}: {outcome}");
                doubted += u64::from(maybe_twice);
                waiting -= 1;
                true
            }
            Event::Connection { .. } => false,
            other => panic!("{other:?}"),
        });
        next += count;
        figures.kills += 1;
        figures.amid += u64::from(waiting != 0);
    }
    let mut pipe = homing.pipe(["--exit-when-drained"]);
    pipe.close_stdin();
    let (_, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "the last run ended with {status}");
    Publisher::end(broker.port(), "out/end", what.qos);
    let seen: Vec<u64> = collector.until_end(PATIENCE).into_iter().map(|(_, number)| number).collect();
    let findings = examine(&seen, accepted.keys().copied(), |number| number < next);
    settings::say(&format!("{}: verdicts that say maybe_twice {doubted}", what.name));
    figures.say(what, accepted.len(), findings.lost.len(), findings.doubled.len());
    assert!(findings.lost.is_empty() && findings.unordered.is_empty() && findings.strangers.is_empty(), "{findings:?}");
    assert!(what.qos == 1 || findings.doubled.is_empty(), "{findings:?}");
    let ids: Vec<u64> = accepted.into_values().collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "ids do not rise with the order of publishing");
    let status = homing.json(["status", "--json"]).remove(0);
    assert_eq!((&status["outbox"]["waiting"], &status["outbox"]["in_flight"]), (&0.into(), &0.into()), "{status}");
}

/// A numbered stream flows in; what counts is the inbox, and that a line shown in several runs says the same.
fn into(what: &Combination) {
    let mut dice = settings::dice(what.name);
    let mut figures = Figures { started: Instant::now(), kills: 0, amid: 0 };
    let broker = Mosquitto::start_with(what.inflight, if what.qos == 2 { "log_type all" } else { "" });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let homing = client(what, &broker, &folder);
    let qos = what.qos.to_string();
    let arguments = ["in/#", "-q", &qos, "--auto-done"];
    let mut pipe = homing.pipe(arguments);
    assert_eq!(pipe.subscribed("in/#", PATIENCE), what.qos);
    pipe.kill();
    let mut publisher = Publisher::start(broker.port(), "in/a", what.qos);
    let mut next = 0;
    let mut printed = BTreeMap::new();
    let mut arrived = BTreeSet::new();
    while figures.kills < settings::number("HOMING_KILLS", 10) {
        let count = batch(&mut dice);
        let moment = Moment::roll(&mut dice, count);
        let started = Instant::now();
        let mut pipe = homing.pipe(arguments);
        publisher.numbers(next..next + count);
        next += count;
        kill_at(&mut pipe, moment, started, |event| {
            let message = note(event, &mut printed);
            arrived.extend(message.as_ref().and_then(|message| message.payload.clone()));
            message.is_some()
        });
        figures.kills += 1;
        figures.amid += u64::from((arrived.len() as u64) < next);
    }
    publisher.finish();
    Publisher::end(broker.port(), "in/end", what.qos);
    let mut pipe = homing.pipe(arguments);
    // To a 3.1.1 client mosquitto sends all that waits, whatever its window, and then walks the whole list for each PUBREC: after
    // 500 kills 30,000 handshakes stand before the last message, on a busy machine for minutes.
    let patience = PATIENCE.max(Duration::from_secs(settings::number("HOMING_KILLS", 10)));
    loop {
        let event = pipe.next(patience).expect("the stream goes on to its end");
        if note(event, &mut printed).is_some_and(|message| message.topic == "in/end") {
            break;
        }
    }
    pipe.close_stdin();
    let (_, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "the last run ended with {status}");
    let mut inbox = BTreeMap::new();
    homing.each_json(["inbox", "--json"], |message: Received| {
        let last = inbox.last_key_value().map_or(0, |(seq, _)| *seq);
        assert!(message.seq > last, "seq {} stands behind {last}", message.seq);
        inbox.insert(message.seq, message.payload.expect("text"));
    });
    for (seq, payload) in &printed {
        assert_eq!(inbox.get(seq), Some(payload), "seq {seq} was printed, and the inbox holds something else");
    }
    let seen: Vec<u64> = inbox.values().filter_map(|payload| payload.parse().ok()).collect();
    let findings = examine(&seen, 0..next, |number| number < next);
    if what.qos == 2 {
        // Not the client's fault, and yet its task: the figure shows that the run has met what mosquitto does.
        let rolled_back = broker_log::rolled_back(broker.log_lines(), "killed");
        let doubled = findings.doubled.iter().filter(|number| rolled_back.contains(number)).count();
        settings::say(&format!(
            "{}: mosquitto rolled back {}, of these doubled {doubled}",
            what.name,
            rolled_back.len()
        ));
    }
    figures.say(what, usize::try_from(next).expect("a count"), findings.lost.len(), findings.doubled.len());
    assert!(findings.lost.is_empty() && findings.unordered.is_empty() && findings.strangers.is_empty(), "{findings:?}");
    assert!(what.qos == 1 || findings.doubled.is_empty(), "{findings:?}");
    assert_eq!(inbox.len(), printed.len(), "something in the inbox was never printed");
}

/// Records a message; anything but messages and the connection's states is a failure.
fn note(event: Event, printed: &mut BTreeMap<u64, String>) -> Option<Received> {
    match event {
        Event::Message(message) => {
            let payload = message.payload.clone().expect("text");
            let before = printed.insert(message.seq, payload.clone());
            assert!(before.is_none_or(|before| before == payload), "seq {} has two contents", message.seq);
            Some(message)
        }
        Event::Connection { .. } | Event::Subscribed { .. } => None,
        other => panic!("{other:?}"),
    }
}
