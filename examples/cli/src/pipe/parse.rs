//! One line of stdin, made into one thing to do. Unknown keys are errors: a misspelt one must not be ignored.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use homing::{Publish, QoS, Subscription, TopicFilter, TopicName};
use serde_json::{Map, Value};

use super::codes;
use crate::lines::Line;

/// What `flush` waits for when no deadline is given.
const FLUSH: Duration = Duration::from_secs(20);

/// A line as far as it could be understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    /// Comes back with the answer.
    pub(crate) reference: Option<Value>,
    pub(crate) op: Result<Op, Problem>,
}

#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every line is a publish")]
pub(crate) enum Op {
    Publish(Publish),
    Subscribe(Subscription),
    Unsubscribe(TopicFilter),
    Done(u64),
    Cancel(u64),
    Status,
    Connect,
    Disconnect,
    Flush(Duration),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

fn problem<T>(code: &'static str, message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { code, message: message.into() })
}

/// None: an empty line.
pub(crate) fn parse(line: Line) -> Option<Parsed> {
    let bytes = match line {
        Line::Bytes(bytes) if bytes.trim_ascii().is_empty() => return None,
        Line::Bytes(bytes) => bytes,
        Line::TooLong => {
            let op = problem(codes::LINE_TOO_LONG, "the line is longer than 64 MiB");
            return Some(Parsed { reference: None, op });
        }
    };
    let mut keys = match serde_json::from_slice(&bytes) {
        Ok(Value::Object(keys)) => Keys(keys),
        Ok(_) => return Some(bad_json("the line is not a JSON object")),
        // Category and column only: the parser's words may quote the line.
        Err(error) => {
            return Some(bad_json(&format!(
                "the line is not JSON: {:?} error at byte {}",
                error.classify(),
                error.column()
            )));
        }
    };
    let reference = keys.0.remove("ref");
    Some(Parsed { reference, op: keys.op() })
}

fn bad_json(message: &str) -> Parsed {
    Parsed { reference: None, op: problem(codes::BAD_JSON, message) }
}

/// The keys of a line that were not looked at yet.
struct Keys(Map<String, Value>);

impl Keys {
    fn op(mut self) -> Result<Op, Problem> {
        let name = match self.0.remove("op") {
            Some(Value::String(name)) => name,
            Some(_) => return problem(codes::UNKNOWN_OP, "op must be text"),
            None => return problem(codes::MISSING_KEY, "op is missing"),
        };
        let op = match name.as_str() {
            "publish" => self.publish(),
            "subscribe" => {
                let filter = self.filter()?;
                Ok(Op::Subscribe(Subscription::new(filter, self.qos()?)))
            }
            "unsubscribe" => self.filter().map(Op::Unsubscribe),
            "done" => self.seq().map(Op::Done),
            "cancel" => self.id().map(Op::Cancel),
            "status" => Ok(Op::Status),
            "connect" => Ok(Op::Connect),
            "disconnect" => Ok(Op::Disconnect),
            "flush" => Ok(Op::Flush(self.duration("deadline", codes::BAD_VALUE)?.unwrap_or(FLUSH))),
            _ => problem(codes::UNKNOWN_OP, format!("there is no op {name:?}")),
        };
        match (op, self.0.keys().next()) {
            (Ok(_), Some(key)) => problem(codes::UNKNOWN_KEY, format!("{name} has no key {key:?}")),
            (op, _) => op,
        }
    }

    fn publish(&mut self) -> Result<Op, Problem> {
        let Some(topic) = self.text("topic")? else { return problem(codes::MISSING_KEY, "topic is missing") };
        let topic = TopicName::new(topic)
            .map_err(|error| Problem { code: codes::TOPIC_INVALID, message: error.to_string() })?;
        let payload = match (self.text("payload")?, self.text("payload_base64")?) {
            (Some(_), Some(_)) => return problem(codes::BAD_VALUE, "payload and payload_base64 exclude each other"),
            (Some(text), None) => Bytes::from(text),
            (None, Some(text)) => match STANDARD.decode(text) {
                Ok(payload) => payload.into(),
                Err(_) => return problem(codes::BAD_BASE64, "payload_base64 is not base64 (RFC 4648, padded)"),
            },
            (None, None) => Bytes::new(),
        };
        let retain = match self.0.remove("retain") {
            None => false,
            Some(Value::Bool(retain)) => retain,
            Some(_) => return problem(codes::BAD_VALUE, "retain must be true or false"),
        };
        let mut message = Publish::new(topic, payload).qos(self.qos()?).retain(retain);
        message.ttl = self.duration("ttl", codes::TTL_INVALID)?;
        message.supersede = self.text("supersede")?;
        Ok(Op::Publish(message))
    }

    fn filter(&mut self) -> Result<TopicFilter, Problem> {
        let Some(filter) = self.text("filter")? else { return problem(codes::MISSING_KEY, "filter is missing") };
        TopicFilter::new(filter).map_err(|error| Problem { code: codes::FILTER_INVALID, message: error.to_string() })
    }

    fn qos(&mut self) -> Result<QoS, Problem> {
        let Some(value) = self.0.remove("qos") else { return Ok(QoS::AtLeastOnce) };
        let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
        match number.and_then(QoS::from_number) {
            Some(qos) => Ok(qos),
            None => problem(codes::QOS_INVALID, "qos must be 0, 1 or 2"),
        }
    }

    fn id(&mut self) -> Result<u64, Problem> {
        match self.0.remove("id") {
            None => problem(codes::MISSING_KEY, "id is missing"),
            Some(id) => match id.as_u64() {
                Some(id) => Ok(id),
                None => problem(codes::BAD_VALUE, "id must be a whole number, as accepted has given it"),
            },
        }
    }

    fn seq(&mut self) -> Result<u64, Problem> {
        match self.0.remove("seq") {
            None => problem(codes::MISSING_KEY, "seq is missing"),
            Some(seq) => match seq.as_u64() {
                Some(seq) => Ok(seq),
                None => problem(codes::POSITION_INVALID, "seq must be a whole number, not below zero"),
            },
        }
    }

    fn duration(&mut self, key: &str, code: &'static str) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match crate::values::duration(&text) {
            Ok(duration) => Ok(Some(duration)),
            Err(error) => problem(code, format!("{key}: {error}")),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => problem(codes::BAD_VALUE, format!("{key} must be text")),
        }
    }
}

#[cfg(test)]
mod tests;
