//! Received messages: stored before they are acknowledged (P2, P3, P4), and held back when there is no room.

mod room;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use room::Forgotten;

use super::completions::Completions;
use super::outbound::{Context, Violation};
use crate::model::message::QoS;
use crate::model::options::{InboxFull, Limit};
use crate::model::reason::ReasonCode;
use crate::model::rows::{InboxRow, ReceivedQos2, disk_cost, props_size};
use crate::model::writes::Write;
use crate::wire::packet::{Ack, Packet, Protocol, PublishPacket};

/// Messages that may wait in memory for room; beyond it they are forgotten and the link is closed.
const HELD_BYTES: u64 = 8 << 20;
/// What a held message costs besides its content: an MQTT 3.1.1 broker may send millions of empty ones.
const HELD_EACH: u64 = 128;

/// An unanswered packet: answers leave in the order of arrival [4.6.0-2], so the whole suffix waits.
#[derive(Debug)]
enum Held {
    Message(PublishPacket, Retained),
    /// A QoS 2 message that is stored already; only its PUBREC waits.
    Answer(u16),
}

impl Held {
    fn size(&self) -> u64 {
        match self {
            Self::Message(packet, _) => held_size(packet),
            Self::Answer(_) => 0,
        }
    }
}

/// Whether a message with the retain flag may say only what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// It may as well be a new one: it is stored like any other.
    Live,
    /// It is what the broker keeps, and a subscription asks to be told again and again.
    Asked,
    /// It is what the broker keeps.
    Told,
}

/// The incoming side of the session.
#[derive(Debug)]
pub struct Inbound {
    /// QoS 2 identifiers stored and not yet released, with their content.
    received: HashMap<u16, u64>,
    completions: Completions,
    held: VecDeque<Held>,
    held_bytes: u64,
    /// What the next link begins with.
    forgotten: Option<Forgotten>,
    /// QoS 0 messages among them: no receive maximum counts them, and nobody sends them again.
    held_qos0: usize,
    limit: Limit,
    /// What this turn may still take on the disk.
    disk: u64,
    full: InboxFull,
    /// The broker has gone over our receive maximum before.
    overrun: bool,
    /// Identifiers that were open when the link came up: a new link's quota does not count them.
    carried: usize,
}

/// What the connection has to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Nothing.
    Enough,
    /// Too much is held back: close, and come back when there is room.
    Overflow,
    /// A QoS 0 message was dropped.
    Dropped,
}

impl Inbound {
    /// Rebuilt from the rows.
    pub fn new(rows: &[ReceivedQos2], limit: Limit, full: InboxFull) -> Self {
        let of = |completed: bool| {
            rows.iter().filter(move |row| row.completed == completed).map(|row| (row.pid, row.content))
        };
        Self {
            received: of(false).collect(),
            completions: Completions::new(of(true)),
            held: VecDeque::new(),
            held_bytes: 0,
            forgotten: None,
            held_qos0: 0,
            limit,
            disk: u64::MAX,
            full,
            overrun: false,
            carried: 0,
        }
    }

    /// The session is up on a new link.
    pub fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.completions = Completions::default();
        }
        self.carried = self.received.len();
        self.forgotten = None;
    }

    /// The link is gone: what was held back will be delivered again, but for QoS 0. That goes on waiting for its room.
    pub fn disconnected(&mut self) {
        self.completions.disconnected();
        self.held.retain(|held| matches!(held, Held::Message(packet, _) if packet.qos == QoS::AtMostOnce));
        self.held_bytes = self.held.iter().map(Held::size).sum();
    }

    /// The broker has lost the session: its packet identifiers mean nothing any more [3.2.2-5].
    pub fn session_lost(&mut self) {
        self.received.clear();
        self.disconnected();
        self.completions = Completions::default();
    }

    /// Whether QoS 2 identifiers are open.
    pub fn has_session_state(&self) -> bool {
        !self.received.is_empty()
    }

    /// Whether something waits for room.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What this turn may still take on the disk, as `disk_cost` counts it.
    pub fn disk(&self) -> u64 {
        self.disk
    }

    /// The turn may take so much.
    pub fn set_disk(&mut self, bytes: u64) {
        self.disk = bytes;
    }

    /// PUBLISH.
    ///
    /// # Errors
    /// More unacknowledged messages than our receive maximum (MQTT 5).
    pub fn publish(
        &mut self,
        packet: PublishPacket,
        retained: Retained,
        protocol: Protocol,
        receive_maximum: u16,
        cx: &mut Context<'_>,
    ) -> Result<Room, Violation> {
        let bytes = size(&packet);
        if packet.qos == QoS::AtMostOnce {
            if self.is_holding() || !self.fits(bytes, cx) {
                if self.full == InboxFull::DropOldest && disk_cost(bytes) <= self.disk {
                    // Room is made for it in this very turn.
                    return Ok(self.hold(packet, retained, false));
                }
                cx.metrics.dropped_in += 1;
                return Ok(Room::Dropped);
            }
            self.store(packet, retained, cx);
            return Ok(Room::Enough);
        }
        // Another content under an open identifier is another message: the broker has lost the session, and the answer to the
        // CONNECT that would have said so was lost too.
        let repeated = packet.qos == QoS::ExactlyOnce
            && self.received.get(&packet.pid).is_some_and(|known| *known == content(&packet));
        // QoS 1 messages are acknowledged with the turn: only what is really open counts. Some brokers ignore the maximum;
        // one that was told so once and does it again is put up with, for its messages would never come through.
        let open = self.received.len() + self.held.len() - self.held_qos0;
        let over = open >= usize::from(receive_maximum) + self.carried;
        if protocol == Protocol::V5 && !repeated && over && !self.overrun {
            self.overrun = true;
            return Err(Violation(
                ReasonCode::ReceiveMaximumExceeded,
                "more PUBLISHes than our receive maximum [3.3.4-9]",
            ));
        }
        if self.is_holding() || !repeated && !self.fits(bytes, cx) {
            return Ok(self.hold(packet, retained, repeated));
        }
        self.accept(packet, retained, cx);
        Ok(Room::Enough)
    }

    fn hold(&mut self, packet: PublishPacket, retained: Retained, repeated: bool) -> Room {
        let again = packet.qos == QoS::ExactlyOnce
            && self.held.iter().any(|held| match held {
                Held::Message(message, _) => message.pid == packet.pid && message.qos == QoS::ExactlyOnce,
                Held::Answer(pid) => *pid == packet.pid,
            });
        if again {
            return Room::Enough;
        }
        if repeated {
            self.held.push_back(Held::Answer(packet.pid));
            return Room::Enough;
        }
        let before = self.held_bytes;
        self.held_bytes += held_size(&packet);
        self.held_qos0 += usize::from(packet.qos == QoS::AtMostOnce);
        self.held.push_back(Held::Message(packet, retained));
        // Where the oldest make room, the last message is never too many: it would come again and again.
        let counted = if self.full == InboxFull::DropOldest { before } else { self.held_bytes };
        if counted <= HELD_BYTES {
            return Room::Enough;
        }
        self.forget();
        Room::Overflow
    }

    fn accept(&mut self, packet: PublishPacket, retained: Retained, cx: &mut Context<'_>) {
        let (pid, qos) = (packet.pid, packet.qos);
        if qos == QoS::AtMostOnce {
            return self.store(packet, retained, cx);
        }
        if qos == QoS::AtLeastOnce {
            // DUP is a hint only: a redelivery may not be suppressed [4.3.2-5].
            self.store(packet, retained, cx);
            cx.fx.sends.push(Packet::PubAck(Ack::ok(pid)));
            return;
        }
        let content = content(&packet);
        if self.received.insert(pid, content) != Some(content) {
            cx.fx.writes.push(Write::ReceivedQos2 { pid, content });
            if !self.completions.repeats(pid, content, packet.dup) {
                self.store(packet, retained, cx);
            }
        }
        cx.fx.sends.push(Packet::PubRec(Ack::ok(pid)));
    }

    /// A CONNECT goes out; `unproven`: a link before it began in doubt and ended without a PINGRESP.
    pub fn arm(&mut self, unproven: bool) {
        self.completions.arm(unproven);
    }

    /// Whether a ping is due, for what its answer proves.
    pub fn wants_fence(&self) -> bool {
        self.completions.wants_fence()
    }

    /// A PINGREQ goes out behind our PUBCOMPs.
    pub fn fence(&mut self) {
        self.completions.fence();
    }

    /// Its answer has come: the broker has those PUBCOMPs.
    pub fn fence_passed(&mut self, cx: &mut Context<'_>) {
        let known = self.completions.fence_passed();
        cx.fx.writes.extend(known.into_keys().map(Write::ForgetQos2));
    }

    /// A message that was too large to be kept is answered all the same, or it would come for ever.
    pub fn skipped(&mut self, qos: QoS, pid: u16, cx: &mut Context<'_>) {
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => cx.fx.sends.push(Packet::PubAck(Ack::ok(pid))),
            QoS::ExactlyOnce => {
                // No content: its repetition is skipped as well.
                if self.received.insert(pid, 0).is_none() {
                    cx.fx.writes.push(Write::ReceivedQos2 { pid, content: 0 });
                }
                cx.fx.sends.push(Packet::PubRec(Ack::ok(pid)));
            }
        }
    }

    fn store(&mut self, packet: PublishPacket, retained: Retained, cx: &mut Context<'_>) {
        let row = InboxRow {
            seq: cx.hot.next_seq,
            topic: packet.topic,
            payload: packet.payload,
            props: packet.props,
            qos: packet.qos,
            retain: packet.retain,
            dup: packet.dup,
            received_ms: cx.now.wall_ms,
        };
        self.disk = self.disk.saturating_sub(disk_cost(row.size()));
        cx.hot.next_seq += 1;
        cx.hot.inbox_messages += 1;
        cx.hot.inbox_bytes += row.size();
        cx.metrics.received += 1;
        cx.fx.writes.push(match retained {
            Retained::Live => Write::InboxInsert(row),
            Retained::Asked => Write::InboxRetained { row, asked: true },
            Retained::Told => Write::InboxRetained { row, asked: false },
        });
    }

    /// PUBREL: the identifier is free again; PUBCOMP leaves after the commit that says so.
    pub fn pubrel(&mut self, pid: u16, protocol: Protocol, cx: &mut Context<'_>) {
        let content = self.received.remove(&pid);
        let known = content.is_some() || self.completions.again(pid);
        if let Some(content) = content {
            // A broker that releases it has had an answer; from now on the identifier means another message.
            self.held.retain(|held| !matches!(held, Held::Answer(other) if *other == pid));
            self.completions.add(pid, content);
            cx.fx.writes.push(Write::CompletedQos2(pid));
        }
        let reason = match known || protocol == Protocol::V4 {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        cx.fx.sends.push(Packet::PubComp(Ack { pid, reason }));
    }
}

/// Bytes that the message will have as a row.
fn size(packet: &PublishPacket) -> u64 {
    (packet.topic.as_str().len() + packet.payload.len() + packet.props.as_deref().map_or(0, props_size)) as u64
}

fn held_size(packet: &PublishPacket) -> u64 {
    size(packet) + HELD_EACH
}

/// Tells a message's topic and payload from others. The function may change with the compiler's library; then a repeat
/// is stored, as it would be without it.
fn content(packet: &PublishPacket) -> u64 {
    let mut hasher = DefaultHasher::new();
    packet.topic.as_str().hash(&mut hasher);
    packet.payload.hash(&mut hasher);
    hasher.finish()
}
