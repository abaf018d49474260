//! A life on a phone: bounded catch-ups, pauses with nothing open, hints of the network; with a real store and real sockets.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use super::driver::{broker, connack, nowhere, on, options, run, sql};
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::{Fate, State, Why};
use crate::model::life::Network;
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Ack, Packet};
use crate::{ConsumerSpec, Homing};

/// Does what a broker has to do for a publisher.
fn polite() -> SocketAddr {
    let (address, _) = broker(100, |_, packet| match packet {
        Packet::Connect(_) => vec![connack(ReasonCode::Success)],
        Packet::Publish(publish) if publish.qos == QoS::AtLeastOnce => vec![Packet::PubAck(Ack::ok(publish.pid))],
        Packet::PingReq => vec![Packet::PingResp],
        _ => Vec::new(),
    });
    address
}

fn offline(folder: &Path, address: SocketAddr) -> crate::Options {
    let mut options = options(folder, address);
    options.connect = false;
    options
}

async fn until(client: &Homing, wanted: impl Fn(&State) -> bool) {
    let mut states = client.state();
    while !wanted(&states.get()) {
        states.changed().await.unwrap();
    }
}

/// What of this process stands open on files beside the store.
#[cfg(target_os = "linux")]
pub(super) fn open_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| std::fs::read_link(entry.unwrap().path()));
    links.filter_map(Result::ok).filter(|target| target.starts_with(folder)).collect()
}

/// As an app does that tidies up in two places.
#[test]
fn pauses_at_once_are_one_and_closes_at_once_are_one() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let client = Homing::open(options(folder.path(), polite())).await.unwrap();
            until(&client, |state| matches!(state, State::Online { .. })).await;
            let pause = |ms| client.pause(Duration::from_millis(ms));
            assert_eq!(tokio::join!(pause(5_000), pause(1_000), pause(5_000)), (Ok(()), Ok(()), Ok(())));
            client.resume().await.unwrap();
            // The second one has not forgotten what was wanted before the first.
            until(&client, |state| matches!(state, State::Online { .. })).await;
            let close = |ms| client.clone().close(Duration::from_millis(ms));
            assert_eq!(tokio::join!(close(5_000), close(1_000), close(5_000)), (Ok(()), Ok(()), Ok(())));
        }
    });
}

/// A handle that is still about, as in a language that counts references, keeps nothing open.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_client_that_is_kept_has_no_file_open() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        // Reading has a connection of its own.
        let mut consumer = client.consumer(ConsumerSpec::new("default")).await.unwrap();
        client.clone().close(Duration::MAX).await.unwrap();
        assert_eq!(open_files(folder.path()), Vec::<std::path::PathBuf>::new());
        assert_eq!(consumer.next(NonZeroUsize::MIN).await, Err(Error::Closed));
        assert_eq!(consumer.skipped().await, Err(Error::Closed));
    });
}

#[test]
fn a_consumer_that_was_removed_says_so() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        let consumer = client.consumer(ConsumerSpec::new("c")).await.unwrap();
        client.remove_consumer("c").await.unwrap();
        let gone = Err(Error::NoSuchConsumer { name: "c".to_owned() });
        assert_eq!(consumer.done_through(crate::Position::new(client.store_id(), 0)).await, gone);
    });
}

#[test]
fn a_sync_sends_what_waits_and_goes_again() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), polite())).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        client.publish(on().qos(QoS::AtMostOnce)).await.unwrap();
        let begun = std::time::Instant::now();
        let report = client.sync(Duration::from_secs(10)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(7), "at once, not at its deadline: {:?}", begun.elapsed());
        assert_eq!(
            (report.sent, report.received, report.waiting, report.drained, report.connected),
            (2, 0, 0, true, true)
        );
        assert_eq!(client.fate(id).await, Ok(Fate::DELIVERED));
        assert_eq!(client.state().get(), State::Offline(Why::Asked));
    });
}

#[test]
fn a_sync_of_a_connected_client_leaves_it_connected() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), polite())).await.unwrap();
        let (one, two) = tokio::join!(client.sync(Duration::from_secs(10)), client.sync(Duration::from_secs(10)));
        assert!(one.unwrap().drained && two.unwrap().drained);
        assert!(matches!(client.state().get(), State::Online { .. }));
        assert_eq!(client.metrics().connects, 1);
    });
}

#[test]
fn a_sync_that_reaches_nobody_ends_in_time_and_says_why() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        client.publish(on()).await.unwrap();
        let begun = Instant::now();
        let report = client.sync(Duration::from_secs(1)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!((report.sent, report.waiting, report.drained, report.connected), (0, 1, false, false));
        assert!(matches!(report.trouble, Some(Why::Unreachable(_))));
        assert_eq!(client.state().get(), State::Offline(Why::Asked));
        assert!(matches!(client.sync(Duration::ZERO).await, Err(Error::Invalid { what: "deadline", .. })));
    });
}

#[test]
fn a_sync_does_not_sit_out_a_refusal() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(100, |_, _| vec![connack(ReasonCode::NotAuthorized)]);
        let client = Homing::open(offline(folder.path(), address)).await.unwrap();
        let begun = Instant::now();
        let report = client.sync(Duration::from_secs(100)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(report.trouble, Some(Why::Broker(ReasonCode::NotAuthorized)));
    });
}

#[test]
fn a_sync_of_a_broker_that_answers_no_ping_is_not_drained() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(100, |_, packet| match packet {
            Packet::Connect(_) => vec![connack(ReasonCode::Success)],
            _ => Vec::new(),
        });
        let client = Homing::open(offline(folder.path(), address)).await.unwrap();
        let report = client.sync(Duration::from_secs(2)).await.unwrap();
        assert!(report.connected && !report.drained, "{report:?}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn p11_paused_nothing_is_open_and_others_may_drive() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let address = polite();
        let client = Homing::open(options(folder.path(), address)).await.unwrap();
        let mut consumer = client.consumer(ConsumerSpec::new("default")).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        assert_eq!(client.settled(id).await, Ok(Fate::DELIVERED));
        let waits = client.sync(Duration::from_secs(60));
        let (cut_short, paused) = tokio::join!(waits, client.pause(Duration::from_secs(5)));
        assert_eq!((cut_short, paused), (Err(Error::Paused), Ok(())));
        assert_eq!(client.state().get(), State::Paused);
        assert_eq!(open_files(folder.path()), [] as [std::path::PathBuf; 0]);
        let log = folder.path().join("store.db-wal");
        assert!(!log.exists() || log.metadata().unwrap().len() == 0, "the log is not emptied");

        assert_eq!(client.publish(on()).await, Err(PublishError::Paused));
        assert_eq!(client.fate(id).await, Err(Error::Paused));
        assert_eq!(client.connect().await, Err(Error::Paused));
        assert!(matches!(client.reader(), Err(OpenError::Paused)));
        assert_eq!(client.pause(Duration::ZERO).await, Ok(()));
        let next = consumer.next(NonZeroUsize::MIN);
        assert!(tokio::time::timeout(Duration::from_millis(100), next).await.is_err(), "it waits");

        let other = Homing::open(offline(folder.path(), address)).await.unwrap();
        assert!(matches!(client.resume().await, Err(OpenError::StoreInUse { .. })));
        assert_eq!(client.state().get(), State::Paused);
        let theirs = other.publish(on()).await.unwrap();
        other.close(Duration::from_secs(5)).await.unwrap();

        assert!(client.resume().await.unwrap().store_changed);
        assert_eq!(client.settled(theirs).await, Ok(Fate::DELIVERED), "it goes on with their rows");
        assert!(client.publish(on()).await.unwrap() > theirs);
        assert!(!client.resume().await.unwrap().store_changed, "it is not paused");
    });
}

#[test]
fn a_pause_that_nobody_used_goes_on_as_before() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), polite())).await.unwrap();
        for _ in 0..5 {
            until(&client, |state| matches!(state, State::Online { .. })).await;
            client.pause(Duration::from_secs(5)).await.unwrap();
            assert!(!client.resume().await.unwrap().store_changed);
        }
        let id = client.publish(on()).await.unwrap();
        assert_eq!(client.settled(id).await, Ok(Fate::DELIVERED));
        assert_eq!(client.metrics().commit_failures, 0);
        client.pause(Duration::ZERO).await.unwrap();
        client.close(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn whoever_comes_back_within_the_goodbye_goes_on() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), polite())).await.unwrap();
        for later in [false, true, false, true] {
            until(&client, |state| matches!(state, State::Online { .. })).await;
            let back = async {
                if later {
                    tokio::task::yield_now().await;
                }
                tokio::join!(client.resume(), client.resume())
            };
            let (paused, resumed) = tokio::join!(client.pause(Duration::from_secs(5)), back);
            assert_eq!(paused, Ok(()));
            assert!(matches!(resumed, (Ok(_), Ok(_))), "{resumed:?}");
            client.connect().await.expect("it is not paused");
        }
    });
}

#[test]
fn a_store_that_vanished_in_a_pause_is_not_made_anew() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        client.pause(Duration::ZERO).await.unwrap();
        let (store, away) = (folder.path().join("store.db"), folder.path().join("away"));
        std::fs::rename(&store, &away).unwrap();
        assert!(matches!(client.resume().await, Err(OpenError::StoreUnavailable { .. })));
        assert!(!store.exists());
        std::fs::rename(&away, &store).unwrap();
        client.resume().await.unwrap();
    });
}

#[test]
fn hints_of_the_network_hold_and_wake_the_attempts() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(options(folder.path(), nowhere())).await.unwrap();
        until(&client, |state| matches!(state, State::Waiting { .. })).await;
        client.network_changed(Network::offline());
        until(&client, |state| *state == State::Offline(Why::NoNetwork)).await;
        let attempts = client.metrics().link_attempts;
        client.network_changed(Network::online().id("wifi"));
        until(&client, |_| client.metrics().link_attempts > attempts).await;
    });
}

#[test]
fn counters_say_what_is_in_the_store_from_the_first_moment_on() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        client.publish(on()).await.unwrap();
        client.close(Duration::MAX).await.unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        assert_eq!(client.metrics().outbox_messages, 1);
    });
}

/// Nobody waits for a store that may never come back.
#[test]
fn a_pause_in_a_turn_that_fails_is_answered_though_the_store_cannot_be_opened() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = Homing::open(offline(folder.path(), nowhere())).await.unwrap();
        client.publish(on()).await.unwrap();
        sql(folder.path(), "ALTER TABLE outbox RENAME TO gone");
        let (refused, paused) = tokio::join!(client.publish(on()), client.pause(Duration::from_secs(10)));
        assert!(refused.is_err());
        assert!(matches!(paused, Err(Error::Storage { .. })), "{paused:?}");
    });
}
