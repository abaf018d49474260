//! One broker by several addresses, redirects, half-open links and a broker that stops reading: the real binary against real
//! sockets.
#![allow(clippy::expect_used, reason = "a failing helper is a failing test")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use homing::ReasonCode;
use homing::wire::packet::{ConnAckProperties, Disconnect, Packet};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Findings, Observer, Publisher, examine};
use homing_testkit::process::{Event, Homing, NoEvent, Pipe};
use homing_testkit::proxy::Proxy;
use homing_testkit::script_broker::{ScriptBroker, connack, publish};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(90);

/// A client of a new store that knows these addresses.
fn client(urls: &[String]) -> (Homing, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let homing = Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.path().join("store.db"))
        .flag("--client-id", "traveller")
        .flag("--mqtt", "5");
    (urls.iter().fold(homing, |homing, url| homing.flag("--broker", url)), folder)
}

fn broker_in_status(homing: &Homing) -> String {
    let status = homing.json(["status", "--json"]).remove(0);
    status["broker"].as_str().expect("a broker").to_owned()
}

/// Publishes numbers and waits until each has the verdict `delivered`.
fn deliver(pipe: &mut Pipe, numbers: std::ops::Range<u64>) {
    let count = numbers.end - numbers.start;
    pipe.publish_numbers("up", numbers, 2);
    delivered(pipe, count);
}

/// Waits for so many verdicts `delivered`.
fn delivered(pipe: &mut Pipe, count: u64) {
    let mut delivered = 0;
    while delivered < count {
        delivered += pipe.until(PATIENCE, "verdict", |event| match event {
            Event::Verdict { outcome, .. } => {
                assert_eq!(outcome, "delivered");
                Some(1)
            }
            _ => None,
        });
    }
}

/// The reason of the next `waiting`.
fn waiting(pipe: &mut Pipe) -> String {
    pipe.until(PATIENCE, "waiting", |event| match event {
        Event::Connection { state, reason, .. } if state == "waiting" => reason.clone(),
        _ => None,
    })
}

#[test]
fn home_dies_away_takes_over_and_home_comes_back_with_its_old_session() {
    let (mut home, mut away) = (Mosquitto::start(Inflight::Default), Mosquitto::start(Inflight::Default));
    let seen = [&home, &away].map(|broker| Observer::subscribe(broker.port(), "observer", "up"));
    let (homing, _folder) = client(&[home.url(), away.url()]);
    let mut pipe = homing.pipe(["down/#", "-q", "2", "--auto-done"]);
    assert!(!pipe.connected(PATIENCE));
    pipe.subscribed("down/#", PATIENCE);
    deliver(&mut pipe, 0..50);
    // Two brokers, whatever the list says: the session is lost, said so, and everything goes on.
    home.stop();
    pipe.until(PATIENCE, "session_lost", |event| matches!(event, Event::SessionLost { .. }).then_some(()));
    pipe.subscribed("down/#", PATIENCE);
    deliver(&mut pipe, 50..100);
    assert_eq!(broker_in_status(&homing), away.url());
    // Home still has the session of then: taken for ours, its packet identifiers would swallow messages.
    home.restart();
    away.stop();
    pipe.until(PATIENCE, "session_lost", |event| matches!(event, Event::SessionLost { .. }).then_some(()));
    pipe.subscribed("down/#", PATIENCE);
    deliver(&mut pipe, 100..150);
    assert_eq!(broker_in_status(&homing), home.url());
    pipe.close_stdin();
    assert!(pipe.finish(PATIENCE).1.success());
    away.restart();
    let mut arrived = Vec::new();
    for (broker, observer) in [&home, &away].into_iter().zip(seen) {
        let collector = observer.collect();
        Publisher::end(broker.port(), "up", 2);
        arrived.extend(collector.until_end(PATIENCE).into_iter().map(|(_, number)| number));
    }
    arrived.sort_unstable();
    let findings = examine(&arrived, 0..150, |number| number < 150);
    assert_eq!(findings, Findings { arrived: 150, ..Findings::default() });
}

#[test]
fn one_broker_by_two_addresses_keeps_the_session_when_the_first_goes() {
    let broker = Mosquitto::start(Inflight::Default);
    let observer = Observer::subscribe(broker.port(), "observer", "up");
    let home = Proxy::start(broker.address(), []);
    let (homing, _folder) = client(&[home.url(), broker.url()]);
    let mut pipe = homing.pipe(["down/#", "-q", "2", "--auto-done"]);
    assert!(!pipe.connected(PATIENCE));
    deliver(&mut pipe, 0..100);
    pipe.publish_numbers("up", 100..1000, 2);
    drop(home);
    assert!(pipe.connected(PATIENCE), "the session is the same");
    pipe.publish_numbers("up", 1000..1001, 2);
    delivered(&mut pipe, 901);
    assert_eq!(broker_in_status(&homing), broker.url());
    pipe.close_stdin();
    let (events, _) = pipe.finish(PATIENCE);
    assert!(!events.iter().any(|event| matches!(event, Event::SessionLost { .. } | Event::Gap { .. })));
    let collector = observer.collect();
    Publisher::end(broker.port(), "up", 2);
    let seen: Vec<u64> = collector.until_end(PATIENCE).into_iter().map(|(_, number)| number).collect();
    let findings = examine(&seen, 0..1001, |number| number < 1001);
    assert_eq!(findings, Findings { arrived: 1001, ..Findings::default() });
    // The next process begins where the last one was, and the store knows both addresses.
    let mut pipe = homing.pipe([""; 0]);
    assert!(pipe.connected(PATIENCE));
}

#[test]
fn a_redirect_goes_only_to_an_address_that_was_named_with_that_addresss_credentials_4_11() {
    for moved in [false, true] {
        let (first, second, foreign) = (ScriptBroker::listen(), ScriptBroker::listen(), ScriptBroker::listen());
        let with = |user: &str, broker: &ScriptBroker| format!("mqtt://{user}:sesame@{}", broker.address());
        let (homing, _folder) = client(&[with("one", &first), with("two", &second)]);
        let mut pipe = homing.pipe([""; 0]);
        let mut peer = first.accept();
        assert_eq!(peer.connect().credentials.expect("credentials").user, "one");
        let reason = if moved { ReasonCode::ServerMoved } else { ReasonCode::UseAnotherServer };
        let server_reference = Some(format!("{} {}", foreign.address(), second.address()));
        let properties =
            ConnAckProperties { server_reference: server_reference.clone(), ..ConnAckProperties::default() };
        peer.send(&connack(false, reason, properties));
        let mut peer = second.accept();
        assert_eq!(peer.connect().credentials.expect("credentials").user, "two");
        peer.send(&connack(false, ReasonCode::Success, ConnAckProperties::default()));
        pipe.connected(PATIENCE);
        // And back, by a DISCONNECT.
        let mut disconnect = Disconnect::new(reason);
        disconnect.server_reference = Some(format!("{} {}", foreign.address(), first.address()));
        peer.send(&Packet::Disconnect(disconnect));
        first.greet(true);
        pipe.connected(PATIENCE);
        assert!(foreign.try_accept(Duration::from_millis(300)).is_none());
        let words = pipe.errors();
        assert_eq!(words.matches("is tried next").count(), 2, "{words}");
        assert!(!words.contains("sesame"), "{words}");
        assert!(!broker_in_status(&homing).contains('@'));
    }
}

#[test]
fn a_half_open_link_is_found_out_and_the_other_address_is_used() {
    let broker = Mosquitto::start(Inflight::Default);
    let home = Proxy::start(broker.address(), []);
    let (homing, _folder) = client(&[home.url(), broker.url()]);
    let homing = homing.flag("--keep-alive", "2s");
    let mut pipe = homing.pipe([""; 0]);
    pipe.connected(PATIENCE);
    let since = Instant::now();
    home.swallow();
    assert!(waiting(&mut pipe).contains("keep alive"));
    let noticed = since.elapsed();
    assert!(noticed < Duration::from_secs(8), "one and a half keep alives, not {noticed:?}");
    pipe.publish(1, "up", "x", 1);
    // Connecting works there, the CONNACK never comes: the other address has its turn after that time-out.
    assert!(pipe.connected(PATIENCE));
    pipe.until(PATIENCE, "verdict", |event| matches!(event, Event::Verdict { .. }).then_some(()));
}

/// The most memory that a process has had, in bytes.
fn peak(pipe: &Pipe) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pipe.id())).expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    1024 * line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).expect("a number")
}

#[test]
fn a_broker_that_stops_reading_costs_no_memory_and_is_given_up_while_what_it_sends_arrives() {
    const LARGE: usize = 100_000;
    let broker = ScriptBroker::listen();
    let (homing, _folder) = client(&[broker.url()]);
    // Without a keep alive nothing but the write time-out can find it out.
    let homing = homing.flag("--keep-alive", "0s").flag("--durability", "process-kill");
    let mut pipe = homing.pipe([""; 0]);
    let mut peer = broker.greet(false);
    pipe.connected(PATIENCE);
    pipe.publish(0, "up", "x".repeat(LARGE), 0);
    pipe.until(PATIENCE, "verdict", |event| matches!(event, Event::Verdict { .. }).then_some(()));
    let before = peak(&pipe);
    let since = Instant::now();
    // 60 MB of it, of which the broker takes what its socket holds and no more.
    for number in 1..=600 {
        pipe.publish(number, "up", "x".repeat(LARGE), 1);
    }
    let (mut accepted, mut received, mut reason) = (0, 0, None);
    for pid in 1..=500 {
        peer.send(&publish("down", &"y".repeat(1000), homing::QoS::AtLeastOnce, pid, false));
    }
    while reason.is_none() {
        match pipe.next(PATIENCE) {
            Ok(Event::Accepted { .. }) => accepted += 1,
            Ok(Event::Message(_)) => received += 1,
            Ok(Event::Connection { state, reason: why, .. }) if state == "waiting" => reason = why,
            Ok(Event::Verdict { .. }) => panic!("nothing was acknowledged"),
            Ok(_) => {}
            Err(why @ (NoEvent::TimedOut | NoEvent::Ended)) => panic!("{why:?} after {accepted}, {received}"),
        }
    }
    let reason = reason.expect("a reason");
    assert!(reason.contains("write time-out"), "{reason}");
    assert_eq!((accepted, received), (600, 500), "both directions went on");
    assert!(since.elapsed() >= Duration::from_secs(30));
    let grown = peak(&pipe) - before;
    writeln!(std::io::stderr(), "grown by {grown} bytes while 60 MB waited").expect("stderr");
    assert!(grown < 24 << 20, "grown by {grown} bytes");
}
