//! The SDK over every way to a real broker: WebSocket, a Unix socket, an app's own stream.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use homing::{
    BrokerUrl, ByteStream, Connecting, ConsumerSpec, Event, Fate, Homing, Options, Publish, QoS, State, Subscription,
    TopicFilter, TopicName, Transport,
};
use homing_testkit::way::{mosquitto_with_socket, mosquitto_with_websocket};

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("hangs") });
}

fn options(folder: &Path, url: &str) -> Options {
    let mut options = Options::new(folder.join("store.db"));
    options.broker = Some(BrokerUrl::parse(url).unwrap());
    options
}

async fn subscribed(client: &Homing) {
    let mut events = client.events();
    client.subscribe(Subscription::new(TopicFilter::new("way/#").unwrap(), QoS::ExactlyOnce)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::Subscribed { qos: QoS::ExactlyOnce, .. }) {}
}

async fn publish(client: &Homing, topic: &str, payload: Vec<u8>, qos: QoS) -> Fate {
    let message = Publish::new(TopicName::new(topic).unwrap(), payload).qos(qos);
    let id = client.publish(message).await.unwrap();
    client.settled(id).await.unwrap()
}

/// What arrives, by topic; nothing arrives twice.
async fn received(client: &Homing, count: usize) -> BTreeMap<String, Vec<u8>> {
    let mut consumer = client.consumer(ConsumerSpec::new("default")).await.unwrap();
    let mut all = BTreeMap::new();
    while all.len() < count {
        for message in consumer.next(NonZeroUsize::MIN).await.unwrap() {
            consumer.done(message.at).await.unwrap();
            let twice = all.insert(message.topic.to_string(), message.payload.to_vec());
            assert!(twice.is_none(), "{} came twice", message.topic);
        }
    }
    all
}

/// Each QoS both ways, and a payload of many frames. Of that mosquitto 2.0.11 sends 4 KiB each 100 ms over WebSocket, seen by
/// strace: a large one takes its time.
async fn exchange(options: Options, large: u32) {
    let client = Homing::open(options).await.unwrap();
    subscribed(&client).await;
    let large: Vec<u8> = (0..large).map(|at| (at % 253) as u8).collect();
    let mut expected = BTreeMap::new();
    for (topic, payload, qos, fate) in [
        ("way/0", b"zero".to_vec(), QoS::AtMostOnce, Fate::Sent),
        ("way/1", b"".to_vec(), QoS::AtLeastOnce, Fate::DELIVERED),
        ("way/2", b"two".to_vec(), QoS::ExactlyOnce, Fate::DELIVERED),
        ("way/large", large, QoS::ExactlyOnce, Fate::DELIVERED),
    ] {
        assert_eq!(publish(&client, topic, payload.clone(), qos).await, fate, "{topic}");
        expected.insert(topic.to_owned(), payload);
    }
    assert!(received(&client, 4).await == expected);
    client.close(Duration::from_secs(10)).await.unwrap();
}

#[test]
fn websocket() {
    let (broker, url) = mosquitto_with_websocket();
    let folder = tempfile::tempdir().unwrap();
    run(exchange(options(folder.path(), &url), 1 << 20));
    // The goodbye was in order: no will, no session ended by a cut.
    assert!(!broker.log(100).contains("Socket error"), "{}", broker.log(100));
}

#[test]
fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, url) = mosquitto_with_socket(folder.path());
    run(exchange(options(folder.path(), &url), 1 << 20));
}

#[test]
fn over_websocket_a_session_goes_on_after_restarts_and_kills_of_the_broker() {
    let (mut broker, url) = mosquitto_with_websocket();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let client = Homing::open(options(folder.path(), &url)).await.unwrap();
        subscribed(&client).await;
        for (round, kill) in [false, true, false].into_iter().enumerate() {
            let mut states = client.state();
            if kill {
                broker.kill()
            } else {
                broker.stop()
            }
            while matches!(states.get(), State::Online { .. }) {
                states.changed().await.unwrap();
            }
            let message = Publish::new(TopicName::new(format!("way/{round}")).unwrap(), "x").qos(QoS::ExactlyOnce);
            let id = client.publish(message).await.unwrap();
            broker.restart();
            // A hint of the network, as a phone gives it, saves the wait.
            client.connect().await.unwrap();
            assert!(matches!(client.settled(id).await.unwrap(), Fate::Delivered { .. }));
        }
        assert_eq!(received(&client, 3).await.len(), 3);
        client.close(Duration::from_secs(10)).await.unwrap();
    });
}

/// TCP to wherever the app likes; the URL's host is not looked at.
struct Own {
    port: u16,
    attempts: AtomicU32,
}

impl Transport for Own {
    fn connect<'a>(&'a self, broker: &'a BrokerUrl) -> Connecting<'a> {
        Box::pin(async move {
            assert_eq!(broker.host(), "nowhere.invalid");
            if self.attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(io::Error::other("the app's own words"));
            }
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

#[test]
fn an_apps_own_stream_carries_what_the_scheme_asks_for() {
    let (broker, url) = mosquitto_with_websocket();
    let websocket = BrokerUrl::parse(&url).unwrap().port();
    for (url, port) in [("mqtt://nowhere.invalid", broker.port()), ("ws://nowhere.invalid/mqtt", websocket)] {
        let folder = tempfile::tempdir().unwrap();
        let own = Arc::new(Own { port, attempts: AtomicU32::new(0) });
        let mut options = options(folder.path(), url);
        options.transport = Some(Arc::clone(&own) as Arc<dyn Transport>);
        options.retry = (Duration::from_millis(1), Duration::from_millis(100));
        run(exchange(options, 100_000));
        assert_eq!(own.attempts.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn what_excludes_each_other_is_refused_at_opening() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let proxy = homing::Proxy::Url(homing::ProxyUrl::parse("http://u:sesame@127.0.0.1:1").unwrap());
        let mut with_transport = options(folder.path(), "mqtt://127.0.0.1");
        with_transport.proxy = proxy.clone();
        with_transport.transport = Some(Arc::new(Own { port: 1, attempts: AtomicU32::new(0) }));
        let mut with_socket = options(folder.path(), "unix:///run/broker.sock");
        with_socket.proxy = proxy;
        for options in [with_transport, with_socket] {
            let path = options.store.clone();
            let error = Homing::open(options).await.err().unwrap().to_string();
            assert!(error.starts_with("option proxy: ") && !error.contains("sesame"), "{error}");
            assert!(!path.exists(), "nothing is stored");
        }
    });
}

#[test]
fn a_broker_that_is_frozen_holds_back_what_is_written_over_websocket() {
    let (broker, url) = mosquitto_with_websocket();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let client = Homing::open(options(folder.path(), &url)).await.unwrap();
        let mut states = client.state();
        while !matches!(states.get(), State::Online { .. }) {
            states.changed().await.unwrap();
        }
        broker.freeze();
        let payload = vec![7; 256 << 10];
        let mut ids = Vec::new();
        for number in 0..200 {
            let topic = TopicName::new(format!("way/{number}")).unwrap();
            ids.push(client.publish(Publish::new(topic, payload.clone())).await.unwrap());
        }
        // 50 MiB were accepted; a link that took them all would hold them in memory.
        let written = client.metrics().bytes_out;
        assert!(written < 20 << 20, "{written}");
        broker.thaw();
        for id in ids {
            assert_eq!(client.settled(id).await.unwrap(), Fate::DELIVERED);
        }
        client.close(Duration::from_secs(10)).await.unwrap();
    });
}
