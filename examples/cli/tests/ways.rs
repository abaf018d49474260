//! The command line over WebSocket, through proxies, and at a Unix socket, with real servers.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use homing_testkit::certificates::{Authority, Wrong};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::process::{Event, Homing, Pipe};
use homing_testkit::way::{
    RealProxy, mosquitto_with_mutual_websocket, mosquitto_with_secure_websocket, mosquitto_with_socket,
    mosquitto_with_websocket,
};

const PATIENCE: Duration = Duration::from_secs(90);
const LOGIN: (&str, &str) = ("user", "sesame");

fn homing(folder: &Path, broker: &str) -> Homing {
    Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.join("store.db")).flag("--broker", broker)
}

/// One message there and back, QoS 2 both ways.
fn there_and_back(homing: &Homing) {
    let mut pipe = homing.pipe(["way/#", "-q", "2", "--auto-done", "--exit-when-drained"]);
    pipe.subscribed("way/#", PATIENCE);
    echo(&mut pipe, "first");
    pipe.close_stdin();
    let (_, status) = pipe.finish(PATIENCE);
    assert!(status.success(), "{status}");
}

fn echo(pipe: &mut Pipe, payload: &str) {
    pipe.publish(payload, "way/echo", payload, 2);
    let seen = pipe.until(PATIENCE, "message", |event| match event {
        Event::Message(message) => message.payload.clone(),
        _ => None,
    });
    assert_eq!(seen, payload);
}

/// Why it waits.
fn reason(homing: &Homing) -> (String, u64) {
    let mut pipe = homing.pipe([] as [&str; 0]);
    pipe.until(PATIENCE, "a failed attempt", |event| match event {
        Event::Connection { state, reason, retry_in_ms, .. } if state == "waiting" => {
            Some((reason.clone().unwrap(), retry_in_ms.unwrap()))
        }
        _ => None,
    })
}

#[test]
fn websocket_through_a_kill_of_the_client_and_of_the_broker() {
    let (mut broker, url) = mosquitto_with_websocket();
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(folder.path(), &url);
    there_and_back(&homing);
    let mut pipe = homing.pipe(["way/#", "-q", "2", "--auto-done"]);
    pipe.connected(PATIENCE);
    echo(&mut pipe, "second");
    pipe.kill();
    let mut pipe = homing.pipe(["way/#", "-q", "2", "--auto-done"]);
    assert!(pipe.connected(PATIENCE), "the broker still has the session");
    broker.kill();
    pipe.until(PATIENCE, "waiting", |event| match event {
        Event::Connection { state, .. } if state == "waiting" => Some(()),
        _ => None,
    });
    broker.restart();
    pipe.subscribed("way/#", PATIENCE);
    echo(&mut pipe, "third");
}

#[test]
fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, url) = mosquitto_with_socket(folder.path());
    let homing = homing(folder.path(), &url);
    there_and_back(&homing);
    assert_eq!(homing.json(["status", "--json"])[0]["broker"], url.as_str());
}

#[test]
fn an_http_proxy_with_and_without_authentication() {
    let (broker, websocket) = mosquitto_with_websocket();
    let open = RealProxy::http(None, None);
    let locked = RealProxy::http(Some(LOGIN), None);
    for (proxy, login) in [(&open, None), (&locked, Some(LOGIN))] {
        for url in [&broker.url(), &websocket] {
            let folder = tempfile::tempdir().unwrap();
            there_and_back(&homing(folder.path(), url).flag("--proxy", proxy.url(login)));
        }
        assert!(proxy.log().contains("CONNECT 127.0.0.1"), "{}", proxy.log());
    }
    for (login, words) in [(None, "asks for a user name"), (Some(("user", "wrong")), "refuses the user name")] {
        let folder = tempfile::tempdir().unwrap();
        let (reason, wait) = reason(&homing(folder.path(), &broker.url()).flag("--proxy", locked.url(login)));
        assert!(reason.starts_with("credentials refused: proxy http://127.0.0.1:"), "{reason}");
        assert!(reason.contains(words) && !reason.contains("wrong") && wait > 60_000, "{reason} {wait}");
    }
}

#[test]
fn an_http_proxy_that_refuses_the_port() {
    let broker = Mosquitto::start(Inflight::Default);
    let proxy = RealProxy::http(None, Some(443));
    let folder = tempfile::tempdir().unwrap();
    let (reason, _) = reason(&homing(folder.path(), &broker.url()).flag("--proxy", proxy.url(None)));
    assert!(reason.contains("HTTP 403: its rules forbid it"), "{reason}");
}

#[test]
fn socks_with_and_without_authentication() {
    let broker = Mosquitto::start(Inflight::Default);
    for (scheme, login) in [("socks5", None), ("socks5h", Some(LOGIN))] {
        let proxy = RealProxy::socks(scheme, login);
        let folder = tempfile::tempdir().unwrap();
        let by_name = broker.url().replace("127.0.0.1", "localhost");
        there_and_back(&homing(folder.path(), &by_name).flag("--proxy", proxy.url(login)));
        if login.is_some() {
            let wrong = homing(&folder.path().join("wrong"), &broker.url());
            let (reason, _) = reason(&wrong.flag("--proxy", proxy.url(Some(("user", "wrong")))));
            assert!(reason.contains("refuses the user name and password") && !reason.contains("wrong"), "{reason}");
        }
        let nobody = format!("mqtt://127.0.0.1:{}", homing_testkit::ports::free());
        let (reason, _) = reason(&homing(&folder.path().join("nobody"), &nobody).flag("--proxy", proxy.url(login)));
        assert!(reason.contains("could not connect to the broker: connection refused"), "{reason}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let proxy = format!("http://user:sesame@127.0.0.1:{}", homing_testkit::ports::free());
    let homing = homing(folder.path(), &broker.url()).flag("--proxy", &proxy);
    let (reason, _) = reason(&homing);
    assert!(reason.contains("proxy http://127.0.0.1:") && reason.contains("not reachable"), "{reason}");
    assert!(!reason.contains("sesame"), "{reason}");
    let status = homing.run(["status", "--json"]);
    assert!(!String::from_utf8_lossy(&status.stdout).contains("sesame"));
}

#[test]
fn what_a_proxy_cannot_be_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for proxy in ["u:sesame@proxy:1", "https://proxy:1", "http://proxy", "socks5://u:sesame@:1"] {
        let output = homing(folder.path(), "mqtt://h").flag("--proxy", proxy).run(["pub", "a", "b"]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(words.contains("--proxy: ") && !words.contains("sesame"), "{words}");
    }
}

#[test]
fn a_websocket_server_that_refuses_us_is_not_asked_again_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/mqtt?token=sesame", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let homing = homing(folder.path(), &url);
    let (reason, wait) = reason(&homing);
    assert!(reason.starts_with("credentials refused: HTTP 401") && wait > 60_000, "{reason} {wait}");
    let output = homing.run(["pub", "a", "b", "--wait", "delivered"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && words.contains("credentials refused"), "{words}");
    assert!(!words.contains("sesame"), "{words}");
}

#[test]
fn tls_goes_below_websocket_and_through_proxies() {
    let authority = Authority::new();
    let server = authority.server(&Wrong::default());
    let (_broker, url) = mosquitto_with_secure_websocket(&server);
    let proxies = [None, Some(RealProxy::http(Some(LOGIN), None)), Some(RealProxy::socks("socks5", Some(LOGIN)))];
    for proxy in proxies {
        let folder = tempfile::tempdir().unwrap();
        let mut homing = homing(folder.path(), &url).flag("--tls-ca", authority.file.display());
        if let Some(proxy) = &proxy {
            homing = homing.flag("--proxy", proxy.url(Some(LOGIN)));
        }
        there_and_back(&homing);
    }
    let folder = tempfile::tempdir().unwrap();
    let (why, _) = reason(&homing(folder.path(), &url).flag("--tls-ca", Authority::new().file.display()));
    assert!(why.starts_with("TLS: "), "another authority: {why}");
}

#[test]
fn client_certificates_go_through_websocket_and_proxies_with_authentication() {
    let authority = Authority::new();
    let server = authority.server(&Wrong::default());
    let phone = authority.client("phone", &Wrong::default());
    let (_broker, url) = mosquitto_with_mutual_websocket(&server, &authority.file);
    for scheme in ["http", "socks5", "socks5h"] {
        let proxy =
            if scheme == "http" { RealProxy::http(Some(LOGIN), None) } else { RealProxy::socks(scheme, Some(LOGIN)) };
        let folder = tempfile::tempdir().unwrap();
        let url = url.replace("127.0.0.1", "localhost");
        let anonymous = homing(folder.path(), &url)
            .flag("--tls-ca", authority.file.display())
            .flag("--proxy", proxy.url(Some(LOGIN)));
        let known = anonymous.clone().flag("--tls-cert", phone.chain.display()).flag("--tls-key", phone.key.display());
        there_and_back(&known);
        let (why, _) = reason(&anonymous);
        assert!(why.contains("asks for a client certificate"), "{scheme}: {why}");
    }
}

#[test]
fn the_files_proxy_is_undone_by_a_flag() {
    let broker = Mosquitto::start(Inflight::Default);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("homing.toml");
    std::fs::write(&file, format!("proxy = 'http://127.0.0.1:{}'\n", homing_testkit::ports::free())).unwrap();
    let homing = homing(folder.path(), &broker.url()).flag("--config", file.display());
    let (why, _) = reason(&homing);
    assert!(why.contains("not reachable"), "{why}");
    there_and_back(&homing.flag("--proxy", "none"));
}
