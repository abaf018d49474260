//! What each packet of the broker means.

use super::connection::{Phase, Up};
use super::effect::{Effects, Now};
use super::inbound::{Retained, Room};
use super::outbound::{Downgrade, Known, Violation};
use super::{DROPPED_TOPICS, Session};
use crate::model::event::{Event, Gap, GapCause, Why};
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::topic::{TopicFilter, TopicName};
use crate::model::writes::Write;
use crate::wire::packet::{Ack, Disconnect, Packet, Protocol};
use crate::wire::{Skipped, WireError};

impl Session {
    /// What this turn may still take on the disk, as `disk_cost` counts it.
    pub fn disk(&self) -> u64 {
        self.inb.disk()
    }

    /// The turn may take so much on the disk.
    pub fn set_disk(&mut self, bytes: u64) {
        self.inb.set_disk(bytes);
    }

    /// What waits for room on the disk takes so much.
    pub fn lacks_disk(&self) -> Option<u64> {
        self.inb.lacks_disk(&self.hot)
    }

    pub(super) fn packet(&mut self, packet: Packet, now: Now, fx: &mut Effects) {
        let up = match self.conn.phase {
            Phase::Up(up) => up,
            Phase::Handshake { .. } => {
                let Some(packet) = self.behind_connack(packet) else { return };
                match packet {
                    Packet::ConnAck(ack) => self.connack(*ack, now, fx),
                    Packet::Auth(auth) => self.auth_packet(auth, now, fx),
                    _ => self.violation(
                        ReasonCode::ProtocolError,
                        "first packet is not a CONNACK [3.2.0-1]".to_owned(),
                        fx,
                    ),
                }
                return;
            }
            Phase::Down | Phase::Opening | Phase::Closing => return,
        };
        self.hot.last_contact_ms = now.wall_ms;
        if let Err(Violation(reason, text)) = self.packet_up(packet, &up, now, fx) {
            self.violation(reason, text.to_owned(), fx);
        }
    }

    fn packet_up(&mut self, packet: Packet, up: &Up, now: Now, fx: &mut Effects) -> Result<(), Violation> {
        match packet {
            Packet::Publish(publish) => {
                self.drain_stirred(now);
                if publish.qos > QoS::AtMostOnce && !publish.retain {
                    self.caught_up_one(now, fx);
                }
                let topic = publish.topic.clone();
                let retained = if publish.retain { self.subs.retained(&topic) } else { Retained::Live };
                let (inb, mut cx) = self.inbound(now, fx);
                match inb.publish(publish, retained, up.protocol, up.receive_maximum, &mut cx)? {
                    Room::Enough => {}
                    Room::Dropped => self.dropped(&topic, now, fx),
                    Room::Overflow => {
                        self.conn.blocked = true;
                        self.was_full = true;
                        self.close(Why::InboxFull, fx);
                    }
                }
            }
            Packet::PubAck(ack) => {
                self.conn.moved_ack();
                let (out, mut cx) = self.outbound(now, fx);
                let told = out.puback(ack, &mut cx);
                let told = self.acknowledged(ack.pid, told, now, fx)?;
                if told == Downgrade::FirstOnLink {
                    let text =
                        "the broker answers QoS 2 with PUBACK: it knows QoS 1 only, messages arrive at least once";
                    fx.events.push(Event::Warning { code: "qos2_downgraded", text: text.to_owned() });
                }
            }
            Packet::PubRec(ack) => {
                self.conn.moved_ack();
                let (out, mut cx) = self.outbound(now, fx);
                let known = out.pubrec(ack, &mut cx);
                let known = self.acknowledged(ack.pid, known, now, fx)?;
                if known == Known::Unknown {
                    self.unknown_pubrec(ack.pid, up.protocol, fx);
                }
            }
            Packet::PubComp(ack) => {
                self.conn.moved_ack();
                let (out, mut cx) = self.outbound(now, fx);
                let done = out.pubcomp(ack, &mut cx);
                self.acknowledged(ack.pid, done, now, fx)?;
            }
            Packet::PubRel(ack) => {
                self.drain_stirred(now);
                let (inb, mut cx) = self.inbound(now, fx);
                inb.pubrel(ack.pid, up.protocol, &mut cx);
                if self.inb.wants_fence() && self.conn.ping_now(now.mono_ms) {
                    self.ping(fx);
                }
            }
            Packet::SubAck(ack) => {
                let known = self.subs.acknowledged(&ack, false, self.row.session_epoch, now, fx)?;
                self.metrics.stray_acks += u64::from(!known);
            }
            Packet::UnsubAck(ack) => {
                let known = self.subs.acknowledged(&ack, true, self.row.session_epoch, now, fx)?;
                self.metrics.stray_acks += u64::from(!known);
            }
            Packet::PingResp => {
                let checking = self.conn.is_checking();
                if self.conn.pong() {
                    if checking {
                        self.checked(now, fx);
                    }
                    self.drain_pong(now);
                    let (inb, mut cx) = self.inbound(now, fx);
                    inb.fence_passed(&mut cx);
                    let (out, mut cx) = self.outbound(now, fx);
                    out.pong(&mut cx);
                    if self.row.unproven {
                        self.row.unproven = false;
                        fx.writes.push(Write::Session(Box::new(self.row.clone())));
                    }
                }
            }
            Packet::Disconnect(disconnect) => self.disconnected_by_broker(&disconnect, now, fx),
            Packet::Auth(auth) => self.auth_packet(auth, now, fx),
            Packet::ConnAck(_) => return Err(Violation(ReasonCode::ProtocolError, "a second CONNACK [3.2.0-2]")),
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                return Err(Violation(ReasonCode::ProtocolError, "a packet that only clients send [2.1.2]"));
            }
        }
        Ok(())
    }

    /// What came is no packet, or too large.
    pub(super) fn broken(&mut self, error: WireError, fx: &mut Effects) {
        let v4 = matches!(self.conn.phase, Phase::Up(up) if up.protocol == Protocol::V4);
        if v4 && error.reason == ReasonCode::PacketTooLarge {
            self.too_large += 1;
        }
        self.violation(error.reason, error.text, fx);
    }

    /// A message over our maximum was read through: acknowledged, and a gap says what is missing.
    pub(super) fn skipped(&mut self, skipped: Skipped, now: Now, fx: &mut Effects) {
        if self.conn.up().is_none() {
            return;
        }
        let Skipped { topic, qos, pid, bytes } = skipped;
        let text = format!("a message of {bytes} bytes on {topic} is over max_packet and was not stored");
        fx.events.push(Event::Warning { code: "too_large", text });
        if let Ok(filter) = TopicFilter::new(topic.as_str()) {
            let gap = Gap {
                filters: vec![filter],
                cause: GapCause::TooLarge,
                from_ms: now.wall_ms,
                to_ms: Some(now.wall_ms),
                after_seq: self.hot.next_seq - 1,
                bytes: Some(bytes),
            };
            fx.writes.push(Write::GapNote(gap.clone()));
            fx.events.push(Event::Gap(gap));
        }
        let (inb, mut cx) = self.inbound(now, fx);
        inb.skipped(qos, pid, &mut cx);
    }

    fn unknown_pubrec(&mut self, pid: u16, protocol: Protocol, fx: &mut Effects) {
        if self.conn.ignore_unknown {
            return;
        }
        let reason = match protocol {
            Protocol::V5 => ReasonCode::PacketIdentifierNotFound,
            Protocol::V4 => ReasonCode::Success,
        };
        fx.sends.push(Packet::PubRel(Ack { pid, reason }));
        if let Phase::Up(up) = &mut self.conn.phase {
            up.answered_unknown = true;
        }
    }

    /// A QoS 0 message found no room: a gap says so, and closes when there is room.
    fn dropped(&mut self, topic: &TopicName, now: Now, fx: &mut Effects) {
        // A topic name is a filter that matches itself alone; beyond some of them one gap stands for all.
        let name = if self.dropped.len() < DROPPED_TOPICS { topic.as_str() } else { "#" };
        let Ok(filter) = TopicFilter::new(name) else { return };
        let (from_ms, after_seq) = (now.wall_ms, self.hot.next_seq - 1);
        if !self.dropped.contains_key(&filter) {
            self.dropped.insert(filter.clone(), (from_ms, after_seq));
            fx.writes.push(Write::GapOpen { filter, cause: GapCause::Qos0Dropped, from_ms, after_seq });
        }
    }

    fn disconnected_by_broker(&mut self, disconnect: &Disconnect, now: Now, fx: &mut Effects) {
        self.blamed(disconnect.reason, now, fx);
        self.may_renew(now);
        if disconnect.reason == ReasonCode::SessionTakenOver {
            self.conn.taken_over();
        }
        self.redirected(disconnect.reason, disconnect.server_reference.as_deref(), fx);
        self.close(Why::Broker(disconnect.reason), fx);
    }
}
