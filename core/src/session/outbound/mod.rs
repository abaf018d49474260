//! Outgoing messages: two lanes, a window of rows, first sends, resends after a reconnect (P1, P3, P5, P6).

mod acks;
mod admit;
mod care;
mod copied;
mod expiry;
mod links;
mod park;
mod queue;
mod rate;
mod resend;
mod slots;

use std::collections::BTreeSet;

pub use acks::{Downgrade, Known};
#[cfg(test)]
pub(crate) use admit::PANICS;
use admit::{Admit, Sent, packet_of};
use care::Care;
use queue::Queue;
use rate::Rate;
use resend::Resend;
use slots::{Progress, Slot};

use super::effect::{Effects, Now};
use super::packet_ids::{LANES, NORMAL};
use crate::model::event::{Fate, Metrics};
use crate::model::message::{QoS, StoreId};
use crate::model::profile::ServiceLimits;
use crate::model::reason::ReasonCode;
use crate::model::rows::{Hot, InFlightRow, OutboxRow, Outcome, join_id, split_id};
use crate::model::writes::Write;
use crate::wire::packet::{Ack, Packet, Protocol};

/// So many messages may end unsent in one turn: a turn must not grow with the outbox.
const UNSENT: usize = 1000;

/// What the broker and our options allow on this link.
#[derive(Debug, Clone, Copy)]
pub struct LinkLimits {
    /// The link's version.
    pub protocol: Protocol,
    /// Unfinished QoS 1 and 2 messages.
    pub window: usize,
    /// Unfinished QoS 2 messages.
    pub window_qos2: usize,
    /// The broker's maximum QoS.
    pub max_qos: QoS,
    /// The broker keeps retained messages.
    pub retain: bool,
    /// The broker's maximum packet size.
    pub max_packet: usize,
    /// What the profile's service takes beside that.
    pub service: ServiceLimits,
}

/// What the rules need besides the outbox itself.
pub struct Context<'a> {
    /// The moment.
    pub now: Now,
    /// Counters of the rows.
    pub hot: &'a mut Hot,
    /// Whose ids these are.
    pub store: StoreId,
    /// Shifts packet identifiers.
    pub salt: u64,
    /// Counters for people.
    pub metrics: &'a mut Metrics,
    /// What to do.
    pub fx: &'a mut Effects,
}

/// The broker broke a rule: close with this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub ReasonCode, pub &'static str);

/// The urgent lane goes before the normal one.
const URGENT_FIRST: [usize; 2] = [1, 0];

/// The outgoing side of the session.
#[derive(Debug)]
pub struct Outbound {
    /// Normal and urgent.
    queues: [Queue; 2],
    link: Option<LinkLimits>,
    resend: Option<Resend>,
    unfinished: usize,
    unfinished_qos2: usize,
    /// Bytes that may still be given to the link in this turn.
    credit: i64,
    downgrade_told: bool,
    /// Store clock of the next row to expire.
    next_expiry: Option<i64>,
    sweeping: bool,
    /// Messages that may still end unsent in this turn.
    unsent: usize,
    /// Packet identifiers that the broker may still hold for a message that is not sent again.
    skipped: BTreeSet<u16>,
    /// Parked messages behind this id are still to be looked at on this link.
    unparking: Option<u64>,
    care: Care,
    rate: Rate,
    /// Stays behind if deciding on it panics.
    at_hand: Option<u64>,
    shunned: BTreeSet<u64>,
    /// Links lost without an acknowledgement between.
    fruitless: u32,
    /// On this link.
    acknowledged: bool,
    /// On this link.
    sent_any: bool,
    /// A copy that was put back: nothing leaves before the app has decided.
    held: bool,
    copied_through: [u64; 2],
}

impl Outbound {
    /// Rebuilds the window from the rows that were in flight.
    pub fn new(hot: &Hot, in_flight: &[InFlightRow], skipped: Vec<u16>) -> Self {
        Self {
            queues: [Queue::new(0, hot, in_flight), Queue::new(1, hot, in_flight)],
            link: None,
            resend: None,
            unfinished: 0,
            unfinished_qos2: 0,
            credit: 0,
            downgrade_told: false,
            next_expiry: None,
            sweeping: false,
            unsent: UNSENT,
            skipped: skipped.into_iter().collect(),
            unparking: None,
            care: Care::Off,
            rate: Rate::default(),
            at_hand: None,
            shunned: BTreeSet::new(),
            fruitless: 0,
            acknowledged: false,
            sent_any: false,
            held: false,
            copied_through: [0, 0],
        }
    }

    /// A turn begins, in which the link takes so many bytes.
    pub fn begin_turn(&mut self, credit: i64) {
        self.credit = credit;
        self.unsent = UNSENT;
    }

    /// Whether the turn has ended as many messages as it may, and another one should follow at once.
    pub fn is_exhausted(&self) -> bool {
        (self.unsent == 0 || self.unparking.is_some()) && self.link.is_some()
    }

    /// What is left of it.
    pub fn credit(&self) -> i64 {
        self.credit
    }

    /// Whether something was sent and not finished.
    pub fn has_session_state(&self) -> bool {
        self.queues.iter().any(|queue| !queue.slots.is_empty())
    }

    /// The unfinished message that has this identifier.
    fn find(&self, pid: u16, salt: u64) -> Option<(u64, Slot)> {
        let found =
            self.queues.iter().find_map(|queue| Some((queue, queue.pids.ord(pid, salt, queue.slots.oldest())?)));
        let (queue, ord) = found?;
        let slot = queue.slots.get(ord)?;
        (slot.progress != Progress::Done).then_some((join_id(queue.lane, ord), *slot))
    }

    /// The packet identifier of a message.
    fn pid(id: u64, salt: u64) -> u16 {
        let (lane, ord) = split_id(id);
        LANES.get(lane).unwrap_or(&NORMAL).pid(ord, salt)
    }

    /// Gives out the next ordinal of a lane.
    fn next_ord(lane: usize, cx: &mut Context<'_>) -> u64 {
        let counters = &mut cx.hot.lanes[lane];
        counters.next_ord += 1;
        cx.metrics.published += 1;
        counters.next_ord - 1
    }

    /// Accepts a message: gives it its id (the row's names the lane) and writes the row.
    pub fn publish(&mut self, mut row: OutboxRow, cx: &mut Context<'_>) -> u64 {
        let (lane, _) = split_id(row.id);
        let ord = Self::next_ord(lane, cx);
        let counters = &mut cx.hot.lanes[lane];
        counters.messages += 1;
        counters.bytes += row.size();
        row.id = join_id(lane, ord);
        let id = row.id;
        if let Some(at) = row.expires_ms {
            self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        }
        self.queues[lane].published(ord, &row);
        cx.fx.writes.push(Write::OutboxInsert(row));
        id
    }

    /// Accepts a message that the policy drops at once: an id and a verdict, no row.
    pub fn publish_dropped(&mut self, lane: usize, cx: &mut Context<'_>) {
        let ord = Self::next_ord(lane, cx);
        let id = join_id(lane, ord);
        self.queues[lane].hole(ord);
        cx.fx.writes.push(Write::OutboxFinish { id, verdict: Some(Outcome::Dropped), at_ms: cx.now.wall_ms });
        // No flush waits for it: it was never in its lane.
        cx.fx.unparked.push((id, Fate::Dropped));
        cx.metrics.settled += 1;
    }

    /// PUBRELs of released messages, in the order of their PUBRECs [4.6.0-4], whichever their lane.
    pub fn released_loaded(&mut self, ids: &[u64], cx: &mut Context<'_>) {
        if self.link.is_none() {
            return;
        }
        for id in ids {
            cx.fx.sends.push(Packet::PubRel(Ack::ok(Self::pid(*id, cx.salt))));
        }
    }

    /// Rows asked for have come.
    pub fn rows_loaded(&mut self, lane: usize, rows: Vec<OutboxRow>, complete: bool, cx: &mut Context<'_>) {
        let queue = &mut self.queues[lane];
        if !std::mem::take(&mut queue.loading) {
            // The link they were read for has gone: rows of a resend must not be taken for new ones.
            return;
        }
        match &mut self.resend {
            Some(resend) => resend.loaded(lane, rows, complete),
            None => queue.loaded(rows, complete),
        }
        self.pump(cx);
    }

    /// Sends what may be sent.
    pub fn pump(&mut self, cx: &mut Context<'_>) {
        self.rate.waits(false);
        self.send_all(cx);
        self.at_hand = None;
    }

    fn send_all(&mut self, cx: &mut Context<'_>) {
        let Some(limits) = self.link.filter(|_| !self.held) else { return };
        while !self.care.holds() {
            if self.resend.is_some() && !self.resend(&limits, cx) {
                return;
            }
            let Some(lane) = self.next_lane(cx) else { return };
            let Some(row) = self.queues[lane].front() else { return };
            self.at_hand = Some(row.id);
            let slots = &self.queues[lane].slots;
            if !slots.is_empty() && split_id(row.id).1 - slots.oldest() >= LANES[lane].count() {
                return;
            }
            let expired = row.expires_ms.is_some_and(|at| at <= cx.now.store_ms) && !row.maybe_dup;
            let admitted = match expired {
                true => Admit::End(Fate::Expired),
                false => self.admit(row, &limits, cx),
            };
            let unsent = matches!(admitted, Admit::End(_) | Admit::Park(_));
            self.rate.waits(matches!(admitted, Admit::Later));
            if matches!(admitted, Admit::No | Admit::Later) || unsent && self.unsent == 0 {
                return;
            }
            let Some(row) = self.queues[lane].pop() else { return };
            self.advance(row.id, cx);
            self.unsent -= usize::from(unsent);
            match admitted {
                Admit::No | Admit::Later => {}
                Admit::End(fate) => self.end(row.id, row.size(), fate, cx),
                Admit::Park(reason) => self.park(row.id, row.size(), reason, None, cx),
                Admit::Send(sent) if self.is_skipped(row.id, sent.qos, cx.salt) => self.rehome(row, cx),
                Admit::Send(sent) => self.send(row, sent, false, cx),
            }
        }
    }

    /// The lane whose row is the next to be sent, once it is in memory: urgent ones before all normal ones.
    fn next_lane(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        for lane in URGENT_FIRST {
            let queue = &mut self.queues[lane];
            if queue.front().is_some() {
                return Some(lane);
            }
            if queue.has_more(cx.hot) {
                queue.read_on(cx.hot, cx.fx);
                return None;
            }
        }
        None
    }

    fn is_skipped(&self, id: u64, qos: QoS, salt: u64) -> bool {
        qos == QoS::ExactlyOnce && !self.skipped.is_empty() && self.skipped.contains(&Self::pid(id, salt))
    }

    /// Moves the cursor of its lane to a message, with holes for what is not there.
    fn advance(&mut self, id: u64, cx: &mut Context<'_>) {
        let (lane, ord) = split_id(id);
        self.queues[lane].slots.reach(ord);
        cx.hot.lanes[lane].sent_through = ord;
    }

    fn send(&mut self, row: OutboxRow, sent: Sent, dup: bool, cx: &mut Context<'_>) {
        let (id, size) = (row.id, row.size());
        let (lane, ord) = split_id(id);
        let downgraded = sent.qos != row.qos || sent.retain != row.retain;
        let before = self.queues[lane].slots.get(ord).filter(|slot| slot.progress == Progress::Published);
        let before = before.map_or((row.qos, false), |slot| (slot.sent_qos, slot.downgraded));
        if sent.qos != QoS::AtMostOnce && before != (sent.qos, downgraded) {
            // Behind a kill it goes again as it went, or a QoS 2 message would stand beside the first one.
            cx.fx.writes.push(Write::SentAs { id, qos: sent.qos, downgraded });
        }
        let pid = Self::pid(id, cx.salt);
        self.credit -= size as i64 + 8;
        self.rate.took(row.payload.len(), cx.now.mono_ms);
        cx.metrics.sent += 1;
        self.queues[lane].slots.put(
            ord,
            Slot {
                progress: Progress::Published,
                sent_qos: sent.qos,
                downgraded,
                maybe_dup: row.maybe_dup || self.is_copied(id),
                counted: sent.qos != QoS::AtMostOnce,
                size,
            },
        );
        if lane > 0 && !dup && sent.qos != QoS::AtMostOnce {
            cx.fx.writes.push(Write::SentAfter { id, after_ord: cx.hot.lanes[0].sent_through });
        }
        let packet = packet_of(&row, &sent, pid, dup, cx.now.store_ms);
        cx.fx.sends.push(Packet::Publish(packet));
        self.sent_with_care(id, sent.qos, cx);
        match sent.qos {
            QoS::AtMostOnce => self.end(id, size, Fate::Sent, cx),
            QoS::AtLeastOnce => self.unfinished += 1,
            QoS::ExactlyOnce => {
                self.unfinished += 1;
                self.unfinished_qos2 += 1;
            }
        }
    }

    /// A message has come to its end: the row goes, the verdict stays.
    fn end(&mut self, id: u64, size: u64, fate: Fate, cx: &mut Context<'_>) {
        cx.fx.writes.push(Write::OutboxFinish { id, verdict: outcome(&fate), at_ms: cx.now.wall_ms });
        cx.fx.settled.push((id, fate));
        cx.metrics.settled += 1;
        self.leave(id, size, cx);
    }

    /// A message is in its lane no more.
    fn leave(&mut self, id: u64, size: u64, cx: &mut Context<'_>) {
        let (lane, ord) = split_id(id);
        let counters = &mut cx.hot.lanes[lane];
        counters.messages = counters.messages.saturating_sub(1);
        counters.bytes = counters.bytes.saturating_sub(size);
        if let Some(slot) = self.queues[lane].slots.finish(ord)
            && slot.counted
        {
            self.unfinished -= 1;
            self.unfinished_qos2 -= usize::from(slot.sent_qos == QoS::ExactlyOnce);
        }
    }
}

/// What is recorded of an end. None: delivered, nothing to remark.
fn outcome(fate: &Fate) -> Option<Outcome> {
    Some(match fate {
        Fate::Sent => Outcome::Sent,
        Fate::Expired => Outcome::Expired,
        Fate::Refused(reason) => Outcome::Refused(*reason),
        Fate::Superseded(by) => Outcome::Superseded(by.number()),
        Fate::Cancelled => Outcome::Cancelled,
        Fate::Dropped => Outcome::Dropped,
        &Fate::Delivered { maybe_twice, maybe_lost, downgraded } if maybe_twice || maybe_lost || downgraded => {
            Outcome::Delivered { maybe_twice, maybe_lost, downgraded }
        }
        Fate::Delivered { .. } => return None,
        _ => Outcome::Unknown,
    })
}
