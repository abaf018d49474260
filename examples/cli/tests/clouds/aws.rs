//! AWS IoT Core: certificates on the shared port, an authorizer, signed requests, and what it cuts the link for.

use std::sync::mpsc::{Receiver, channel};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use homing_testkit::service::Fault;
use homing_testkit::service::aws::{Clients, IotCore, signed};
use homing_testkit::service::openssl::{encoded, rsa_key, sign};

use super::*;

const ENDPOINT: &str = "abc-ats.iot.eu-west-1.amazonaws.com";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "IQoJ/b3+JpZ2lu==";

fn config(fields: &str) -> String {
    format!("profile = 'aws'\n[aws]\nendpoint = '{ENDPOINT}'\n{fields}")
}

/// By certificate, on the shared port.
fn by_certificate(fields: &str, alpn: Option<&'static str>) -> Stage {
    let stage = Stage::new(IotCore(Clients::Certificate(alpn)), &config(fields));
    let mut stage = stage.behind("mqtts", |stage| Wanted {
        clients: Some(stage.authority.file.clone()),
        alpn: if alpn.is_some() { &["x-amzn-mqtt-ca", "mqtt"] } else { &[] },
        ..stage.tls()
    });
    let held = stage.authority.client("thing", &Wrong::default());
    for (flag, name, from) in [("--tls-cert", "input-cert.pem", &held.chain), ("--tls-key", "input-key.pem", &held.key)]
    {
        let file = stage.folder.path().join(name);
        std::fs::copy(from, &file).unwrap();
        stage.homing = stage.homing.flag(flag, file.display());
    }
    stage
}

/// By a signed request; what was wrong with requests.
fn by_request(token: Option<&'static str>, fields: &str) -> (Stage, Receiver<Fault>) {
    let (told, faults) = channel();
    let keys = format!("auth = 'sigv4'\naccess_key_id = 'AKIDEXAMPLE'\nsecret_access_key = '{SECRET}'\n{fields}");
    let stage = Stage::new(IotCore(Clients::Request), &config(&keys));
    let upgrade = signed("eu-west-1", "AKIDEXAMPLE", SECRET, token, told);
    (stage.behind("wss", |stage| Wanted { websocket: Some(upgrade), ..stage.tls() }), faults)
}

#[test]
fn a_certificate_opens_both_ports_in_both_versions() {
    for (fields, alpn) in [("", None), ("auth = 'x509-443'\n", Some("x-amzn-mqtt-ca"))] {
        for version in ["5", "3"] {
            let stage = by_certificate(fields, alpn);
            let homing = stage.homing.clone().flag("--mqtt", version);
            let mut pipe = homing.pipe(["home/#", "--auto-done"]);
            pipe.subscribed("home/#", PATIENCE);
            pipe.publish("a", "home/light", "on", 1);
            delivered(&mut pipe, 1);
            stage.service.deliver("home/light", "off");
            assert_eq!(message(&mut pipe), "off");
            stage.service.cut();
            assert!(pipe.connected(PATIENCE));
            stage.service.is_content();
        }
    }
}

#[test]
fn an_authorizer_gets_its_token_and_nothing_of_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = (folder.path().join("key.pem"), folder.path().join("public.pem"));
    rsa_key(&key, &public);
    let token = "tok&en=1 +%/ä";
    let signature = STANDARD.encode(sign(&key, token.as_bytes()));
    let fields = format!(
        "auth = 'custom'\nuser = 'me'\nauthorizer = 'MyAuth_1'\ntoken_key = 'tokenKey'\ntoken = '{token}'\n\
         token_signature = '{signature}'\npassword = 'pass&word'\n"
    );
    let clients = Clients::Authorizer { name: "MyAuth_1", key: "tokenKey", password: "pass&word", public };
    let stage = Stage::new(IotCore(clients), &config(&fields));
    let stage = stage.behind("mqtts", |stage| Wanted { alpn: &["mqtt", "x-amzn-mqtt-ca"], ..stage.tls() });
    let encoded = encoded(token);
    let secrets = [token, "pass&word", &signature, &encoded, "x-amz-customauthorizer"];
    stage.keeps_secret(&secrets, &["pub", "home/light", "on"]);
    stage.service.is_content();
}

#[test]
fn each_websocket_is_asked_for_by_a_signed_request() {
    let session = format!("session_token = '{SESSION}'\n");
    for (token, fields) in [(None, ""), (Some(SESSION), session.as_str())] {
        let (stage, faults) = by_request(token, fields);
        let mut pipe = stage.homing.pipe(["home/#", "--auto-done"]);
        if let Ok(fault) = faults.recv_timeout(Duration::from_millis(500)) {
            panic!("{fault}");
        }
        pipe.subscribed("home/#", PATIENCE);
        pipe.publish("a", "home/light", "x".repeat(100_000), 1);
        delivered(&mut pipe, 1);
        stage.service.deliver("home/light", "off");
        assert_eq!(message(&mut pipe), "off");
        stage.service.cut();
        assert!(pipe.connected(PATIENCE));
        drop(pipe);
        let encoded = encoded(SESSION);
        let secrets = [SECRET, SESSION, &encoded, "X-Amz-Signature", "X-Amz-Credential"];
        stage.keeps_secret(&secrets, &["pub", "home/light", "on"]);
        assert!(faults.try_recv().is_err());
        stage.service.is_content();
    }
}

#[test]
fn a_wrong_secret_is_told_as_refused_credentials() {
    let (stage, faults) = by_request(None, "");
    let file = stage.folder.path().join("homing.toml");
    let wrong = std::fs::read_to_string(&file).unwrap().replace("wJalr", "wJalR");
    std::fs::write(&file, wrong).unwrap();
    let output = stage.homing.run(["pub", "home/light", "on", "--wait", "delivered", "-vvv"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("credentials refused: HTTP 403"), "{said}");
    assert!(!said.contains("X-Amz") && !said.contains("wJalR"), "{said}");
    assert!(faults.recv_timeout(PATIENCE).unwrap().contains("another signature"));
}

#[test]
fn what_aws_would_cut_the_link_for_is_refused_before_it_is_stored() {
    let stage = by_certificate("", None);
    let cases: [(&[&str], &str); 8] = [
        (&["pub", "t", "x", "-q", "2"], "AWS IoT Core does not know QoS 2; publish with QoS 1 at most"),
        (&["sub", "t", "-q", "2", "--idle-exit", "1s"], "does not know QoS 2; subscribe with QoS 1 at most"),
        (&["pub", "a/b/c/d/e/f/g/h/i", "x"], "takes topics with at most 7 slashes; this one has 8"),
        (&["sub", "a/b/c/d/e/f/g/h/#", "--idle-exit", "1s"], "takes topics with at most 7 slashes; this one has 8"),
        (&["pub", &"t".repeat(257), "x"], "takes topics of at most 256 bytes; this one has 257"),
        (&["pub", "t", "x", "--keep-alive", "29s"], "option keep_alive: AWS IoT Core takes 30 to 1200 s"),
        (&["pub", "t", "x", "--keep-alive", "1201s"], "option keep_alive: AWS IoT Core takes 30 to 1200 s"),
        (&["pub", "t", "x", "--client-id", &"c".repeat(129)], "option client_id: AWS IoT Core takes at most 128 bytes"),
    ];
    for (arguments, words) in cases {
        let said = stage.refused(arguments);
        assert!(said.contains(words), "{words}: {said}");
    }
    let large = stage.folder.path().join("input-large");
    std::fs::write(&large, vec![b'x'; (128 << 10) + 1]).unwrap();
    let output = stage.homing.run_with(["pub", "t"], &large);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the limit is 131072"), "{output:?}");
    // The most that is taken.
    std::fs::write(&large, vec![b'x'; 128 << 10]).unwrap();
    assert!(stage.homing.run_with(["pub", "a/b/c/d/e/f/g/h", "--wait", "delivered"], &large).status.success());
    let rule = format!("$aws/rules/rule/{}", "t".repeat(256));
    assert!(stage.homing.run(["pub", &rule, "x", "-r", "--wait", "delivered"]).status.success());
    stage.service.is_content();
}

#[test]
fn the_pace_is_the_services_also_after_a_cut_and_for_what_other_days_left() {
    let stage = by_certificate("", None);
    let generic = Homing::new(BINARY, &stage.store());
    // Queued before anybody knew of AWS: what it would cut the link for must not go.
    for arguments in [&["pub", "t", "x", "-q", "2"][..], &["pub", "a/b/c/d/e/f/g/h/i", "x"]] {
        let arguments = [arguments, &["--wait", "accepted", "--broker", "mqtt://127.0.0.1:1"]].concat();
        assert!(generic.run(arguments).status.success());
    }
    let mut pipe = stage.homing.pipe(["--exit-when-drained"]);
    pipe.publish_numbers("home/count", 0..250, 1);
    stage.service.until("messages", PATIENCE, |seen| seen.published.len() > 50);
    stage.service.cut();
    pipe.close_stdin();
    let (events, status) = pipe.finish(PATIENCE);
    assert!(status.success());
    let outcomes = |wanted: &str| {
        events.iter().filter(|event| matches!(event, Event::Verdict { outcome, .. } if outcome == wanted)).count()
    };
    assert_eq!((outcomes("refused"), outcomes("delivered")), (2, 250));
    stage.service.is_content();
}
