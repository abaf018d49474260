//! The harness itself: a broker that comes back with what it had, and an observer that sees everything once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]

use std::time::Duration;

use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::observer::{Findings, Observer, Publisher, examine};
use homing_testkit::proxy::{Cut, Proxy};

#[test]
fn sessions_and_queues_survive_a_restart() {
    let mut broker = Mosquitto::start(Inflight::Default);
    let observer = Observer::subscribe(broker.port(), "observer", "numbers/#");
    let mut publisher = Publisher::start(broker.port(), "numbers/a", 2);
    publisher.numbers(0..1500);
    publisher.finish();
    broker.restart();
    let mut publisher = Publisher::start(broker.port(), "numbers/a", 2);
    publisher.numbers(1500..3000);
    publisher.finish();
    Publisher::end(broker.port(), "numbers/end", 2);
    let seen = observer.collect().until_end(Duration::from_secs(30));
    let numbers: Vec<u64> = seen.into_iter().map(|(_, number)| number).collect();
    let findings = examine(&numbers, 0..3000, |number| number < 3000);
    assert_eq!(findings, Findings { arrived: 3000, ..Findings::default() });
}

#[test]
fn an_examiner_names_what_is_wrong() {
    let findings = examine(&[1, 3, 2, 2, 9], [1, 2, 3, 4], |number| number < 5);
    let expected =
        Findings { arrived: 5, lost: vec![4], doubled: vec![2], unordered: vec![(2, 3)], strangers: vec![9] };
    assert_eq!(findings, expected);
}

#[test]
fn a_proxy_cuts_at_the_byte() {
    use std::io::{Read, Write};
    let echo = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = Proxy::start(echo.local_addr().expect("address"), [Cut { up: Some(5), down: None }]);
    let address = proxy.url().replace("mqtt://", "");
    let mut client = std::net::TcpStream::connect(&address).expect("connect");
    client.write_all(b"0123456789").expect("write");
    let mut got = Vec::new();
    echo.accept().expect("accept").0.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"01234");
    assert_eq!((proxy.bytes().0, proxy.connections()), (5, 1));
}
