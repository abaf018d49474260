//! The face itself, without a language behind it: what Kotlin and Swift cannot see from their side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use homing_ffi::{
    CallbackError, Canceller, Client, ConsumerSettings, ErrorCode, FfiError, IfUnsupported, Lane, LinkState, LogLevel,
    LogSink, Outgoing, QosLevel, StartAt, StoreKeyProvider, StoredId, default_settings, parse_id, set_log,
};

fn block_on<T>(wait: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(wait)
}

fn code(error: FfiError) -> ErrorCode {
    let FfiError::Failed { code, text } = error;
    assert!(!text.is_empty());
    code
}

async fn client(folder: &tempfile::TempDir) -> Arc<Client> {
    let mut settings = default_settings(folder.path().join("store.db").to_string_lossy().into_owned()).unwrap();
    settings.connect = false;
    Client::open(settings).await.unwrap()
}

fn outgoing(topic: &str) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        payload: b"on".to_vec().into(),
        qos: QosLevel::AtLeastOnce,
        retain: false,
        ttl_ms: None,
        if_unsupported: IfUnsupported::Refuse,
        lane: Lane::Normal,
        supersede: None,
        idempotency: None,
        properties: None,
    }
}

fn settings(name: &str) -> ConsumerSettings {
    ConsumerSettings { name: name.to_owned(), filters: Vec::new(), start: StartAt::Oldest, lag: None, exact: false }
}

#[test]
fn ids_are_kept_as_texts_and_nonsense_is_refused() {
    let id = StoredId { store: "00112233445566778899aabbccddeeff".to_owned(), n: u64::MAX };
    let text = format!("{}-{}", id.store, id.n);
    assert_eq!(parse_id(text.clone()).unwrap(), id);
    assert_eq!(parse_id(text.to_uppercase()).unwrap(), id);
    let zeros = "0".repeat(32);
    for text in [
        "",
        "-",
        "7",
        &zeros,
        &format!("{zeros}-"),
        &format!("{zeros}-x"),
        &format!("{zeros}-+1"),
        &format!("{zeros}0-1"),
        &format!("{zeros}-18446744073709551616"),
        "🏠-1",
        &format!("{}é-1", "0".repeat(31)),
    ] {
        assert_eq!(code(parse_id(text.to_owned()).unwrap_err()), ErrorCode::Invalid, "{text}");
    }
}

#[test]
fn a_wait_ends_when_it_is_cancelled_and_has_taken_nothing() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let client = client(&folder).await;
        let id = StoredId { store: client.store_id().unwrap(), n: client.publish(outgoing("a/b")).await.unwrap() };
        let consumer = client.consumer(settings("chart")).await.unwrap();
        let (events, states) = (client.events().unwrap(), client.states().unwrap());
        let cancel = Canceller::new();
        let by = || Some(Arc::clone(&cancel));
        let waits = async {
            tokio::join!(
                client.settled(id.clone(), by()),
                client.flush(60_000, by()),
                async {
                    loop {
                        if let Err(error) = states.next(by()).await {
                            return error;
                        }
                    }
                },
                consumer.next(10, by()),
                async {
                    loop {
                        match events.next(by()).await {
                            Ok(_) => {}
                            Err(error) => return error,
                        }
                    }
                },
            )
        };
        let (ended, ()) = tokio::time::timeout(Duration::from_secs(20), async {
            tokio::join!(waits, async {
                tokio::task::yield_now().await;
                cancel.cancel()
            })
        })
        .await
        .expect("cancelled waits end");
        assert_eq!(code(ended.0.unwrap_err()), ErrorCode::Cancelled);
        assert_eq!(code(ended.1.unwrap_err()), ErrorCode::Cancelled);
        assert_eq!(code(ended.2), ErrorCode::Cancelled);
        assert_eq!(code(ended.3.err().unwrap()), ErrorCode::Cancelled);
        assert_eq!(code(ended.4), ErrorCode::Cancelled);
        // Used before: nothing begins.
        assert_eq!(code(client.sync(60_000, by()).await.unwrap_err()), ErrorCode::Cancelled);
    });
}

#[test]
fn a_state_comes_once_and_another_listener_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let client = client(&folder).await;
        client.pause(1_000).await.unwrap();
        let states = client.states().unwrap();
        assert_eq!(states.next(None).await.unwrap(), Some(LinkState::Paused));
        let second = tokio::time::timeout(Duration::from_millis(300), states.next(None)).await;
        assert!(second.is_err(), "nothing happens: {second:?}");
        client.resume().await.unwrap();
        while states.next(None).await.unwrap() != client.state().ok() {}
        client.pause(1_000).await.unwrap();
        while states.next(None).await.unwrap() != Some(LinkState::Paused) {}
        let again = states.again().unwrap();
        assert_eq!(again.next(None).await.unwrap(), Some(LinkState::Paused));
        // Neither of them keeps the client.
        drop(client);
        let end = async {
            while states.next(None).await.unwrap().is_some() {}
            while again.next(None).await.unwrap().is_some() {}
        };
        tokio::time::timeout(Duration::from_secs(20), end).await.expect("the states end with the client");
    });
}

#[test]
fn a_place_says_done_while_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let client = client(&folder).await;
        let consumer = client.consumer(settings("chart")).await.unwrap();
        let mut waiting = Box::pin(consumer.next(1, None));
        assert!(matches!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        let done = tokio::time::timeout(Duration::from_secs(20), consumer.done_through(0)).await;
        done.expect("done does not wait for a message").unwrap();
    });
}

#[test]
fn bad_input_is_an_error_with_words() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let client = client(&folder).await;
        let mut late = outgoing("a");
        late.ttl_ms = Some(-1);
        assert_eq!(code(client.publish(late).await.unwrap_err()), ErrorCode::Invalid);
        for topic in ["", "a/#", "a\0b"] {
            assert_eq!(code(client.publish(outgoing(topic)).await.unwrap_err()), ErrorCode::Invalid, "{topic:?}");
        }
        assert_eq!(code(client.flush(-1, None).await.unwrap_err()), ErrorCode::Invalid);
        assert_eq!(code(client.consumer(settings("")).await.unwrap_err()), ErrorCode::Invalid);
        let consumer = client.consumer(settings("chart")).await.unwrap();
        assert_eq!(code(consumer.next(0, None).await.err().unwrap()), ErrorCode::Invalid);
        let second = default_settings(folder.path().join("store.db").to_string_lossy().into_owned()).unwrap();
        assert_eq!(code(Client::open(second).await.err().unwrap()), ErrorCode::StoreInUse);
        client.shut_down(1_000).await.unwrap();
        assert_eq!(code(client.publish(outgoing("a")).await.unwrap_err()), ErrorCode::Closed);
    });
}

#[cfg(not(feature = "encryption"))]
#[test]
fn a_key_is_refused_where_nothing_would_be_encrypted() {
    struct Key;
    impl StoreKeyProvider for Key {
        fn key(&self) -> Result<Vec<u8>, CallbackError> {
            Ok(vec![7; 32])
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut settings = default_settings(path.to_string_lossy().into_owned()).unwrap();
    settings.key = Some(Arc::new(Key));
    assert_eq!(code(block_on(Client::open(settings)).err().unwrap()), ErrorCode::Unsupported);
    assert!(!path.exists(), "nothing was made");
}

#[test]
fn a_log_that_blocks_holds_up_nothing() {
    struct Blocks;
    impl LogSink for Blocks {
        fn log(&self, _: LogLevel, _: String, _: String) -> Result<(), CallbackError> {
            loop {
                std::thread::park();
            }
        }
    }
    set_log(LogLevel::Trace, Arc::new(Blocks)).unwrap();
    assert_eq!(code(set_log(LogLevel::Error, Arc::new(Blocks)).unwrap_err()), ErrorCode::Invalid);
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let client = client(&folder).await;
        for _ in 0..3_000 {
            client.publish(outgoing("a/b")).await.unwrap();
        }
    });
}
