//! PUBACK, PUBREC, PUBCOMP: how outgoing messages come to their end.

use super::slots::{Progress, Slot};
use super::{Context, Outbound, Violation};
use crate::model::event::Fate;
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::rows::split_id;
use crate::model::writes::Write;
use crate::wire::packet::{Ack, Packet, Protocol};

/// Whether an acknowledgement belonged to a message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It did.
    Yes,
    /// Nobody waits for it.
    Unknown,
}

/// Whether the broker has just shown that it knows no QoS 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downgrade {
    /// It has not, or it was said before.
    No,
    /// For the first time on this link.
    FirstOnLink,
}

impl Outbound {
    /// PUBACK.
    ///
    /// # Errors
    /// A PUBACK for a QoS 2 message, in MQTT 5.
    pub fn puback(&mut self, ack: Ack, cx: &mut Context<'_>) -> Result<Downgrade, Violation> {
        let (Some((id, slot)), Some(link)) = (self.find(ack.pid, cx.salt), self.link) else {
            cx.metrics.stray_acks += 1;
            return Ok(Downgrade::No);
        };
        let mut told = Downgrade::No;
        let mut downgraded = slot.downgraded;
        if slot.sent_qos == QoS::ExactlyOnce {
            if link.protocol == Protocol::V5 {
                return Err(Violation(ReasonCode::ProtocolError, "PUBACK for a QoS 2 PUBLISH [4.3.3]"));
            }
            // Some 3.1.1 brokers know no QoS 2 and answer it as QoS 1.
            downgraded = true;
            if !self.downgrade_told {
                self.downgrade_told = true;
                told = Downgrade::FirstOnLink;
            }
        }
        let fate = match ack.reason.is_failure() {
            true => Fate::Refused(ack.reason),
            false => delivered(slot.maybe_dup, false, downgraded),
        };
        self.acknowledged();
        self.end(id, slot.size, fate, cx);
        Ok(told)
    }

    /// PUBREC. `Unknown` asks for the answer that the table of the protocol names.
    ///
    /// # Errors
    /// A PUBREC for a QoS 1 message.
    pub fn pubrec(&mut self, ack: Ack, cx: &mut Context<'_>) -> Result<Known, Violation> {
        let Some((id, slot)) = self.find(ack.pid, cx.salt) else { return Ok(Known::Unknown) };
        if slot.sent_qos != QoS::ExactlyOnce {
            return Err(Violation(ReasonCode::ProtocolError, "PUBREC for a QoS 1 PUBLISH [4.3.2]"));
        }
        if slot.progress == Progress::Published {
            if ack.reason.is_failure() {
                self.acknowledged();
                self.end(id, slot.size, Fate::Refused(ack.reason), cx);
                return Ok(Known::Yes);
            }
            cx.fx.writes.push(Write::Release { id, release: cx.hot.next_release });
            cx.hot.next_release += 1;
            if !slot.counted {
                self.unfinished += 1;
                self.unfinished_qos2 += 1;
            }
            let (lane, ord) = split_id(id);
            let released = Slot { progress: Progress::Released, counted: true, ..slot };
            self.queues[lane].slots.put(ord, released);
        }
        self.acknowledged();
        cx.fx.sends.push(Packet::PubRel(Ack::ok(ack.pid)));
        Ok(Known::Yes)
    }

    /// PUBCOMP.
    ///
    /// # Errors
    /// A PUBCOMP before its PUBREC: the row is kept.
    pub fn pubcomp(&mut self, ack: Ack, cx: &mut Context<'_>) -> Result<(), Violation> {
        let Some((id, slot)) = self.find(ack.pid, cx.salt) else {
            cx.metrics.stray_acks += 1;
            return Ok(());
        };
        if slot.progress != Progress::Released {
            return Err(Violation(ReasonCode::ProtocolError, "PUBCOMP before PUBREC [4.3.3]"));
        }
        let maybe_lost = ack.reason == ReasonCode::PacketIdentifierNotFound;
        self.acknowledged();
        self.end(id, slot.size, delivered(slot.maybe_dup, maybe_lost, slot.downgraded), cx);
        Ok(())
    }
}

fn delivered(maybe_twice: bool, maybe_lost: bool, downgraded: bool) -> Fate {
    Fate::Delivered { maybe_twice, maybe_lost, downgraded }
}
