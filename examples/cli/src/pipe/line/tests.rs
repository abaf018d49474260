//! Lines of `pipe`, key by key.
use homing::{QoS, ReasonCode, Why};
use serde_json::json;

use super::*;

fn text(line: &Line<'_>) -> String {
    serde_json::to_string(line).unwrap()
}

fn of(event: &Event) -> String {
    text(&Line::of(event).unwrap())
}

#[test]
fn accepted_carries_the_reference_if_there_was_one() {
    assert_eq!(
        text(&Line::Accepted { reference: Some(json!("a1")), id: 7 }),
        r#"{"event":"accepted","ref":"a1","id":7}"#
    );
    assert_eq!(text(&Line::Accepted { reference: None, id: 7 }), r#"{"event":"accepted","id":7}"#);
}

#[test]
fn verdicts_and_errors() {
    assert_eq!(
        text(&Line::Verdict(Verdict::new(7, &homing::Fate::DELIVERED))),
        r#"{"event":"verdict","id":7,"outcome":"delivered"}"#
    );
    assert_eq!(
        text(&Line::error(Some(json!("a1")), codes::TOPIC_INVALID, "topic holds a wildcard: home/#")),
        r#"{"event":"error","ref":"a1","code":"topic_invalid","message":"topic holds a wildcard: home/#"}"#
    );
}

#[test]
fn states_of_the_connection() {
    let state = |state| of(&Event::State(state));
    assert_eq!(state(State::Connecting { attempt: 1 }), r#"{"event":"connection","state":"connecting"}"#);
    assert_eq!(
        state(State::Online { session_present: true }),
        r#"{"event":"connection","state":"connected","session_present":true}"#
    );
    assert_eq!(
        state(State::Waiting { retry_in_ms: 9, why: Why::Broker(ReasonCode::BadUserNameOrPassword) }),
        r#"{"event":"connection","state":"waiting","retry_in_ms":9,"reason":"0x86 bad user name or password"}"#
    );
    assert_eq!(state(State::Offline(Why::Asked)), r#"{"event":"connection","state":"disconnected"}"#);
    assert_eq!(
        state(State::TakenOver),
        r#"{"event":"connection","state":"disconnected","reason":"0x8e session taken over"}"#
    );
}

#[test]
fn subscriptions_and_the_lost_session() {
    let filter: TopicFilter = "home/#".parse().unwrap();
    assert_eq!(
        of(&Event::Subscribed { filter: filter.clone(), qos: QoS::ExactlyOnce }),
        r#"{"event":"subscribed","filter":"home/#","qos":2}"#
    );
    assert_eq!(of(&Event::Unsubscribed { filter: filter.clone() }), r#"{"event":"unsubscribed","filter":"home/#"}"#);
    assert_eq!(
        of(&Event::SubscribeRefused { filter: filter.clone(), reason: ReasonCode::NotAuthorized }),
        r#"{"event":"error","code":"subscribe_refused","message":"the broker refused to subscribe to home/#: 0x87 not authorized","filter":"home/#","reason":"0x87 not authorized"}"#
    );
    assert_eq!(of(&Event::SessionLost { at_ms: 0 }), r#"{"event":"session_lost","at":"1970-01-01T00:00:00.000Z"}"#);
    assert_eq!(text(&Line::Flushed { reference: None, drained: true }), r#"{"event":"flushed","drained":true}"#);
}
