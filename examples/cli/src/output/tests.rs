//! The JSON of messages and verdicts, key by key.
use homing::ReasonCode;

use super::*;

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap()
}

fn message<'a>(payload: Option<&'a str>, payload_base64: &str) -> MessageLine<'a> {
    let payload_base64 = payload_base64.to_owned();
    let received_at = time(1_793_880_000_123);
    let (qos, retain, dup, replay) = (1, false, true, false);
    MessageLine { seq: 1, topic: "a/b", payload, payload_base64, qos, retain, dup, replay, received_at }
}

#[test]
fn a_message_has_its_payload_twice_if_it_is_text() {
    assert_eq!(
        json(&message(Some("on"), "b24=")),
        r#"{"seq":1,"topic":"a/b","payload":"on","payload_base64":"b24=","qos":1,"retain":false,"dup":true,"received_at":"2026-11-05T12:00:00.123Z"}"#
    );
    assert!(!json(&message(None, "/w==")).contains("\"payload\""));
}

#[test]
fn a_message_cannot_steer_the_terminal() {
    assert_eq!(message(Some("on\u{1b}[2J\nä"), "").to_string(), "a/b on\\u{1b}[2J\\nä");
    assert_eq!(message(None, "/w==").to_string(), "a/b base64:/w==");
}

#[test]
fn every_fate_has_its_word() {
    let line = |fate| json(&Verdict::new(7, &fate));
    assert_eq!(line(Fate::DELIVERED), r#"{"id":7,"outcome":"delivered"}"#);
    assert_eq!(
        line(Fate::Delivered { maybe_twice: true, maybe_lost: true, downgraded: true }),
        r#"{"id":7,"outcome":"delivered","maybe_twice":true,"maybe_lost":true,"downgraded":true}"#
    );
    assert_eq!(
        line(Fate::Refused(ReasonCode::NotAuthorized)),
        r#"{"id":7,"outcome":"refused","reason":"0x87 not authorized"}"#
    );
    let plain = [
        (Fate::Waiting, "waiting"),
        (Fate::InFlight, "in_flight"),
        (Fate::Sent, "sent"),
        (Fate::Expired, "expired"),
        (Fate::Unknown, "unknown"),
        (Fate::Forgotten, "forgotten"),
    ];
    for (fate, word) in plain {
        assert_eq!(line(fate), format!(r#"{{"id":7,"outcome":"{word}"}}"#));
    }
}

#[test]
fn verdicts_for_people() {
    let text = |fate| Verdict::new(7, &fate).to_string();
    assert_eq!(text(Fate::Refused(ReasonCode::NotAuthorized)), "7 refused: 0x87 not authorized");
    assert_eq!(
        text(Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false }),
        "7 delivered, maybe twice"
    );
}
