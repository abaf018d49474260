//! What `pipe` writes: one JSON object a line, its keys a contract.

use std::fmt;

use homing::{Event, State, TopicFilter};
use serde::Serialize;
use serde_json::Value;

use super::codes;
use crate::output::{GapFields, MessageLine, StatusLine, Verdict, time};

/// A line of `pipe`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    Accepted {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        id: u64,
    },
    Verdict(Verdict),
    Message(MessageLine<'a>),
    Connection(Connection),
    SessionLost {
        at: String,
    },
    Gap(GapFields<'a>),
    Skipped {
        consumer: &'a str,
        from: u64,
        through: u64,
        messages: u64,
    },
    Subscribed {
        filter: &'a TopicFilter,
        qos: u8,
    },
    Unsubscribed {
        filter: &'a TopicFilter,
    },
    Status {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        #[serde(flatten)]
        status: Box<StatusLine>,
    },
    Flushed {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        drained: bool,
    },
    Error {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        code: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        filter: Option<&'a TopicFilter>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl<'a> Line<'a> {
    /// The line of an event. None: it is not told as it is (verdicts are counted first), or not here (warnings).
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        Some(match event {
            Event::State(state) => Self::Connection(Connection::of(state)),
            Event::SessionLost { at_ms } => Self::SessionLost { at: time(*at_ms) },
            Event::Gap(gap) => Self::Gap(GapFields::new(gap)),
            Event::Skipped { consumer, skipped } => Self::Skipped {
                consumer,
                from: skipped.from.seq(),
                through: skipped.through.seq(),
                messages: skipped.messages,
            },
            Event::Subscribed { filter, qos } => Self::Subscribed { filter, qos: qos.number() },
            Event::Unsubscribed { filter } => Self::Unsubscribed { filter },
            Event::SubscribeRefused { filter, reason } => Self::Error {
                reference: None,
                code: codes::SUBSCRIBE_REFUSED,
                message: format!("the broker refused to subscribe to {filter}: {reason}"),
                filter: Some(filter),
                reason: Some(reason.to_string()),
            },
            _ => return None,
        })
    }

    pub(crate) fn error(reference: Option<Value>, code: &'static str, message: impl fmt::Display) -> Self {
        Self::Error { reference, code, message: message.to_string(), filter: None, reason: None }
    }
}

/// The state of the connection.
#[derive(Serialize)]
pub(crate) struct Connection {
    pub(crate) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Connection {
    pub(crate) fn of(state: &State) -> Self {
        let plain = |state| Self { state, session_present: None, retry_in_ms: None, reason: None };
        match state {
            State::Connecting { .. } => plain("connecting"),
            State::Online { session_present } => Self { session_present: Some(*session_present), ..plain("connected") },
            State::Waiting { retry_in_ms, why } => {
                Self { retry_in_ms: Some(*retry_in_ms), reason: Some(why.to_string()), ..plain("waiting") }
            }
            State::Offline(homing::Why::Asked) => plain("disconnected"),
            State::Offline(why) => Self { reason: Some(why.to_string()), ..plain("disconnected") },
            State::TakenOver => {
                Self { reason: Some(homing::ReasonCode::SessionTakenOver.to_string()), ..plain("disconnected") }
            }
            _ => plain("disconnected"),
        }
    }
}

#[cfg(test)]
mod tests;
