//! What a line may say, and the code of every way to say it wrong.
use serde_json::json;

use super::*;

fn line(text: &str) -> Parsed {
    parse(Line::Bytes(text.as_bytes().to_vec())).unwrap()
}

fn op(text: &str) -> Op {
    line(text).op.unwrap()
}

fn code(text: &str) -> &'static str {
    line(text).op.unwrap_err().code
}

#[test]
fn publish_needs_only_a_topic() {
    assert_eq!(op(r#"{"op":"publish","topic":"a"}"#), Op::Publish(Publish::new("a".parse().unwrap(), "")));
}

#[test]
fn publish_with_everything() {
    let parsed = line(
        r#"{"op":"publish","ref":"a1","topic":"home/light/set","payload":"on","qos":2,"retain":true,"ttl":"60s","supersede":"light"}"#,
    );
    assert_eq!(parsed.reference, Some(json!("a1")));
    let message =
        Publish::new("home/light/set".parse().unwrap(), "on").qos(QoS::ExactlyOnce).retain(true).supersede("light");
    assert_eq!(parsed.op, Ok(Op::Publish(message.ttl(Duration::from_secs(60)))));
    assert_eq!(
        op(r#"{"op":"publish","topic":"a","payload_base64":"AP8="}"#),
        Op::Publish(Publish::new("a".parse().unwrap(), vec![0, 255]))
    );
}

#[test]
fn the_other_ops() {
    let filter: TopicFilter = "home/#".parse().unwrap();
    assert_eq!(
        op(r#"{"op":"subscribe","filter":"home/#","qos":2}"#),
        Op::Subscribe(Subscription::new(filter.clone(), QoS::ExactlyOnce))
    );
    assert_eq!(op(r#"{"op":"unsubscribe","filter":"home/#"}"#), Op::Unsubscribe(filter));
    assert_eq!(op(r#"{"op":"done","seq":12}"#), Op::Done(12));
    assert_eq!(op(r#"{"op":"cancel","id":4503599627370497}"#), Op::Cancel(4_503_599_627_370_497));
    assert_eq!(op(r#"{"op":"status"}"#), Op::Status);
    assert_eq!(op(r#"{"op":"connect"}"#), Op::Connect);
    assert_eq!(op(r#"{"op":"disconnect"}"#), Op::Disconnect);
    assert_eq!(op(r#"{"op":"flush","deadline":"20s"}"#), Op::Flush(Duration::from_secs(20)));
    assert_eq!(op(r#"{"op":"flush"}"#), Op::Flush(FLUSH));
}

#[test]
fn every_error_has_its_code() {
    let cases = [
        ("hello", codes::BAD_JSON),
        ("[1]", codes::BAD_JSON),
        (r#"{"op":"publish","topic":"a""#, codes::BAD_JSON),
        (r#"{"topic":"a"}"#, codes::MISSING_KEY),
        (r#"{"op":"publish"}"#, codes::MISSING_KEY),
        (r#"{"op":"subscribe"}"#, codes::MISSING_KEY),
        (r#"{"op":"done"}"#, codes::MISSING_KEY),
        (r#"{"op":7}"#, codes::UNKNOWN_OP),
        (r#"{"op":"cancel"}"#, codes::MISSING_KEY),
        (r#"{"op":"cancel","id":-7}"#, codes::BAD_VALUE),
        (r#"{"op":"cancel","id":7,"seq":1}"#, codes::UNKNOWN_KEY),
        (r#"{"op":"publish","topic":"a","supersede":7}"#, codes::BAD_VALUE),
        (r#"{"op":"publish","topic":"a","lane":"urgent"}"#, codes::UNKNOWN_KEY),
        (r#"{"op":"status","topic":"a"}"#, codes::UNKNOWN_KEY),
        (r#"{"op":"publish","topic":"home/#"}"#, codes::TOPIC_INVALID),
        (r#"{"op":"publish","topic":"home/+/x"}"#, codes::TOPIC_INVALID),
        (r#"{"op":"publish","topic":""}"#, codes::TOPIC_INVALID),
        (r#"{"op":"publish","topic":"a\u0000b"}"#, codes::TOPIC_INVALID),
        (r#"{"op":"publish","topic":5}"#, codes::BAD_VALUE),
        (r#"{"op":"publish","topic":"a","qos":3}"#, codes::QOS_INVALID),
        (r#"{"op":"publish","topic":"a","qos":-1}"#, codes::QOS_INVALID),
        (r#"{"op":"publish","topic":"a","qos":"1"}"#, codes::QOS_INVALID),
        (r#"{"op":"publish","topic":"a","payload":{"on":1}}"#, codes::BAD_VALUE),
        (r#"{"op":"publish","topic":"a","payload":"x","payload_base64":"eA=="}"#, codes::BAD_VALUE),
        (r#"{"op":"publish","topic":"a","payload_base64":"*"}"#, codes::BAD_BASE64),
        (r#"{"op":"publish","topic":"a","retain":1}"#, codes::BAD_VALUE),
        (r#"{"op":"publish","topic":"a","ttl":"soon"}"#, codes::TTL_INVALID),
        (r#"{"op":"subscribe","filter":"a/#/b"}"#, codes::FILTER_INVALID),
        (r#"{"op":"subscribe","filter":"a+"}"#, codes::FILTER_INVALID),
        (r#"{"op":"subscribe","filter":"$share/g"}"#, codes::FILTER_INVALID),
        (r#"{"op":"unsubscribe","filter":""}"#, codes::FILTER_INVALID),
        (r#"{"op":"done","seq":-1}"#, codes::POSITION_INVALID),
        (r#"{"op":"done","seq":1.5}"#, codes::POSITION_INVALID),
        (r#"{"op":"flush","deadline":20}"#, codes::BAD_VALUE),
    ];
    for (text, expected) in cases {
        assert_eq!(code(text), expected, "{text}");
    }
}

#[test]
fn an_error_carries_the_reference_if_the_line_was_json() {
    assert_eq!(line(r#"{"op":"publish","ref":"a1","topic":"a","colour":1}"#).reference, Some(json!("a1")));
    assert_eq!(line(r#"{"ref":5,"op":"fly"}"#).reference, Some(json!(5)));
}

#[test]
fn bad_bytes_deep_nesting_and_long_lines_are_errors_and_empty_lines_nothing() {
    assert_eq!(parse(Line::Bytes(vec![0xff, b'{'])).unwrap().op.unwrap_err().code, codes::BAD_JSON);
    assert_eq!(code(&"[".repeat(100_000)), codes::BAD_JSON);
    assert_eq!(parse(Line::TooLong).unwrap().op.unwrap_err().code, codes::LINE_TOO_LONG);
    assert_eq!(parse(Line::Bytes(b" \t\r".to_vec())), None);
}

#[test]
fn an_error_never_quotes_a_payload() {
    let secret = line(r#"{"op":"publish","topic":"a","payload_base64":"sesame!"}"#).op.unwrap_err();
    assert!(!secret.message.contains("sesame"));
    let secret = line(r#"{"op":"publish","payload":"sesame" sesame"#).op.unwrap_err();
    assert!(!secret.message.contains("sesame"));
}
