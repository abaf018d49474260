//! The driver's thread with a real store and a real socket: what a store that fails and a broker of few words do to it.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;

use crate::model::broker_url::BrokerUrl;
use crate::model::error::{Error, PublishError};
use crate::model::event::State;
use crate::model::message::{Publish, QoS};
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet, Protocol};
use crate::wire::{Decoder, encode};
use crate::{Fate, Homing};

pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("hangs") });
}

pub(super) fn options(folder: &Path, address: SocketAddr) -> Options {
    let mut options = Options::new(folder.join("store.db"));
    options.broker = Some(BrokerUrl::parse(&format!("mqtt://{address}")).unwrap());
    options
}

/// Nobody listens there.
pub(super) fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(super) fn on() -> Publish {
    Publish::new(TopicName::new("light").unwrap(), "on")
}

pub(super) fn sql(folder: &Path, text: &str) {
    let connection = rusqlite::Connection::open(folder.join("store.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute_batch(text).unwrap();
}

const BREAK: &str = "CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END";
const MEND: &str = "DROP TRIGGER broken";

#[test]
fn a_failed_commit_is_told_and_the_driver_goes_on() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), nowhere())).await.unwrap();
        let first = client.publish(on()).await.unwrap();
        sql(folder.path(), BREAK);
        assert!(matches!(client.publish(on()).await, Err(PublishError::Storage { .. })));
        sql(folder.path(), MEND);
        let second = client.publish(on()).await.unwrap();
        assert!(second > first);
        assert_eq!(client.fate(first).await, Ok(Fate::Waiting));
    });
}

#[test]
fn the_wish_to_be_connected_outlives_a_failed_commit() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), nowhere());
        options.connect = false;
        let client = Homing::open(options).await.unwrap();
        client.connect().await.unwrap();
        sql(folder.path(), BREAK);
        client.publish(on()).await.unwrap_err();
        sql(folder.path(), MEND);
        let mut states = client.state();
        while !matches!(states.get(), State::Connecting { .. } | State::Waiting { .. }) {
            states.changed().await.unwrap();
        }
    });
}

#[test]
fn close_ends_in_time_though_the_store_cannot_be_opened() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), nowhere())).await.unwrap();
        client.publish(on()).await.unwrap();
        sql(folder.path(), "ALTER TABLE outbox RENAME TO gone");
        client.publish(on()).await.unwrap_err();
        let other = client.clone();
        assert!(matches!(client.close(Duration::MAX).await, Err(Error::Storage { .. })));
        assert_eq!(other.publish(on()).await, Err(PublishError::Closed));
    });
}

#[test]
fn close_takes_the_longest_deadline_and_a_second_one() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), nowhere())).await.unwrap();
        let other = client.clone();
        client.close(Duration::MAX).await.unwrap();
        assert_eq!(other.close(Duration::MAX).await, Err(Error::Closed));
    });
}

/// Whoever waits asks on a thread of his own, as a language above does, and must not see the end as a failure.
#[test]
fn whoever_waits_is_told_that_the_client_is_closed() {
    for _ in 0..50 {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), nowhere());
            options.connect = false;
            let client = Homing::open(options).await.unwrap();
            let id = client.publish(on()).await.unwrap();
            let waiting: Vec<_> = (0..8)
                .map(|_| {
                    let client = client.clone();
                    std::thread::spawn(move || run(async { assert_eq!(client.settled(id).await, Err(Error::Closed)) }))
                })
                .collect();
            client.flush(Duration::from_millis(5)).await.unwrap();
            client.close(Duration::MAX).await.unwrap();
            waiting.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}

#[test]
fn whoever_waits_is_told_of_a_pause() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), nowhere());
        options.connect = false;
        let client = Homing::open(options).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        let pause = async {
            client.fate(id).await.unwrap();
            client.pause(Duration::from_secs(5)).await
        };
        let (settled, flushed, paused) = tokio::join!(client.settled(id), client.flush(Duration::MAX), pause);
        assert_eq!((settled, flushed, paused), (Err(Error::Paused), Err(Error::Paused), Ok(())));
    });
}

/// A broker of one link at a time that accepts and answers with what it is told.
pub(super) fn broker(
    links: usize,
    mut answer: impl FnMut(usize, Packet) -> Vec<Packet> + Send + 'static,
) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for link in 0..links {
            let (mut socket, _) = listener.accept().unwrap();
            serve(&mut socket, |packet| answer(link, packet));
        }
    });
    (address, thread)
}

fn serve(socket: &mut TcpStream, mut answer: impl FnMut(Packet) -> Vec<Packet>) {
    let mut decoder = Decoder::new(Protocol::V5, 1 << 20);
    let (mut input, mut chunk) = (BytesMut::new(), [0; 4096]);
    loop {
        while let Ok(Some(packet)) = decoder.decode(&mut input) {
            let ends = matches!(packet, Packet::Disconnect(_));
            let mut output = BytesMut::new();
            answer(packet).iter().for_each(|packet| encode(packet, Protocol::V5, &mut output).unwrap());
            if ends || socket.write_all(&output).is_err() {
                return;
            }
        }
        match socket.read(&mut chunk) {
            Ok(count) if count > 0 => input.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
}

pub(super) fn connack(reason: ReasonCode) -> Packet {
    Packet::ConnAck(Box::new(ConnAck { session_present: false, reason, properties: ConnAckProperties::default() }))
}

#[test]
fn a_broker_that_refuses_and_closes_is_left_alone() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(100, |_, _| vec![connack(ReasonCode::NotAuthorized)]);
        let client = Homing::open(options(folder.path(), address)).await.unwrap();
        let mut states = client.state();
        while !matches!(states.get(), State::Waiting { .. }) {
            states.changed().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(client.metrics().link_attempts, 1);
    });
}

#[test]
fn a_failed_commit_does_not_make_a_broker_that_refused_be_asked_again() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(100, |_, _| vec![connack(ReasonCode::NotAuthorized)]);
        let client = Homing::open(options(folder.path(), address)).await.unwrap();
        let mut states = client.state();
        while !matches!(states.get(), State::Waiting { .. }) {
            states.changed().await.unwrap();
        }
        sql(folder.path(), BREAK);
        for _ in 0..3 {
            client.publish(on()).await.unwrap_err();
        }
        sql(folder.path(), MEND);
        client.publish(on()).await.unwrap();
        while !matches!(states.get(), State::Waiting { retry_in_ms: 200_000.., .. }) {
            states.changed().await.unwrap();
        }
        assert_eq!(client.metrics().link_attempts, 1);
    });
}

#[test]
fn acknowledgements_are_read_however_many_publish() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(1, |_, packet| match packet {
            Packet::Connect(_) => vec![connack(ReasonCode::Success)],
            Packet::Publish(publish) if publish.qos == QoS::AtLeastOnce => vec![Packet::PubAck(Ack::ok(publish.pid))],
            _ => Vec::new(),
        });
        let mut options = options(folder.path(), address);
        options.durability = crate::Durability::ProcessKill;
        options.inflight = 10;
        let client = Homing::open(options).await.unwrap();
        let first = client.publish(on()).await.unwrap();
        client.settled(first).await.unwrap();
        // So many callers that each turn finds as many commands as it takes.
        let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let callers: Vec<_> = (0..5000)
            .map(|_| {
                let (client, ended) = (client.clone(), ended.clone());
                tokio::spawn(async move {
                    while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                        client.fate(first).await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            let id = client.publish(on()).await.unwrap();
            assert_eq!(client.settled(id).await, Ok(Fate::DELIVERED));
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

#[test]
fn waits_that_are_given_up_leave_nothing_behind() {
    let mut waiters = crate::client::waiters::Waiters::default();
    for _ in 0..10_000 {
        let (answer, _) = tokio::sync::oneshot::channel();
        waiters.wait_for(1, answer);
    }
    assert!(waiters.count() <= 1);
}
