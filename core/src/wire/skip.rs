//! A 3.1.1 message over our maximum that the broker sends again and again: read through without being kept.

use bytes::{Buf, BytesMut};

use super::WireError;
use super::fields::Fields;
use crate::model::message::QoS;
use crate::model::topic::TopicName;

/// A message that was read through: all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its topic.
    pub topic: TopicName,
    /// Its quality of service.
    pub qos: QoS,
    /// Its packet identifier, 0 for QoS 0.
    pub pid: u16,
    /// The size of the whole packet in bytes.
    pub bytes: u64,
}

/// Where the reading through stands.
#[derive(Debug)]
pub(super) struct Skip {
    left: usize,
    message: Skipped,
}

impl Skip {
    /// Begins once topic and packet identifier are there; at most 65,544 bytes are waited for.
    pub(super) fn begin(
        first: u8,
        header: usize,
        total: usize,
        buffer: &mut BytesMut,
    ) -> Result<Option<Self>, WireError> {
        let body = buffer.get(header..).unwrap_or_default();
        let Some(length) = body.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes))) else {
            return Ok(None);
        };
        let qos = QoS::from_number(first >> 1 & 3).unwrap_or(QoS::AtMostOnce);
        let variable = 2 + length + if qos == QoS::AtMostOnce { 0 } else { 2 };
        let Some(head) = body.get(..variable) else { return Ok(None) };
        let mut fields = Fields(head);
        let topic = fields.topic()?.ok_or_else(|| WireError::protocol("an empty topic [MQTT-4.7.3-1]"))?;
        let pid = if qos == QoS::AtMostOnce { 0 } else { fields.pid()? };
        buffer.advance(header + variable);
        let left = total.saturating_sub(header + variable);
        Ok(Some(Self { left, message: Skipped { topic, qos, pid, bytes: total as u64 } }))
    }

    /// Drops what has come. The message, once all of it has.
    pub(super) fn go_on(mut self, buffer: &mut BytesMut) -> Result<Skipped, Self> {
        let now = self.left.min(buffer.len());
        buffer.advance(now);
        self.left -= now;
        if self.left == 0 { Ok(self.message) } else { Err(self) }
    }
}
