//! `--profile tencent` against a broker that looks at every packet: fresh credentials, limits, pace.
#![allow(clippy::expect_used, reason = "a failing helper is a failing test")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use homing::internals::message::QoS;
use homing::wire::packet::{Connect, Packet, Protocol};
use homing_testkit::process::{Event, Homing};
use homing_testkit::script_broker::{PATIENCE, Peer, ScriptBroker, connack, puback};
use ring::hmac;
use serde_json::json;
use tempfile::TempDir;

const KEY: &[u8] = b"0123456789abcdef";
const CONFIG: &str = "profile = 'tencent'\n\n[tencent]\nproduct_id = 'ABCDE12345'\ndevice_name = 'dev01'\n\
                      secret = 'MDEyMzQ1Njc4OWFiY2RlZg=='\n";

struct Stage {
    broker: ScriptBroker,
    homing: Homing,
    config: PathBuf,
    _folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let broker = ScriptBroker::listen();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("homing.toml");
        std::fs::write(&config, CONFIG).expect("the configuration file");
        let homing = Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.path().join("store.db"))
            .flag("--broker", broker.url())
            .flag("--config", config.display());
        Self { broker, homing, config, _folder: folder }
    }

    /// The next connection, accepted once its CONNECT is what the service wants.
    fn greet(&self, session_present: bool) -> (Peer, String) {
        let mut peer = self.broker.accept();
        let user = checked(&peer.connect());
        peer.send(&connack(session_present, homing::ReasonCode::Success, Default::default()));
        (peer, user)
    }

    /// Runs a command that must fail; what it says.
    fn refused(&self, arguments: &[&str], status: i32) -> String {
        let output = self.homing.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(!said.contains("MDEy"), "{said}");
        said
    }
}

/// Checks a CONNECT as the service does; its user name.
fn checked(connect: &Connect) -> String {
    assert_eq!((connect.protocol, connect.client_id.as_str()), (Protocol::V4, "ABCDE12345dev01"));
    let credentials = connect.credentials.as_ref().expect("user name and password");
    let parts: Vec<&str> = credentials.user.split(';').collect();
    let [id, app, connection, expiry] = parts[..] else { panic!("{}", credentials.user) };
    assert_eq!((id, app), ("ABCDE12345dev01", "12010126"));
    assert!(connection.len() == 5 && connection.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{connection}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let expiry: u64 = expiry.parse().expect("a time");
    assert!((now..now + 86_400).contains(&expiry), "{expiry} at {now}");
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), credentials.user.as_bytes());
    let code: String = code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let password = credentials.password.clone().expect("a password");
    assert_eq!(String::from_utf8(password).expect("text"), format!("{code};hmacsha256"));
    credentials.user.clone()
}

#[test]
fn every_connect_has_credentials_of_its_own_and_comes_5_s_after_the_last() {
    let stage = Stage::new();
    let pipe = stage.homing.pipe(["ABCDE12345/dev01/a", "ABCDE12345/dev01/b"]);
    let (mut peer, first) = stage.greet(false);
    let connected = Instant::now();
    // One filter a packet, or the decoder of the test would have refused it.
    assert_eq!((peer.grant().wish.qos, peer.grant().wish.qos), (QoS::AtLeastOnce, QoS::AtLeastOnce));
    peer.close();
    pipe.send(&json!({"op": "connect"}));
    let (_peer, second) = stage.greet(true);
    assert!(connected.elapsed() > Duration::from_millis(4_950), "{:?}", connected.elapsed());
    assert_ne!(first, second);
}

#[test]
fn another_process_keeps_the_distance_too() {
    let stage = Stage::new();
    let pipe = stage.homing.pipe([""; 0]);
    let (_peer, _) = stage.greet(false);
    let connected = Instant::now();
    let mut pipe = pipe;
    pipe.connected(PATIENCE);
    pipe.kill();
    let _pipe = stage.homing.pipe([""; 0]);
    let (_peer, _) = stage.greet(true);
    assert!(connected.elapsed() > Duration::from_millis(4_950), "{:?}", connected.elapsed());
}

#[test]
fn what_the_service_would_cut_the_link_for_is_refused_before_it_is_stored() {
    let stage = Stage::new();
    let said = stage.refused(&["pub", "t", "x", "-q", "2"], 1);
    assert!(said.contains("Tencent IoT Hub does not know QoS 2; publish with QoS 1 at most"), "{said}");
    let said = stage.refused(&["pub", "t", "x", "-r"], 1);
    assert!(said.contains("Tencent IoT Hub keeps no retained messages"), "{said}");
    let said = stage.refused(&["pub", &"t".repeat(256), "x"], 1);
    assert!(said.contains("takes topics of at most 255 bytes; this one has 256"), "{said}");
    let said = stage.refused(&["pub", "t", &"x".repeat((16 << 10) + 1)], 1);
    assert!(said.contains("the limit is 16384"), "{said}");
    let said = stage.refused(&["sub", "t", "-q", "2", "--idle-exit", "1s"], 1);
    assert!(said.contains("does not know QoS 2; subscribe with QoS 1 at most"), "{said}");
    let said = stage.refused(&["pub", "t", "x", "--keep-alive", "901s"], 1);
    assert!(said.contains("option keep_alive: Tencent IoT Hub takes 0 to 900 s"), "{said}");
    let said = stage.refused(&["pub", "t", "x", "--mqtt", "5"], 1);
    assert!(said.contains("option version: Tencent IoT Hub speaks MQTT 3.1.1"), "{said}");
    let said = stage.refused(&["pub", "t", "x", "--client-id", "other"], 1);
    assert!(said.contains("option client_id: Tencent IoT Hub derives it"), "{said}");
    let waiting = stage.homing.json(["status", "--json"]).remove(0);
    assert_eq!(waiting["outbox"]["waiting"], 0, "{waiting}");
}

#[test]
fn in_a_pipe_the_line_is_refused_with_a_code_and_the_rest_goes_on() {
    let stage = Stage::new();
    let mut pipe = stage.homing.pipe([""; 0]);
    let (mut peer, _) = stage.greet(false);
    pipe.send(&json!({"op": "publish", "ref": "a", "topic": "t", "payload": "x", "qos": 2}));
    pipe.send(&json!({"op": "publish", "ref": "b", "topic": "t", "payload": "y", "qos": 1}));
    let code = pipe.until(PATIENCE, "error", |event| match event {
        Event::Error { code, .. } => Some(code.clone()),
        _ => None,
    });
    assert_eq!(code, "unsupported");
    let publish = peer.publish();
    assert_eq!(publish.payload, "y");
    peer.send(&puback(publish.pid));
}

#[test]
fn a_policy_that_allows_it_parks_or_downgrades() {
    let stage = Stage::new();
    for policy in ["park", "downgrade"] {
        let arguments = ["pub", "t", policy, "-q", "2", "--if-unsupported", policy, "--wait", "accepted", "--json"];
        assert_eq!(stage.homing.json(arguments).len(), 1);
    }
    let _pipe = stage.homing.pipe([""; 0]);
    let (mut peer, _) = stage.greet(false);
    let publish = peer.publish();
    assert_eq!((&publish.payload[..], publish.qos), (&b"downgrade"[..], QoS::AtLeastOnce));
    peer.send(&puback(publish.pid));
    let quiet = peer.try_packet(Duration::from_millis(300));
    assert!(!matches!(quiet, Ok(Packet::Publish(_))), "{quiet:?}");
}

#[test]
fn no_second_has_more_than_30_messages() {
    let stage = Stage::new();
    let pipe = stage.homing.pipe([""; 0]);
    let (mut peer, _) = stage.greet(false);
    pipe.publish_numbers("t", 0..60, 1);
    let mut times = Vec::new();
    while times.len() < 60 {
        let publish = peer.publish();
        assert_eq!(publish.payload, times.len().to_string());
        times.push(Instant::now());
        peer.send(&puback(publish.pid));
    }
    let most = times
        .iter()
        .map(|start| times.iter().filter(|at| **at >= *start && **at - *start < Duration::from_secs(1)).count());
    // On a busy machine this test may read late what was sent in time.
    assert!(most.max() <= Some(32));
    assert!(times[59] - times[0] > Duration::from_millis(1_900));
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    let stage = Stage::new();
    for (written, problem) in [
        (CONFIG.replace("device_name = 'dev01'\n", ""), "tencent profile: device_name is missing"),
        (CONFIG.replace("MDEyMzQ1Njc4OWFiY2RlZg==", "MDEy?"), "tencent profile: secret is not base64"),
        (CONFIG.replace("device_name", "device"), "device is not a key"),
        (CONFIG.replace("profile = 'tencent'", "profile = 'other'"), "profile: "),
    ] {
        std::fs::write(&stage.config, written).expect("the configuration file");
        let said = stage.refused(&["pub", "t", "x"], 2);
        assert!(said.contains(problem), "{said}");
    }
}
