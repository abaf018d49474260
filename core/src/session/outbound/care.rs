//! A message that closes every link it is sent on (a 3.1.1 broker has no other way to refuse one): found by sending one at
//! a time, and told from a bad network by how the links end.

use std::collections::BTreeSet;

use super::{Context, Outbound};
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::rows::split_id;
use crate::session::outbound::slots::Progress;

/// So many links lost without an acknowledgement make the next ones careful.
const FRUITLESS: u32 = 3;
/// A link that the broker closes later than this after a PUBLISH was not closed because of it.
const BLAMED_MS: i64 = 5_000;

/// How the messages of a link are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Care {
    /// As the window allows.
    #[default]
    Off,
    /// One at a time, and none before a PINGRESP has come.
    Ping,
    /// The next one may go.
    Ready,
    /// One is on its way.
    Alone { id: u64, at: i64 },
}

impl Care {
    /// Whether nothing may be sent now.
    pub(super) fn holds(self) -> bool {
        matches!(self, Self::Ping | Self::Alone { .. })
    }
}

impl Outbound {
    /// A message is suspected still, of a time before this process: its links count as lost.
    pub fn suspected_before(&mut self) {
        self.fruitless = FRUITLESS;
    }

    /// A link begins.
    pub(super) fn begin_care(&mut self) {
        (self.acknowledged, self.sent_any) = (false, false);
        self.care = if self.fruitless >= FRUITLESS { Care::Ping } else { Care::Off };
    }

    /// Whether a PINGREQ is to go before anything else.
    pub fn wants_ping(&self) -> bool {
        self.care == Care::Ping
    }

    /// The broker has answered it: the link works.
    pub fn pong(&mut self, cx: &mut Context<'_>) {
        if self.care == Care::Ping {
            self.care = Care::Ready;
            self.pump(cx);
        }
    }

    /// A PUBLISH goes out.
    pub(super) fn sent_with_care(&mut self, id: u64, qos: QoS, cx: &mut Context<'_>) {
        // QoS 0 has no acknowledgement to wait for, and does not go again: it proves nothing.
        self.sent_any |= qos != QoS::AtMostOnce;
        if self.care == Care::Ready {
            self.care = match qos {
                // Nothing acknowledges it: the answer to a ping says that it did no harm.
                QoS::AtMostOnce => Care::Ping,
                _ => Care::Alone { id, at: cx.now.mono_ms },
            };
        }
    }

    /// An acknowledgement has come: whatever closed links before, this broker takes messages.
    pub(super) fn acknowledged(&mut self) {
        self.acknowledged = true;
        self.fruitless = 0;
        self.care = Care::Off;
    }

    /// Whether an acknowledgement has come on this link.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// The link is lost (not given up by us).
    pub fn link_lost(&mut self) {
        if self.link.is_some() && self.sent_any && !self.acknowledged {
            self.fruitless = self.fruitless.saturating_add(1);
        }
    }

    /// The message that was sent alone on this link, and whether that was just now.
    pub fn alone(&self, now_ms: i64) -> Option<(u64, bool)> {
        match self.care {
            Care::Alone { id, at } => Some((id, now_ms - at <= BLAMED_MS)),
            _ => None,
        }
    }

    /// The message of a packet identifier, if nothing but its PUBLISH was sent.
    pub fn published(&self, pid: u16, salt: u64) -> Option<u64> {
        self.find(pid, salt).filter(|(_, slot)| slot.progress == Progress::Published).map(|(id, _)| id)
    }

    /// See [`Session::at_hand`](crate::session::Session::at_hand).
    pub fn at_hand(&self) -> Option<u64> {
        self.at_hand
    }

    /// See [`Session::shun`](crate::session::Session::shun).
    pub fn shun(&mut self, ids: &BTreeSet<u64>) {
        self.shunned.clone_from(ids);
    }

    /// The broker will never take this one.
    pub fn park_suspect(&mut self, id: u64, reason: ReasonCode, cx: &mut Context<'_>) {
        let (lane, ord) = split_id(id);
        let slot = self.queues.get(lane).and_then(|queue| queue.slots.get(ord)).copied();
        if let Some(slot) = slot.filter(|slot| slot.progress == Progress::Published) {
            self.park(id, slot.size, reason, Some(slot.sent_qos), cx);
        }
    }
}
