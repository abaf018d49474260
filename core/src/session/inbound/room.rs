//! Room in the inbox and on the disk: what fits, what waits, and what there has to be before a link comes back.

use super::{Held, Inbound, held_size, size};
use crate::model::message::QoS;
use crate::model::rows::{Hot, disk_cost};
use crate::session::outbound::Context;
use crate::wire::packet::{Ack, Packet};

/// So much of the disk is worth a link, whatever comes.
const ENOUGH_DISK: u64 = 2 << 20;

/// QoS 1 and 2 messages that were too much to be held: they come again on the next link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgotten {
    first: u64,
    messages: u64,
    bytes: u64,
    disk: u64,
}

impl Inbound {
    /// What the first message that waits takes on the disk, if it waits for nothing else.
    pub fn lacks_disk(&self, hot: &Hot) -> Option<u64> {
        let first = self.held.iter().find_map(|held| match held {
            Held::Message(packet, _) => Some(size(packet)),
            Held::Answer(_) => None,
        });
        let (cost, within) = match (first, self.coming_again()) {
            (Some(first), _) => (disk_cost(first), self.is_within(first, hot)),
            (None, Some(forgotten)) => (forgotten.disk, self.takes(forgotten, hot)),
            (None, None) => return None,
        };
        (within && cost > self.disk).then_some(cost)
    }

    /// What there has to be room for before a link: all that was forgotten, but no more than half the inbox's limit and some
    /// of the disk, and at least its first message. With less the same messages would come, and be forgotten, again and
    /// again; to wait for more could be for ever.
    fn coming_again(&self) -> Option<Forgotten> {
        let all = self.forgotten?;
        Some(Forgotten {
            messages: all.messages.min(u64::max(self.limit.messages / 2, 1)),
            bytes: all.bytes.min(u64::max(self.limit.bytes / 2, all.first)),
            disk: all.disk.min(u64::max(ENOUGH_DISK, disk_cost(all.first))),
            ..all
        })
    }

    fn takes(&self, forgotten: Forgotten, hot: &Hot) -> bool {
        hot.inbox_messages == 0
            || hot.inbox_messages + forgotten.messages <= self.limit.messages
                && hot.inbox_bytes + forgotten.bytes <= self.limit.bytes
    }

    /// An empty inbox takes a message of any size: one over the limit would stand before all others for ever.
    fn is_within(&self, bytes: u64, hot: &Hot) -> bool {
        let within = hot.inbox_bytes + bytes <= self.limit.bytes || hot.inbox_messages == 0;
        hot.inbox_messages < self.limit.messages && within
    }

    pub(super) fn fits(&self, bytes: u64, cx: &Context<'_>) -> bool {
        disk_cost(bytes) <= self.disk && self.is_within(bytes, cx.hot)
    }

    /// What has to leave the inbox before all that waits fits, or at least one small message.
    pub fn over_limit(&self, hot: &Hot) -> (u64, u64) {
        let sizes = self.held.iter().filter_map(|held| match held {
            Held::Message(packet, _) => Some(size(packet)),
            Held::Answer(_) => None,
        });
        let again = self.coming_again().map_or((0, 0), |forgotten| (forgotten.messages, forgotten.bytes));
        let (messages, bytes) = sizes.fold(again, |(messages, bytes), size| (messages + 1, bytes + size));
        let (messages, bytes) = (hot.inbox_messages + u64::max(messages, 1), hot.inbox_bytes + bytes);
        (messages.saturating_sub(self.limit.messages), bytes.saturating_sub(self.limit.bytes))
    }

    /// Too much is held: what the link's end will forget.
    pub(super) fn forget(&mut self) {
        let sizes = self.held.iter().filter_map(|held| match held {
            Held::Message(packet, _) if packet.qos != QoS::AtMostOnce => Some(size(packet)),
            _ => None,
        });
        self.forgotten = sizes.fold(None, |so_far, bytes| {
            let so_far = so_far.unwrap_or(Forgotten { first: bytes, messages: 0, bytes: 0, disk: 0 });
            let (bytes, disk) = (so_far.bytes + bytes, so_far.disk + disk_cost(bytes));
            Some(Forgotten { messages: so_far.messages + 1, bytes, disk, ..so_far })
        });
    }

    /// There may be room again: stores and answers what was held back, in order.
    pub fn room(&mut self, cx: &mut Context<'_>) {
        while let Some(held) = self.held.pop_front() {
            match held {
                Held::Answer(pid) => cx.fx.sends.push(Packet::PubRec(Ack::ok(pid))),
                Held::Message(packet, retained) => {
                    if !self.fits(size(&packet), cx) {
                        self.held.push_front(Held::Message(packet, retained));
                        return;
                    }
                    self.held_bytes -= held_size(&packet);
                    self.held_qos0 -= usize::from(packet.qos == QoS::AtMostOnce);
                    self.accept(packet, retained, cx);
                }
            }
        }
    }

    /// Whether what comes next would be stored now.
    pub fn has_room(&self, cx: &Context<'_>) -> bool {
        match self.coming_again() {
            Some(forgotten) => forgotten.disk <= self.disk && self.takes(forgotten, cx.hot),
            None => self.fits(0, cx),
        }
    }
}
