//! `mqtts://` against a real mosquitto: what goes through, and what each refusal says.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base64::Engine;
use homing_testkit::certificates::{Authority, Held, Wrong};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::process::{Event, Homing, NoEvent, Pipe};
use homing_testkit::proxy::Proxy;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl House {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new() }
    }

    fn broker(&self) -> Mosquitto {
        Mosquitto::start_tls(&self.authority.server(&Wrong::default()), None, "")
    }

    fn store(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn homing(&self, store: &str, url: &str) -> Homing {
        Homing::new(BINARY, &self.store(store)).flag("--broker", url).flag("--tls-ca", self.authority.file.display())
    }
}

fn pin(held: &Held) -> String {
    base64::engine::general_purpose::STANDARD.encode(digest(&SHA256, &held.spki))
}

fn with_identity(homing: Homing, held: &Held) -> Homing {
    homing.flag("--tls-cert", held.chain.display()).flag("--tls-key", held.key.display())
}

/// Why it waits.
fn reason(pipe: &mut Pipe) -> String {
    pipe.until(PATIENCE, "waiting with a reason", |event| match event {
        Event::Connection { state, reason, retry_in_ms, .. } if state == "waiting" => {
            assert!(retry_in_ms.is_some_and(|wait| wait >= 500), "no tight loop: {event:?}");
            reason.clone()
        }
        _ => None,
    })
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn messages_of_every_qos_go_through_and_come_back() {
    let house = House::new();
    let server = house.authority.server(&Wrong { between: 1, ..Wrong::default() });
    let next = house.authority.server(&Wrong::default());
    let broker = Mosquitto::start_tls(&server, None, "");
    let phone = house.homing("phone.db", &broker.url()).flag("--tls-pin", pin(&next)).flag("--tls-pin", pin(&server));
    assert_eq!(phone.json(["sub", "home/#", "-q", "2", "--idle-exit", "1s", "--json"]), [] as [Value; 0]);
    let sensor = house.homing("sensor.db", &broker.url());
    for qos in ["0", "1", "2"] {
        let output = sensor.run(["pub", "home/light", "on", "-q", qos, "--wait", "delivered", "--json"]);
        let outcome = if qos == "0" { "\"sent\"" } else { "\"delivered\"" };
        assert!(String::from_utf8_lossy(&output.stdout).contains(outcome), "{output:?}");
    }
    let large = "x".repeat(1 << 20);
    let file = house.store("large");
    std::fs::write(&file, &large).unwrap();
    assert!(sensor.run_with(["pub", "home/large", "-q", "2", "--wait", "delivered"], &file).status.success());
    let heard = phone.json(["sub", "home/#", "-q", "2", "--count", "3", "--json"]);
    let heard: Vec<(&Value, usize)> = heard.iter().map(|m| (&m["qos"], m["payload"].as_str().unwrap().len())).collect();
    assert_eq!(heard, [(&json!(1), 2), (&json!(2), 2), (&json!(2), large.len())], "QoS 0 is not kept for who is away");
}

#[test]
fn a_link_that_is_cut_is_made_again_and_nothing_is_lost() {
    let house = House::new();
    let broker = house.broker();
    let proxy = Proxy::start(broker.address(), []);
    let url = proxy.url().replace("mqtt://", "mqtts://");
    let mut pipe = house.homing("a.db", &url).pipe(["home/#", "-q", "2", "--auto-done", "--exit-when-drained"]);
    pipe.connected(PATIENCE);
    pipe.subscribed("home/#", PATIENCE);
    let mut heard = Vec::new();
    // Messages may come before and after the news of the link.
    let mut until = |pipe: &mut Pipe, what: &str, enough: &dyn Fn(&Event, usize) -> bool| {
        pipe.until(PATIENCE, what, |event| {
            if let Event::Message(message) = event {
                heard.push(message.payload.clone().unwrap().parse::<u64>().unwrap());
            }
            enough(event, heard.len()).then_some(())
        });
    };
    for round in 0..3 {
        pipe.publish_numbers("home/count", round * 100..(round + 1) * 100, 2);
        until(&mut pipe, "a message", &|_, count| count > round as usize * 100);
        proxy.cut();
        until(
            &mut pipe,
            "the next link",
            &|event, _| matches!(event, Event::Connection { state, .. } if state == "connected"),
        );
    }
    until(&mut pipe, "every message", &|_, count| count == 300);
    pipe.close_stdin();
    let (_, status) = pipe.finish(PATIENCE);
    assert!(status.success());
    heard.sort_unstable();
    assert_eq!(heard, (0..300).collect::<Vec<_>>());
}

#[test]
fn each_fault_of_the_broker_says_what_to_do() {
    let house = House::new();
    let days = |from, to| Wrong { days: Some((from, to)), ..Wrong::default() };
    let elsewhere = Wrong { host: Some("other.example".to_owned()), ..Wrong::default() };
    let cases = [
        (house.authority.server(&days(-9, -2)), "certificate expired 2 days ago"),
        (house.authority.server(&days(4, 9)), "certificate is valid only in"),
        (house.authority.server(&elsewhere), "not for 127.0.0.1 but for other.example"),
        (Authority::new().server(&Wrong::default()), "leads to no authority that is trusted"),
        (house.authority.server(&Wrong { between: 7, ..Wrong::default() }), "chain of certificates is too long"),
    ];
    for (at, (held, words)) in cases.iter().enumerate() {
        let broker = Mosquitto::start_tls(held, None, "");
        let mut pipe = house.homing(&format!("{at}.db"), &broker.url()).pipe([] as [&str; 0]);
        let reason = reason(&mut pipe);
        assert!(reason.starts_with("TLS: ") && reason.contains(words), "{words}: {reason}");
    }
    let broker = house.broker();
    let revoked = house.authority.server(&Wrong::default());
    let mut pipe = house.homing("pin.db", &broker.url()).flag("--tls-pin", pin(&revoked)).pipe([] as [&str; 0]);
    assert!(reason(&mut pipe).contains("is none of the pins"));

    let plain = Mosquitto::start(Inflight::Default);
    let mut pipe = house.homing("plain.db", &plain.url().replace("mqtt:", "mqtts:")).pipe([] as [&str; 0]);
    let told = reason(&mut pipe);
    assert!(told.contains("does not speak TLS on this port"), "{told}");
}

#[test]
fn a_refused_link_keeps_what_was_published_until_the_broker_is_mended() {
    let house = House::new();
    let broker = Mosquitto::start_tls(&Authority::new().server(&Wrong::default()), None, "");
    let homing = house.homing("a.db", &broker.url());
    assert!(homing.run(["pub", "home/light", "on", "-q", "2", "--wait", "accepted"]).status.success());
    let output = homing.run(["sync", "--deadline", "3s", "--json"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"waiting\":1"), "{output:?}");
    assert!(text(&output).contains("no authority that is trusted"), "{}", text(&output));
    let mended = house.broker();
    let report = house.homing("a.db", &mended.url()).json(["sync", "--json"]);
    assert_eq!(report, [json!({"sent": 1, "received": 0, "waiting": 0, "drained": true})]);
}

#[test]
fn client_certificates_open_the_broker_and_refusals_are_told() {
    let house = House::new();
    let server = house.authority.server(&Wrong::default());
    let (good, foreign) =
        (house.authority.client("phone", &Wrong::default()), Authority::new().client("x", &Wrong::default()));
    let expired = house.authority.client("old", &Wrong { days: Some((-9, -1)), ..Wrong::default() });
    let broker = Mosquitto::start_tls(&server, Some(&house.authority.file), "use_identity_as_username true\n");
    let homing = |store: &str| house.homing(store, &broker.url());
    let phone = with_identity(homing("good.db"), &good);
    assert!(phone.run(["pub", "home/light", "on", "-q", "2", "--wait", "delivered"]).status.success());

    let told = reason(&mut homing("none.db").pipe([] as [&str; 0]));
    assert!(told.contains("asks for a client certificate"), "{told}");
    let told = reason(&mut with_identity(homing("foreign.db"), &foreign).pipe([] as [&str; 0]));
    assert!(told.contains("refused our client certificate"), "{told}");
    let mut pipe = with_identity(homing("expired.db"), &expired).pipe([] as [&str; 0]);
    let told = reason(&mut pipe);
    assert!(told.contains("refused our client certificate"), "{told}");
    assert!(pipe.errors().contains("client_certificate_expired"), "{}", pipe.errors());
}

#[test]
fn without_a_ca_the_system_is_trusted() {
    let house = House::new();
    let broker = house.broker();
    let system = |authorities: &Path| {
        let publish = ["pub", "home/light", "on", "--wait", "delivered", "--broker", &broker.url(), "--store"];
        let mut command = Command::new(BINARY);
        command
            .args(publish)
            .arg(house.store("system.db"))
            .env("SSL_CERT_FILE", authorities)
            .env_remove("SSL_CERT_DIR");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    assert!(system(&house.authority.file).status().unwrap().success());
    let other = Authority::named("another");
    let mut refused = system(&other.file).spawn().unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(refused.stderr.take().unwrap());
    while !said.contains("no authority that is trusted") {
        assert!(std::io::BufRead::read_line(&mut errors, &mut said).unwrap() > 0, "{said}");
    }
    refused.kill().unwrap();
    refused.wait().unwrap();
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_stored() {
    let house = House::new();
    let (good, other) =
        (house.authority.client("a", &Wrong::default()), house.authority.client("b", &Wrong::default()));
    let certificate = std::fs::read_to_string(&good.chain).unwrap();
    let spoilt = good.file("spoilt.pem", format!("{certificate}{}", certificate.replacen("MII", "AII", 1)));
    let empty = good.file("empty.pem", "");
    let path = |file: &Path| file.display().to_string();
    let url = "mqtts://localhost:1";
    let (chain, key, other_key) = (path(&good.chain), path(&good.key), path(&other.key));
    let cases: [(&[&str], &str); 9] = [
        (&["--tls-ca", &path(&spoilt)], "spoilt.pem: the certificate in PEM block 2 is not valid"),
        (&["--tls-ca", &path(&empty)], "empty.pem holds no certificate"),
        (&["--tls-ca", "/nowhere/ca.pem"], "/nowhere/ca.pem cannot be read"),
        (&["--tls-cert", &chain], "give --tls-key too"),
        (&["--tls-key", &key], "give --tls-cert too"),
        (&["--tls-cert", &chain, "--tls-key", &other_key], "is not the key of the first certificate"),
        (&["--tls-cert", &chain, "--tls-key", &chain], "holds no private key"),
        (&["--tls-pin", "AAAA"], "32 bytes"),
        (&["--tls-pin", "not a pin"], "neither base64 nor 64 hex digits"),
    ];
    let store = house.store("never.db");
    let run = |url: &str, flags: &[&str]| {
        let mut all = vec!["pub", "home/light", "on", "--wait", "accepted", "--broker", url];
        all.extend(flags);
        Homing::new(BINARY, &store).run(all)
    };
    for (flags, words) in cases {
        let output = run(url, flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", text(&output));
        assert!(text(&output).contains(words), "{words}: {}", text(&output));
        assert!(!text(&output).contains("PRIVATE KEY"), "{}", text(&output));
    }
    let output = run("mqtt://localhost:1", &["--tls-ca", &path(&house.authority.file)]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("mqtt://localhost:1 is not encrypted"), "{}", text(&output));
    assert!(!store.exists());

    // The broker that the store knows counts too.
    assert!(run("mqtt://localhost:1", &[]).status.success());
    let known = Homing::new(BINARY, &store).flag("--tls-ca", path(&house.authority.file));
    let output = known.run(["sync", "--deadline", "1s"]);
    assert!(text(&output).contains("mqtt://localhost:1 is not encrypted"), "{}", text(&output));
}

#[test]
fn variables_and_the_configuration_file_say_it_too() {
    let house = House::new();
    let server = house.authority.server(&Wrong::default());
    let client = house.authority.client("phone", &Wrong::default());
    let broker = Mosquitto::start_tls(&server, Some(&house.authority.file), "");
    let config = house.store("homing.toml");
    let lines = format!(
        "broker = '{}'\ntls-ca = '{}'\ntls-cert = '{}'\ntls-key = '{}'\ntls-pin = ['{}', '{}']\n",
        broker.url(),
        house.authority.file.display(),
        client.chain.display(),
        client.key.display(),
        pin(&client),
        pin(&server),
    );
    std::fs::write(&config, lines).unwrap();
    let publish = ["pub", "home/light", "on", "--wait", "delivered"];
    let homing = Homing::new(BINARY, &house.store("file.db")).flag("--config", config.display());
    let output = homing.run(publish);
    assert!(output.status.success(), "{}", text(&output));

    let output = Command::new(BINARY)
        .args(publish)
        .env("HOMING_STORE", house.store("variables.db"))
        .env("HOMING_BROKER", broker.url())
        .env("HOMING_TLS_CA", &house.authority.file)
        .env("HOMING_TLS_CERT", &client.chain)
        .env("HOMING_TLS_KEY", &client.key)
        .env("HOMING_TLS_PIN", format!("{},{}", pin(&client), pin(&server)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_server_that_never_greets_holds_nothing_up() {
    let house = House::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtts://{}", silent.local_addr().unwrap());
    let homing = house.homing("a.db", &url);
    let mut pipe = homing.pipe([] as [&str; 0]);
    pipe.publish("a", "home/light", "on", 2);
    pipe.until(PATIENCE, "accepted", |event| matches!(event, Event::Accepted { .. }).then_some(()));
    let told = reason(&mut pipe);
    assert!(told.contains("TLS handshake was not finished within 15s"), "{told}");
    assert!(!matches!(pipe.next(Duration::ZERO), Err(NoEvent::Ended)));
}
