//! The whole client against ports that speak something else, servers that stop in the middle, and app code that misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use homing::internals::tls::TlsOptions;
use homing::link::dial::dial;
use homing::link::tls::Connector;
use homing::{
    BrokerUrl, ByteStream, CaCertificates, Connecting, Event, Fate, Homing, Options, Proxy, ProxyUrl, Publish, QoS,
    ServerTrust, State, TopicName, Transport, Trust,
};
use homing_testkit::certificates::{Authority, Wrong};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::way::mosquitto_with_secure_websocket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Measured are processor time and descriptors of the whole process: one test at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn run(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("hangs") });
}

fn options(folder: &Path, url: &str) -> Options {
    let mut options = Options::new(folder.join("store.db"));
    options.broker = Some(BrokerUrl::parse(url).unwrap());
    options
}

/// The first reason for waiting.
async fn reason(options: Options) -> String {
    let client = Homing::open(options).await.unwrap();
    let reason = waiting(&client).await;
    client.close(Duration::from_secs(10)).await.unwrap();
    reason
}

async fn waiting(client: &Homing) -> String {
    let mut states = client.state();
    loop {
        if let State::Waiting { why, .. } = states.get() {
            return why.to_string();
        }
        states.changed().await.unwrap();
    }
}

/// A port that answers whatever comes first with these bytes and closes.
fn answering(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn a_port_that_speaks_something_else_is_named() {
    run(async {
        for (bytes, words) in [
            (&[21, 3, 3, 0, 2, 2, 70][..], "speaks TLS"),
            (&[21][..], "speaks TLS"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP"),
            // A broker all the same, though a broken one.
            (&[0x20, 3, 0, 0, 0, 0x26, 0][..], "closed with 0x81 malformed packet"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let told = reason(options(folder.path(), &format!("mqtt://127.0.0.1:{}", answering(bytes)))).await;
            assert!(told.contains(words), "{told}");
            assert!(!words.contains("TLS") || told.contains("mqtts://"), "{told}");
        }
        // OpenSSL's servers say nothing at all: mosquitto resets the link.
        let broker = Mosquitto::start_tls(&Authority::new().server(&Wrong::default()), None, "");
        let folder = tempfile::tempdir().unwrap();
        let told = reason(options(folder.path(), &broker.url().replace("mqtts:", "mqtt:"))).await;
        assert!(told.contains("link cut: reset") && told.contains("mqtts://"), "{told}");
    });
}

/// What an app's own stream does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Fails,
    PanicsAtOnce,
    PanicsLater,
    PanicsInRead,
    PanicsInWrite,
    WritesNothing,
    WritesTooMuch,
    EndsAtOnce,
}

const FAULTS: [(Fault, &str); 8] = [
    (Fault::Fails, "the app's own words"),
    (Fault::PanicsAtOnce, "app's transport: it panicked"),
    (Fault::PanicsLater, "app's transport: it panicked"),
    (Fault::PanicsInRead, "it panicked"),
    (Fault::PanicsInWrite, "it panicked"),
    (Fault::WritesNothing, "write zero"),
    (Fault::WritesTooMuch, "more than it was given"),
    (Fault::EndsAtOnce, "closed by the broker"),
];

/// At its first attempt it does that, later it is in order, a byte at a time.
struct Clumsy {
    fault: Fault,
    port: u16,
    attempts: AtomicU32,
}

struct Clumsily {
    stream: tokio::net::TcpStream,
    fault: Option<Fault>,
}

impl Transport for Clumsy {
    fn connect<'a>(&'a self, _broker: &'a BrokerUrl) -> Connecting<'a> {
        let first = self.attempts.fetch_add(1, Ordering::SeqCst) == 0;
        let fault = first.then_some(self.fault);
        assert!(fault != Some(Fault::PanicsAtOnce), "sesame");
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            assert!(fault != Some(Fault::PanicsLater), "sesame");
            match fault {
                Some(Fault::Fails) => Err(io::Error::other("the app's own words")),
                _ => Ok(Box::new(Clumsily { stream, fault }) as Box<dyn ByteStream>),
            }
        })
    }
}

impl AsyncRead for Clumsily {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        assert!(self.fault != Some(Fault::PanicsInRead), "sesame");
        if self.fault == Some(Fault::EndsAtOnce) {
            return Poll::Ready(Ok(()));
        }
        let mut one = buf.take(1);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut one);
        let count = one.filled().len();
        // The byte is there: `one` is the front of what is not filled yet.
        let byte = one.filled().first().copied();
        if count == 1 {
            buf.put_slice(&[byte.unwrap()]);
        }
        read
    }
}

impl AsyncWrite for Clumsily {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.fault {
            Some(Fault::PanicsInWrite) => panic!("sesame"),
            Some(Fault::WritesNothing) => Poll::Ready(Ok(0)),
            Some(Fault::WritesTooMuch) => Poll::Ready(Ok(bytes.len() + 1)),
            _ => Pin::new(&mut self.stream).poll_write(cx, &bytes[..bytes.len().min(1)]),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A message is accepted, delivered by a later attempt, and nothing is said to be a bug of ours. Returns why it waited.
async fn delivered_at_last(mut options: Options) -> String {
    options.retry = (Duration::from_millis(300), Duration::from_secs(1));
    let client = Homing::open(options).await.unwrap();
    let mut events = client.events();
    let message = Publish::new(TopicName::new("home/light").unwrap(), "on").qos(QoS::ExactlyOnce);
    let id = client.publish(message).await.unwrap();
    assert_eq!(client.settled(id).await.unwrap(), Fate::DELIVERED);
    let mut reason = String::new();
    client.close(Duration::from_secs(10)).await.unwrap();
    while let Some(event) = events.next().await {
        match event {
            Event::State(State::Waiting { why, .. }) => reason = why.to_string(),
            Event::Warning { code, text } => panic!("{code}: {text}"),
            _ => {}
        }
    }
    reason
}

#[test]
fn a_clumsy_stream_of_the_apps_costs_an_attempt_and_nothing_else() {
    let broker = Mosquitto::start(Inflight::Default);
    run(async {
        for (fault, words) in FAULTS {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), "mqtt://nowhere.invalid");
            let transport = Arc::new(Clumsy { fault, port: broker.port(), attempts: AtomicU32::new(0) });
            options.transport = Some(Arc::clone(&transport) as Arc<dyn Transport>);
            let told = delivered_at_last(options).await;
            assert!(told.contains(words) && !told.contains("sesame"), "{fault:?}: {told}");
            assert_eq!(transport.attempts.load(Ordering::SeqCst), 2, "{fault:?}");
        }
    });
}

struct Panics(AtomicU32);

impl ServerTrust for Panics {
    fn check(&self, _chain: &[&[u8]], _host: &str) -> Result<(), String> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "sesame");
        Ok(())
    }
}

#[test]
fn an_app_that_panics_over_a_servers_certificate_has_not_trusted_it() {
    run(async {
        let broker = Mosquitto::start_tls(&Authority::new().server(&Wrong::default()), None, "");
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), &broker.url());
        options.tls.trust = Trust::Custom(Arc::new(Panics(AtomicU32::new(0))));
        let told = delivered_at_last(options).await;
        assert_eq!(told, "TLS: the server is not trusted: the app's check panicked");
    });
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime, in hundredths of a second.
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

#[test]
fn five_hundred_failed_attempts_of_each_kind_leave_no_descriptor_behind() {
    run(async {
        let authority = Authority::new();
        let stranger = Mosquitto::start_tls(&Authority::named("another").server(&Wrong::default()), None, "");
        let free = homing_testkit::ports::free();
        let closing = answering(b"HTTP/1.1 403 No\r\n\r\n");
        let proxy = |scheme: &str| Proxy::Url(ProxyUrl::parse(&format!("{scheme}://127.0.0.1:{closing}")).unwrap());
        let socket = "unix:///nowhere/broker.sock".to_owned();
        for (url, proxy) in [
            (format!("mqtt://127.0.0.1:{free}"), Proxy::Direct),
            (stranger.url(), Proxy::Direct),
            (format!("ws://127.0.0.1:{closing}"), Proxy::Direct),
            (format!("wss://127.0.0.1:{closing}"), Proxy::Direct),
            (stranger.url(), proxy("http")),
            (stranger.url(), proxy("socks5h")),
            (socket, Proxy::Direct),
        ] {
            let mut options = Options::new("unused");
            options.proxy = proxy;
            options.tls.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
            let broker = BrokerUrl::parse(&url).unwrap();
            let connector = Connector::new(&options.tls);
            let attempt = async || dial(&broker, &options, &connector, Duration::from_secs(10)).await.err().unwrap();
            attempt().await;
            let before = descriptors();
            for _ in 0..500 {
                attempt().await;
            }
            // The listener's own threads may hold the last one for a moment.
            let after = Instant::now() + Duration::from_secs(10);
            while descriptors() > before && Instant::now() < after {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(descriptors() <= before, "{url}: {before} before, {} after", descriptors());
        }
    });
}

#[test]
fn an_idle_link_and_one_that_fails_all_the_time_cost_next_to_nothing() {
    run(async {
        let authority = Authority::new();
        let server = authority.server(&Wrong::default());
        let (_broker, wss) = mosquitto_with_secure_websocket(&server);
        let refusing = format!("wss://127.0.0.1:{}", answering(b"HTTP/1.1 500 No\r\n\r\n"));
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("ws://{}", silent.local_addr().unwrap());
        for (url, online) in [(wss, true), (refusing, false), (silent, false)] {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), &url);
            if url.starts_with("wss") {
                options.tls.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
            }
            let client = Homing::open(options).await.unwrap();
            let mut states = client.state();
            while online && !matches!(states.get(), State::Online { .. }) {
                states.changed().await.unwrap();
            }
            // What is done once it is idle, such as a checkpoint, is done.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = cpu();
            tokio::time::sleep(Duration::from_secs(4)).await;
            let spent = cpu() - before;
            eprintln!("{url}: {spent:?} of processor time in 4 s");
            assert!(spent < Duration::from_millis(400), "{url}: {spent:?} of processor time in 4 s");
            client.close(Duration::from_secs(1)).await.unwrap();
        }
    });
}

#[test]
fn each_stage_has_its_own_time_out() {
    run(async {
        // Takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let socket = tempfile::tempdir().unwrap();
        let socket = socket.path().join("s");
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let limit = Duration::from_millis(300);
        let direct = |scheme: &str| (format!("{scheme}://127.0.0.1:{port}"), None);
        let through = |scheme: &str| ("mqtt://127.0.0.1:1".to_owned(), Some(format!("{scheme}://127.0.0.1:{port}")));
        for ((url, proxy), words) in [
            (direct("mqtts"), "from the TLS server"),
            (direct("wss"), "from the TLS server"),
            (direct("ws"), "from the WebSocket server"),
            (through("http"), "from the proxy"),
            (through("socks5"), "from the proxy"),
            (through("socks5h"), "from the proxy"),
        ] {
            let mut options = Options::new("unused");
            options.tls.trust = Trust::DangerousAcceptAnyServer;
            options.proxy = proxy.map_or(Proxy::Direct, |url| Proxy::Url(ProxyUrl::parse(&url).unwrap()));
            let began = Instant::now();
            let broker = BrokerUrl::parse(&url).unwrap();
            let error = dial(&broker, &options, &Connector::new(&options.tls), limit).await.err().unwrap().to_string();
            assert!(error.contains("no answer within 300ms") && error.contains(words), "{error}");
            assert!(began.elapsed() < 3 * limit, "{:?}", began.elapsed());
        }
        // An app's own stream that never comes.
        struct Never;
        impl Transport for Never {
            fn connect<'a>(&'a self, _broker: &'a BrokerUrl) -> Connecting<'a> {
                Box::pin(std::future::pending())
            }
        }
        let mut options = Options::new("unused");
        options.transport = Some(Arc::new(Never));
        let broker = BrokerUrl::parse("mqtt://h").unwrap();
        let plain = Connector::new(&TlsOptions::default());
        let error = dial(&broker, &options, &plain, limit).await.err().unwrap().to_string();
        assert!(error.contains("from the app's transport"), "{error}");
    });
}

#[test]
fn a_socket_that_cannot_be_is_refused_at_opening_and_one_that_is_not_there_is_named() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("unix:///{}/broker.sock", "x".repeat(200));
        let refused = Homing::open(options(folder.path(), &long)).await.err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|error| error.contains("option broker")), "{refused:?}");
        assert!(!folder.path().join("store.db").exists(), "nothing is stored");
        let missing = format!("unix://{}", folder.path().join("missing.sock").display());
        let told = reason(options(folder.path(), &missing)).await;
        assert!(told.contains("missing.sock") && told.contains("No such file"), "{told}");
        std::fs::write(folder.path().join("file"), "").unwrap();
        let file = format!("unix://{}", folder.path().join("file").display());
        let told = reason(options(tempfile::tempdir().unwrap().path(), &file)).await;
        assert!(told.contains("refused"), "{told}");
    });
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_broker_that_stops_reading_never_grows_memory() {
    run(async {
        let authority = Authority::new();
        let server = authority.server(&Wrong::default());
        let (websocket, wss) = mosquitto_with_secure_websocket(&server);
        let tls = Mosquitto::start_tls(&server, None, "");
        for (broker, url) in [(&tls, tls.url()), (&websocket, wss)] {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), &url);
            options.tls.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
            let client = Homing::open(options).await.unwrap();
            let mut states = client.state();
            while !matches!(states.get(), State::Online { .. }) {
                states.changed().await.unwrap();
            }
            broker.freeze();
            let payload = vec![7; 256 << 10];
            let publish = async |number: u32| {
                let topic = TopicName::new(format!("way/{number}")).unwrap();
                client.publish(Publish::new(topic, payload.clone())).await.unwrap()
            };
            // What the window holds.
            let mut ids = Vec::new();
            for number in 0..60 {
                ids.push(publish(number).await);
            }
            let before = resident();
            for number in 60..300 {
                ids.push(publish(number).await);
            }
            let (grown, written) = (resident().saturating_sub(before), client.metrics().bytes_out);
            eprintln!("{url}: 60 MiB more were accepted: {grown} bytes of memory more, {written} bytes written");
            assert!(grown < 16 << 20, "{grown}");
            broker.thaw();
            for id in ids {
                assert_eq!(client.settled(id).await.unwrap(), Fate::DELIVERED);
            }
            client.close(Duration::from_secs(10)).await.unwrap();
        }
    });
}

#[test]
fn a_link_through_a_proxy_that_hangs_up_is_told() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream);
            }
        });
        for scheme in ["http", "socks5", "socks5h"] {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), "mqtt://127.0.0.1:1");
            options.proxy = Proxy::Url(ProxyUrl::parse(&format!("{scheme}://{address}")).unwrap());
            let told = reason(options).await;
            assert!(told.contains(&format!("proxy {scheme}://{address}")), "{told}");
        }
    });
}
