//! Lines on stdout: JSON for scripts, text for people.

use std::fmt;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use homing::{Fate, Message, OutboxEntry};
use serde::Serialize;

use crate::exit::Failure;

mod kept;
mod status;

pub(crate) use kept::{GapFields, Kind, LastLine};
pub(crate) use status::StatusLine;

/// Gathers lines; what is in it is on stdout after `flush`, or earlier.
#[derive(Default)]
pub(crate) struct Out(Vec<u8>);

impl Out {
    pub(crate) fn json(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.0, line)?;
        self.end_of_line()
    }

    pub(crate) fn text(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        write!(self.0, "{line}")?;
        self.end_of_line()
    }

    fn end_of_line(&mut self) -> Result<(), Failure> {
        self.0.push(b'\n');
        if self.0.len() < 64 << 10 { Ok(()) } else { self.flush() }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.0).and_then(|()| stdout.flush()).map_err(Failure::stdout)?;
        self.0.clear();
        Ok(())
    }
}

/// What became of a message.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    id: u64,
    pub(crate) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The message that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maybe_twice: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maybe_lost: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    downgraded: bool,
}

impl Verdict {
    pub(crate) fn new(id: u64, fate: &Fate) -> Self {
        let plain = |outcome| Self {
            id,
            outcome,
            reason: None,
            by: None,
            maybe_twice: false,
            maybe_lost: false,
            downgraded: false,
        };
        match fate {
            Fate::Waiting => plain("waiting"),
            Fate::InFlight => plain("in_flight"),
            Fate::Sent => plain("sent"),
            Fate::Delivered { maybe_twice, maybe_lost, downgraded } => Self {
                maybe_twice: *maybe_twice,
                maybe_lost: *maybe_lost,
                downgraded: *downgraded,
                ..plain("delivered")
            },
            Fate::Refused(reason) => Self { reason: Some(reason.to_string()), ..plain("refused") },
            Fate::Expired => plain("expired"),
            Fate::Parked(reason) => Self { reason: Some(reason.to_string()), ..plain("parked") },
            Fate::Superseded(by) => Self { by: Some(by.number()), ..plain("superseded") },
            Fate::Cancelled => plain("cancelled"),
            Fate::Dropped => plain("dropped"),
            Fate::Forgotten => plain("forgotten"),
            _ => plain("unknown"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.outcome)?;
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        if let Some(by) = self.by {
            write!(f, " by {by}")?;
        }
        let remarks =
            [(self.maybe_twice, "maybe twice"), (self.maybe_lost, "maybe lost"), (self.downgraded, "downgraded")];
        remarks.into_iter().filter(|(so, _)| *so).try_for_each(|(_, remark)| write!(f, ", {remark}"))
    }
}

/// A received message.
#[derive(Serialize)]
pub(crate) struct MessageLine<'a> {
    seq: u64,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    payload_base64: String,
    qos: u8,
    retain: bool,
    dup: bool,
    /// A retained message that only says again what is known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replay: bool,
    received_at: String,
}

impl<'a> MessageLine<'a> {
    pub(crate) fn new(message: &'a Message) -> Self {
        Self {
            seq: message.at.seq(),
            topic: message.topic.as_str(),
            payload: std::str::from_utf8(&message.payload).ok(),
            payload_base64: STANDARD.encode(&message.payload),
            qos: message.qos.number(),
            retain: message.retained,
            dup: message.dup,
            replay: message.replay,
            received_at: time(message.received_ms),
        }
    }
}

impl fmt::Display for MessageLine<'_> {
    /// Control characters are escaped: a message must not steer the reader's terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut show = |text: &str| {
            text.chars().try_for_each(|c| match c.is_control() {
                true => write!(f, "{}", c.escape_default()),
                false => write!(f, "{c}"),
            })
        };
        show(self.topic)?;
        show(" ")?;
        match self.payload {
            Some(text) => show(text),
            None => write!(f, "base64:{}", self.payload_base64),
        }
    }
}

/// A row of the outbox.
#[derive(Serialize)]
pub(crate) struct OutboxLine<'a> {
    id: u64,
    state: &'static str,
    topic: &'a str,
    bytes: u64,
    qos: u8,
    retain: bool,
}

impl<'a> OutboxLine<'a> {
    pub(crate) fn new(entry: &'a OutboxEntry) -> Self {
        let id = entry.id.number();
        Self {
            id,
            state: Verdict::new(id, &entry.fate).outcome,
            topic: entry.topic.as_str(),
            bytes: entry.payload_bytes,
            qos: entry.qos.number(),
            retain: entry.retain,
        }
    }
}

impl fmt::Display for OutboxLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, state, topic, bytes, qos, .. } = self;
        let retain = if self.retain { ", retained" } else { "" };
        write!(f, "{id:>8}  {state:<9}  {}  {bytes} bytes, QoS {qos}{retain}", topic.escape_debug())
    }
}

/// RFC 3339, UTC, from Unix milliseconds.
pub(crate) fn time(ms: i64) -> String {
    // Out of range (beyond the year 9999) only if a clock was.
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests;
