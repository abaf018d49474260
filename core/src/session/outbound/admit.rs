//! Whether and how a row may be sent: what the broker supports, its sizes, the window, the link's credit.

use super::{Context, LinkLimits, Outbound};
use crate::model::event::Fate;
use crate::model::message::{IfUnsupported, QoS};
use crate::model::reason::ReasonCode;
use crate::model::rows::OutboxRow;
use crate::wire::packet::{Packet, PublishPacket};

/// A row with this topic makes a test panic.
#[cfg(test)]
pub(crate) const PANICS: &str = "panic/decided";

/// What becomes of the row at the front.
pub(super) enum Admit {
    /// Not now.
    No,
    /// The second has had its messages: at `Rate::at`.
    Later,
    /// Never: it ends so.
    End(Fate),
    /// Not to this broker: it is set aside.
    Park(ReasonCode),
    /// Now, and so.
    Send(Sent),
}

/// How a row is sent on this link.
pub(super) struct Sent {
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// The packet of a row.
pub(super) fn packet_of(row: &OutboxRow, sent: &Sent, pid: u16, dup: bool, store_ms: i64) -> PublishPacket {
    let mut props = row.props.clone();
    if let Some(at) = row.expires_ms {
        // Rounded up and never 0: it was not expired when it was decided to send it.
        let left = (at - store_ms).max(1).div_euclid(1000) + i64::from((at - store_ms).max(1).rem_euclid(1000) > 0);
        props.get_or_insert_default().expiry_s = Some(left.clamp(1, i64::from(u32::MAX)) as u32);
    }
    let qos = sent.qos;
    PublishPacket {
        dup: dup && qos != QoS::AtMostOnce,
        qos,
        retain: sent.retain,
        topic: row.topic.clone(),
        pid: if qos == QoS::AtMostOnce { 0 } else { pid },
        payload: row.payload.clone(),
        props,
    }
}

impl Outbound {
    /// How a row may be sent on this link, or the reason why it may not.
    pub(super) fn supported(row: &OutboxRow, limits: &LinkLimits, cx: &Context<'_>) -> Result<Sent, ReasonCode> {
        let mut sent = Sent { qos: row.qos, retain: row.retain };
        if limits.service.topic_problem(row.topic.as_str()).is_some() {
            return Err(ReasonCode::TopicNameInvalid);
        }
        if row.payload.len() > limits.service.max_payload {
            return Err(ReasonCode::PacketTooLarge);
        }
        if row.qos > limits.max_qos {
            if row.if_unsupported != IfUnsupported::Downgrade {
                return Err(ReasonCode::QosNotSupported);
            }
            sent.qos = limits.max_qos;
        }
        if row.retain && !limits.retain {
            if row.if_unsupported != IfUnsupported::Downgrade {
                return Err(ReasonCode::RetainNotSupported);
            }
            sent.retain = false;
        }
        // Without properties the bound is exact enough to skip the count for nearly every message.
        if row.props.is_some() || row.size() as usize + 64 > limits.max_packet {
            let packet = Packet::Publish(packet_of(row, &sent, 1, false, cx.now.store_ms));
            if crate::wire::encoded_len(&packet, limits.protocol) > limits.max_packet {
                return Err(ReasonCode::PacketTooLarge);
            }
        }
        Ok(sent)
    }

    pub(super) fn admit(&self, row: &OutboxRow, limits: &LinkLimits, cx: &Context<'_>) -> Admit {
        if self.shunned.contains(&row.id) {
            return Admit::Park(ReasonCode::ImplementationSpecificError);
        }
        #[cfg(test)]
        assert_ne!(row.topic.as_str(), PANICS);
        let sent = match Self::supported(row, limits, cx) {
            Ok(sent) => sent,
            Err(reason) if row.if_unsupported == IfUnsupported::Park => return Admit::Park(reason),
            Err(reason) => return Admit::End(Fate::Refused(reason)),
        };
        let window_full = sent.qos != QoS::AtMostOnce
            && (self.unfinished >= limits.window
                || sent.qos == QoS::ExactlyOnce && self.unfinished_qos2 >= limits.window_qos2);
        if window_full || self.credit <= 0 {
            return Admit::No;
        }
        match self.rate.is_open(cx.now.mono_ms) {
            true => Admit::Send(sent),
            false => Admit::Later,
        }
    }
}
