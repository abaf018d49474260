//! Another program holds the store's write lock: the turn waits, with nothing sent, and the link stays.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::driver::{broker, connack, on, options, run};
use crate::model::error::{Error, PublishError};
use crate::model::event::{Event, State};
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Ack, Packet};
use crate::{Fate, Homing};

/// As a backup or a curious tool does it, until it is dropped.
fn lock(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("store.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[test]
fn a_lock_of_another_program_is_waited_out_with_nothing_sent_and_the_link_stays() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let heard: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let publishes = Arc::clone(&heard);
        let (address, _thread) = broker(9, move |_, packet| match packet {
            Packet::Connect(_) => vec![connack(ReasonCode::Success)],
            Packet::Publish(publish) => {
                publishes.lock().unwrap().push(Instant::now());
                vec![Packet::PubAck(Ack::ok(publish.pid))]
            }
            _ => Vec::new(),
        });
        let client = Homing::open(options(folder.path(), address)).await.unwrap();
        let mut events = client.events();
        while !matches!(events.next().await.unwrap(), Event::State(State::Online { .. })) {}
        let other = lock(folder.path());
        let began = Instant::now();
        let publishing = tokio::spawn({
            let client = client.clone();
            async move { client.publish(on()).await }
        });
        assert_eq!(client.flush(Duration::from_millis(300)).await, Ok(false), "who has a deadline is answered");
        assert!(began.elapsed() < Duration::from_secs(2));
        loop {
            match events.next().await.unwrap() {
                Event::Warning { code: "store_busy", .. } => break,
                Event::State(state) => panic!("{state:?}"),
                _ => {}
            }
        }
        assert!(began.elapsed() >= Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!publishing.is_finished() && heard.lock().unwrap().is_empty());
        drop(other);
        let id = publishing.await.unwrap().unwrap();
        assert_eq!(client.settled(id).await, Ok(Fate::DELIVERED));
        let metrics = client.metrics();
        assert_eq!((metrics.connects, metrics.commit_failures), (1, 0));
        client.close(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn a_turn_that_has_nothing_left_to_answer_waits_like_any_other() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(9, move |_, packet| match packet {
            Packet::Connect(_) => vec![connack(ReasonCode::Success)],
            Packet::Publish(publish) => vec![Packet::PubAck(Ack::ok(publish.pid))],
            _ => Vec::new(),
        });
        let client = Homing::open(options(folder.path(), address)).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        assert_eq!(client.settled(id).await, Ok(Fate::DELIVERED));
        let other = lock(folder.path());
        for _ in 0..3 {
            assert_eq!(client.flush(Duration::from_millis(100)).await, Ok(false));
        }
        assert!(matches!(client.sync(Duration::from_millis(100)).await, Err(Error::Storage { .. })));
        drop(other);
        client.publish(on()).await.unwrap();
        let metrics = client.metrics();
        assert_eq!((metrics.connects, metrics.commit_failures), (1, 0), "the link stays");
        client.close(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn close_and_pause_end_in_time_while_another_program_holds_the_lock() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), super::driver::nowhere())).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        let other = lock(folder.path());
        let publishing = tokio::spawn({
            let client = client.clone();
            async move { client.publish(on()).await }
        });
        let began = Instant::now();
        assert!(matches!(client.pause(Duration::from_millis(200)).await, Err(Error::Storage { .. })));
        assert_eq!(publishing.await.unwrap(), Err(PublishError::Paused));
        assert_eq!(client.state().get(), State::Paused);
        drop(other);
        client.resume().await.unwrap();
        assert_eq!(client.fate(id).await, Ok(Fate::Waiting));
        let other = lock(folder.path());
        let publishing = tokio::spawn({
            let client = client.clone();
            async move { client.publish(on()).await }
        });
        assert!(matches!(client.close(Duration::from_millis(200)).await, Err(Error::Storage { .. })));
        assert!(matches!(publishing.await.unwrap(), Err(PublishError::Storage { .. } | PublishError::Closed)));
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        drop(other);
        let client = Homing::open(options(folder.path(), super::driver::nowhere())).await.unwrap();
        assert_eq!(client.fate(id).await, Ok(Fate::Waiting));
    });
}
