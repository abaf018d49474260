//! The whole client against ports that speak something else, servers that stop in the middle, and app code that misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]
#![allow(missing_docs, unreachable_pub, reason = "a test of several files")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use homing::internals::tls::TlsOptions;
use homing::link::dial::dial;
use homing::link::tls::Connector;
use homing::{BrokerUrl, Connecting, Homing, Options, Proxy, ProxyUrl, State, Transport, Trust};
use homing_testkit::certificates::{Authority, Wrong};
use homing_testkit::mosquitto::Mosquitto;

mod app;
#[cfg(target_os = "linux")]
mod measured;

/// Measured are processor time and descriptors of the whole process: one test at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

pub(crate) fn run(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("hangs") });
}

pub(crate) fn options(folder: &Path, url: &str) -> Options {
    let mut options = Options::new(folder.join("store.db"));
    options.broker = Some(BrokerUrl::parse(url).unwrap());
    options
}

/// The first reason for waiting.
pub(crate) async fn reason(options: Options) -> String {
    let client = Homing::open(options).await.unwrap();
    let reason = waiting(&client).await;
    client.close(Duration::from_secs(10)).await.unwrap();
    reason
}

pub(crate) async fn waiting(client: &Homing) -> String {
    let mut states = client.state();
    loop {
        if let State::Waiting { why, .. } = states.get() {
            return why.to_string();
        }
        states.changed().await.unwrap();
    }
}

/// A port that answers whatever comes first with these bytes and closes.
pub(crate) fn answering(bytes: &'static [u8]) -> u16 {
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
