//! Outgoing messages: a window of rows, first sends, resends after a reconnect (P1, P3, P5, P6).

mod acks;
mod admit;
mod copied;
mod expiry;
mod slots;

use std::collections::VecDeque;

pub use acks::{Downgrade, Known};
use admit::{Admit, Sent, packet_of};
use slots::{Progress, Slot, Slots};

use super::effect::{Effects, Load, Now};
use super::packet_ids::NORMAL;
use crate::model::event::{Fate, Metrics};
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::rows::{Hot, InFlightRow, OutboxRow, Outcome};
use crate::model::writes::Write;
use crate::wire::packet::{Ack, Packet, Protocol};

/// Bounds of the rows held in memory (P6): enough to fill the window of one turn.
const READY_ROWS: usize = 1024;
const READY_BYTES: u64 = 1 << 20;
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
}

/// What the rules need besides the outbox itself.
pub struct Context<'a> {
    /// The moment.
    pub now: Now,
    /// Counters of the rows.
    pub hot: &'a mut Hot,
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

/// Walks the unacknowledged rows again after a reconnect, in order, before anything new [4.4.0-1], [4.6.0-1].
#[derive(Debug)]
struct Resend {
    after: u64,
    end: u64,
    rows: VecDeque<OutboxRow>,
    complete: bool,
}

/// The outgoing side of the session. One lane for now; ids leave room for two.
#[derive(Debug)]
pub struct Outbound {
    /// From the oldest unfinished ordinal to the cursor.
    slots: Slots,
    /// Rows after the cursor, without holes between it and `ready_through`.
    ready: VecDeque<OutboxRow>,
    ready_bytes: u64,
    ready_through: u64,
    loading: bool,
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
    /// A copy that was put back: nothing leaves before the app has decided.
    held: bool,
    copied_through: [u64; 2],
}

impl Outbound {
    /// Rebuilds the window from the rows that were in flight.
    pub fn new(hot: &Hot, in_flight: &[InFlightRow]) -> Self {
        let sent_through = hot.lanes[0].sent_through;
        Self {
            slots: Slots::new(in_flight, sent_through),
            ready: VecDeque::new(),
            ready_bytes: 0,
            ready_through: sent_through,
            loading: false,
            link: None,
            resend: None,
            unfinished: 0,
            unfinished_qos2: 0,
            credit: 0,
            downgrade_told: false,
            next_expiry: None,
            sweeping: false,
            unsent: UNSENT,
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
        self.unsent == 0 && self.link.is_some()
    }

    /// What is left of it.
    pub fn credit(&self) -> i64 {
        self.credit
    }

    /// Whether something was sent and not finished.
    pub fn has_session_state(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The unfinished message that has this identifier.
    fn find(&self, pid: u16, salt: u64) -> Option<(u64, Slot)> {
        let ord = NORMAL.ord(pid, salt, self.slots.oldest())?;
        let slot = self.slots.get(ord)?;
        (slot.progress != Progress::Done).then_some((ord, *slot))
    }

    /// Accepts a message: gives it its id and writes the row.
    pub fn publish(&mut self, mut row: OutboxRow, cx: &mut Context<'_>) -> u64 {
        let lane = &mut cx.hot.lanes[0];
        let ord = lane.next_ord;
        lane.next_ord += 1;
        lane.messages += 1;
        lane.bytes += row.size();
        row.id = ord;
        cx.metrics.published += 1;
        if let Some(at) = row.expires_ms {
            self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        }
        let fits = self.ready.len() < READY_ROWS && self.ready_bytes < READY_BYTES && !self.loading;
        if self.ready_through + 1 == ord && fits {
            self.ready_through = ord;
            self.ready_bytes += row.size();
            self.ready.push_back(row.clone());
        }
        cx.fx.writes.push(Write::OutboxInsert(row));
        ord
    }

    /// The session is up on a new link.
    pub fn connected(&mut self, limits: LinkLimits, hot: &Hot, fx: &mut Effects) {
        self.link = Some(limits);
        self.downgrade_told = false;
        (self.unfinished, self.unfinished_qos2) = (0, 0);
        let mut released = false;
        for slot in self.slots.iter_mut() {
            // A released message has left its PUBLISH behind, but brokers count it until PUBCOMP.
            slot.counted = slot.progress == Progress::Released;
            released |= slot.counted;
            if slot.counted {
                self.unfinished += 1;
                self.unfinished_qos2 += 1;
            }
        }
        if released {
            fx.loads.push(Load::Released);
        }
        self.resend = (!self.slots.is_empty()).then(|| Resend {
            after: self.slots.oldest() - 1,
            end: hot.lanes[0].sent_through,
            rows: VecDeque::new(),
            complete: false,
        });
    }

    /// The link is gone.
    pub fn disconnected(&mut self) {
        self.link = None;
        self.resend = None;
        self.loading = false;
    }

    /// The broker has lost the session: everything unfinished is to be issued anew (P8). Returns the old cursor.
    pub fn session_lost(&mut self, hot: &mut Hot) -> u64 {
        let sent_through = hot.lanes[0].sent_through;
        if !self.slots.is_empty() {
            hot.lanes[0].sent_through = self.slots.oldest() - 1;
        }
        self.slots.clear(hot.lanes[0].sent_through + 1);
        self.ready.clear();
        self.ready_bytes = 0;
        self.ready_through = hot.lanes[0].sent_through;
        self.disconnected();
        sent_through
    }

    /// The broker may have lost the session unheard: what it had in it and gets again now, it may have twice.
    pub fn doubt(&mut self, cx: &mut Context<'_>) {
        let mut doubtful = false;
        for slot in self.slots.iter_mut() {
            if slot.progress == Progress::Published && slot.sent_qos == QoS::ExactlyOnce {
                slot.maybe_dup = true;
                doubtful = true;
            }
        }
        if doubtful {
            cx.fx.writes.push(Write::SessionDoubted { sent_through: cx.hot.lanes[0].sent_through });
        }
    }

    /// PUBRELs of released messages, in the order of their PUBRECs [4.6.0-4].
    pub fn released_loaded(&mut self, ids: &[u64], cx: &mut Context<'_>) {
        if self.link.is_none() {
            return;
        }
        for id in ids {
            cx.fx.sends.push(Packet::PubRel(Ack::ok(NORMAL.pid(*id, cx.salt))));
        }
    }

    /// Rows asked for have come.
    pub fn rows_loaded(&mut self, rows: Vec<OutboxRow>, complete: bool, cx: &mut Context<'_>) {
        if !std::mem::take(&mut self.loading) {
            // The link they were read for has gone: rows of a resend must not be taken for new ones.
            return;
        }
        if let Some(resend) = &mut self.resend {
            resend.after = rows.last().map_or(resend.end, |row| row.id);
            resend.complete = complete || rows.is_empty();
            resend.rows.extend(rows);
        } else {
            let last = rows.last().map_or(self.ready_through, |row| row.id);
            // Read to the end: holes behind the last row are nobody's any more.
            self.ready_through = if complete { cx.hot.lanes[0].next_ord - 1 } else { last };
            for row in rows {
                self.ready_bytes += row.size();
                self.ready.push_back(row);
            }
        }
        self.pump(cx);
    }

    /// Sends what may be sent.
    pub fn pump(&mut self, cx: &mut Context<'_>) {
        let Some(limits) = self.link.filter(|_| !self.held) else { return };
        while let Some(resend) = &mut self.resend {
            let Some(row) = resend.rows.pop_front() else {
                if resend.complete {
                    self.resend = None;
                    break;
                }
                let (after, through) = (resend.after, resend.end);
                return self.load(after, through, cx);
            };
            if self.slots.get(row.id).is_none_or(|slot| slot.progress != Progress::Published || slot.counted) {
                continue;
            }
            match self.admit(&row, &limits, cx) {
                Admit::End(fate) if self.unsent > 0 => {
                    self.unsent -= 1;
                    self.end(row.id, row.size(), fate, cx);
                }
                Admit::No | Admit::End(_) => {
                    if let Some(resend) = &mut self.resend {
                        resend.rows.push_front(row);
                    }
                    return;
                }
                Admit::Send(sent) => {
                    cx.metrics.resent += 1;
                    self.send(row, sent, true, cx);
                }
            }
        }
        loop {
            let Some(row) = self.ready.front() else {
                if self.ready_through + 1 < cx.hot.lanes[0].next_ord {
                    let through = cx.hot.lanes[0].next_ord - 1;
                    self.load(self.ready_through, through, cx);
                }
                return;
            };
            if !self.slots.is_empty() && row.id - self.slots.oldest() >= NORMAL.count() {
                return;
            }
            let expired = row.expires_ms.is_some_and(|at| at <= cx.now.store_ms) && !row.maybe_dup;
            let admitted = match expired {
                true => Admit::End(Fate::Expired),
                false => self.admit(row, &limits, cx),
            };
            if matches!(admitted, Admit::No) || matches!(admitted, Admit::End(_)) && self.unsent == 0 {
                return;
            }
            let Some(row) = self.ready.pop_front() else { return };
            self.ready_bytes -= row.size();
            self.advance(row.id, cx);
            match admitted {
                Admit::No => {}
                Admit::End(fate) => {
                    self.unsent -= 1;
                    self.end(row.id, row.size(), fate, cx);
                }
                Admit::Send(sent) => self.send(row, sent, false, cx),
            }
        }
    }

    fn load(&mut self, after: u64, through: u64, cx: &mut Context<'_>) {
        if !self.loading {
            self.loading = true;
            let (max_rows, max_bytes) = (READY_ROWS / 2, READY_BYTES as usize);
            cx.fx.loads.push(Load::Outbox { after, through, max_rows, max_bytes });
        }
    }

    /// Moves the cursor to `ord`, with holes for what is not there.
    fn advance(&mut self, ord: u64, cx: &mut Context<'_>) {
        self.slots.reach(ord);
        cx.hot.lanes[0].sent_through = ord;
    }

    fn send(&mut self, row: OutboxRow, sent: Sent, dup: bool, cx: &mut Context<'_>) {
        let (id, size) = (row.id, row.size());
        let downgraded = sent.qos != row.qos || sent.retain != row.retain;
        let pid = NORMAL.pid(id, cx.salt);
        self.credit -= size as i64 + 8;
        cx.metrics.sent += 1;
        self.slots.put(
            id,
            Slot {
                progress: Progress::Published,
                sent_qos: sent.qos,
                downgraded,
                maybe_dup: row.maybe_dup || self.is_copied(id),
                counted: sent.qos != QoS::AtMostOnce,
                size,
            },
        );
        let packet = packet_of(&row, &sent, pid, dup, cx.now.store_ms);
        cx.fx.sends.push(Packet::Publish(packet));
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
        let verdict = match fate {
            Fate::Sent => Some(Outcome::Sent),
            Fate::Expired => Some(Outcome::Expired),
            Fate::Refused(reason) => Some(Outcome::Refused(reason)),
            Fate::Delivered { maybe_twice, maybe_lost, downgraded } if maybe_twice || maybe_lost || downgraded => {
                Some(Outcome::Delivered { maybe_twice, maybe_lost, downgraded })
            }
            Fate::Delivered { .. } => None,
            Fate::Cancelled => Some(Outcome::Cancelled),
            _ => Some(Outcome::Unknown),
        };
        cx.fx.writes.push(Write::OutboxFinish { id, verdict, at_ms: cx.now.wall_ms });
        cx.fx.settled.push((id, fate));
        cx.metrics.settled += 1;
        let lane = &mut cx.hot.lanes[0];
        lane.messages = lane.messages.saturating_sub(1);
        lane.bytes = lane.bytes.saturating_sub(size);
        if let Some(slot) = self.slots.finish(id)
            && slot.counted
        {
            self.unfinished -= 1;
            self.unfinished_qos2 -= usize::from(slot.sent_qos == QoS::ExactlyOnce);
        }
    }
}
