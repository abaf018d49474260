//! Azure IoT Hub: a token for each CONNECT, renewed before the hub ends the link.

use std::time::Instant;

use homing_testkit::service::azure::IotHub;
use serde_json::json;

use super::*;

const KEY: &str = "/+8AESIzRFVmd4iZqrvM3Q==";
const CONFIG: &str = "profile = 'azure'\n[azure]\nhub = 'contoso'\ndevice_id = 'dev:1@home'\n\
                      key = '/+8AESIzRFVmd4iZqrvM3Q=='\n";
const EVENTS: &str = "devices/dev:1@home/messages/events/";
const COMMANDS: &str = "devices/dev:1@home/messages/devicebound/#";

fn hub(config: &str) -> Stage {
    let rules = IotHub { hub: "contoso.azure-devices.net", device: "dev:1@home", key: KEY };
    Stage::new(rules, config).behind("mqtts", Stage::tls)
}

#[test]
fn messages_go_both_ways_and_a_cut_brings_a_token_of_its_own() {
    let stage = hub(CONFIG);
    let mut pipe = stage.homing.pipe([COMMANDS, "--auto-done"]);
    assert!(!pipe.connected(PATIENCE));
    pipe.publish_numbers(EVENTS, 0..20, 1);
    delivered(&mut pipe, 20);
    stage.service.deliver("devices/dev:1@home/messages/devicebound/%24.to=x", "on");
    assert_eq!(message(&mut pipe), "on");
    stage.service.cut();
    assert!(pipe.connected(PATIENCE));
    pipe.publish("last", EVENTS, "off", 1);
    delivered(&mut pipe, 1);
    stage.service.is_content();
    assert_eq!(stage.service.seen(|seen| seen.connects.len()), 2);
}

#[test]
fn a_token_is_renewed_before_it_is_over_and_nothing_is_lost() {
    // The shortest life that there is.
    let stage = hub(&format!("{CONFIG}token_lifetime = '60s'\n"));
    let mut pipe = stage.homing.pipe([COMMANDS, "--auto-done"]);
    pipe.connected(PATIENCE);
    pipe.subscribed(COMMANDS, PATIENCE);
    let start = Instant::now();
    let mut sent = 0;
    while stage.service.seen(|seen| seen.connects.len()) < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "no other token: {:?}", stage.service.seen(|s| s.expired));
        pipe.publish(sent, EVENTS, sent, 1);
        delivered(&mut pipe, 1);
        sent += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    pipe.publish(sent, EVENTS, sent, 1);
    delivered(&mut pipe, 1);
    stage.service.deliver("devices/dev:1@home/messages/devicebound/a", "after");
    assert_eq!(message(&mut pipe), "after");
    stage.service.is_content();
    stage.service.seen(|seen| {
        assert_eq!(seen.expired, 0, "the hub had to end no link");
        let payloads: Vec<String> =
            seen.published.iter().map(|(_, payload, _)| String::from_utf8_lossy(payload).into_owned()).collect();
        assert_eq!(payloads, (0..=sent).map(|number| number.to_string()).collect::<Vec<_>>());
    });
}

#[test]
fn what_the_hub_would_cut_the_link_for_is_refused_before_it_is_stored() {
    let stage = hub(CONFIG);
    let said = stage.refused(&["pub", EVENTS, "x", "-q", "2"]);
    assert!(said.contains("Azure IoT Hub does not know QoS 2; publish with QoS 1 at most"), "{said}");
    let said = stage.refused(&["pub", EVENTS, "x", "-r"]);
    assert!(said.contains("Azure IoT Hub keeps no retained messages"), "{said}");
    let said = stage.refused(&["sub", COMMANDS, "-q", "2", "--idle-exit", "1s"]);
    assert!(said.contains("does not know QoS 2; subscribe with QoS 1 at most"), "{said}");
    for (time, option) in [("0s", "keep_alive"), ("1178s", "keep_alive")] {
        let said = stage.refused(&["pub", EVENTS, "x", "--keep-alive", time]);
        assert!(said.contains(&format!("option {option}: Azure IoT Hub takes 1 to 1177 s")), "{said}");
    }
    let said = stage.refused(&["pub", EVENTS, "x", "--mqtt", "5"]);
    assert!(said.contains("option version: Azure IoT Hub speaks MQTT 3.1.1"), "{said}");
    let said = stage.refused(&["pub", EVENTS, "x", "--client-id", "other"]);
    assert!(said.contains("option client_id: Azure IoT Hub derives it"), "{said}");
    let large = stage.folder.path().join("input-large");
    std::fs::write(&large, vec![b'x'; (256 << 10) + 1]).unwrap();
    let output = stage.homing.run_with(["pub", EVENTS], &large);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the limit is 262144"), "{output:?}");
    std::fs::write(&large, vec![b'x'; 256 << 10]).unwrap();
    assert!(stage.homing.run_with(["pub", EVENTS, "--wait", "delivered"], &large).status.success());
    stage.service.is_content();
}

#[test]
fn in_a_pipe_the_rest_goes_on() {
    let stage = hub(CONFIG);
    let mut pipe = stage.homing.pipe([""; 0]);
    pipe.send(&json!({"op": "publish", "ref": "a", "topic": EVENTS, "payload": "x", "retain": true}));
    pipe.send(&json!({"op": "subscribe", "ref": "b", "filter": COMMANDS, "qos": 2}));
    pipe.publish("c", EVENTS, "y", 1);
    let mut codes = Vec::new();
    pipe.until(PATIENCE, "two errors", |event| {
        if let Event::Error { code, .. } = event {
            codes.push(code.clone());
        }
        (codes.len() == 2).then_some(())
    });
    assert_eq!(codes, ["unsupported"; 2]);
    delivered(&mut pipe, 1);
    stage.service.is_content();
}

#[test]
fn a_wrong_key_is_told_and_nothing_secret_is_ever_said() {
    let stage = hub(&CONFIG.replace("/+8AE", "/+8BE"));
    let output = stage.homing.run(["pub", EVENTS, "x", "--wait", "delivered", "-vvv"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("0x87 not authorized"), "{said}");
    assert!(!said.contains("SharedAccess") && !said.contains("+8BE"), "{said}");
    let stage = hub(CONFIG);
    stage.keeps_secret(&[KEY, &KEY[..12], "SharedAccessSignature", "&sig=", "%2Fdevices%2F"], &["pub", EVENTS, "x"]);
    stage.service.is_content();
}
