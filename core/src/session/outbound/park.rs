//! Messages set aside: what the broker cannot take and the app wants kept (P7). They are in no lane until they are
//! published again, under a new id.

use super::{Context, Outbound};
use crate::model::event::Fate;
use crate::model::message::{MessageId, QoS};
use crate::model::reason::ReasonCode;
use crate::model::rows::{OutboxRow, join_id, split_id};
use crate::model::writes::Write;
use crate::session::effect::Load;

/// So many are looked at at a time.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

impl Outbound {
    /// A message leaves its lane. `sent`: how it was sent in this session, if it was.
    pub(super) fn park(&mut self, id: u64, size: u64, reason: ReasonCode, sent: Option<QoS>, cx: &mut Context<'_>) {
        let maybe_dup = sent.is_some();
        cx.fx.writes.push(Write::Park { id, reason, maybe_dup, at_ms: cx.now.wall_ms });
        cx.fx.settled.push((id, Fate::Parked(reason)));
        cx.hot.parked_messages += 1;
        cx.hot.parked_bytes += size;
        self.leave(id, size, cx);
        if sent == Some(QoS::ExactlyOnce) {
            self.skip_identifier(id, cx);
        }
    }

    /// The broker may hold the identifier of a QoS 2 message that is not sent again, and would take a fresh message under it
    /// for a repeated one.
    pub(super) fn skip_identifier(&mut self, id: u64, cx: &mut Context<'_>) {
        let pid = Self::pid(id, cx.salt);
        if self.skipped.insert(pid) {
            cx.fx.writes.push(Write::SkipPid(pid));
        }
    }

    /// The waiting row's turn has come, but its packet identifier is one that the broker may still hold: it goes out under
    /// another id. It stands behind what waits in its lane then; this takes a parked QoS 2 message whose session lives on
    /// for 57,343 messages more (7,934 urgent ones).
    pub(super) fn rehome(&mut self, row: OutboxRow, cx: &mut Context<'_>) {
        let (id, size) = (row.id, row.size());
        let by = self.publish_again(row, cx);
        self.end(id, size, Fate::Superseded(MessageId::new(cx.store, by)), cx);
    }

    fn publish_again(&mut self, mut row: OutboxRow, cx: &mut Context<'_>) -> u64 {
        row.id = join_id(split_id(row.id).0, 0);
        row.after_ord = None;
        self.publish(row, cx)
    }

    /// A message that was set aside is published again; its old id names the new one.
    pub fn unpark(&mut self, mut row: OutboxRow, cx: &mut Context<'_>) {
        let (id, size) = (row.id, row.size());
        let expired = row.expires_ms.is_some_and(|at| at <= cx.now.store_ms) && !row.maybe_dup;
        // Under its new id nothing tells any more that it came with a copy.
        row.maybe_dup |= self.is_copied(id);
        let fate = match expired {
            true => Fate::Expired,
            false => Fate::Superseded(MessageId::new(cx.store, self.publish_again(row, cx))),
        };
        self.end_parked(id, size, fate, cx);
    }

    /// A message that was set aside comes to its end.
    pub fn end_parked(&mut self, id: u64, size: u64, fate: Fate, cx: &mut Context<'_>) {
        if let Some(verdict) = super::outcome(&fate) {
            cx.fx.writes.push(Write::ParkedGone { id, verdict, at_ms: cx.now.wall_ms });
        }
        cx.fx.unparked.push((id, fate));
        cx.hot.parked_messages = cx.hot.parked_messages.saturating_sub(1);
        cx.hot.parked_bytes = cx.hot.parked_bytes.saturating_sub(size);
    }

    /// Looks at what was set aside because of an earlier broker's limits, a page a turn.
    pub fn look_at_parked(&mut self, cx: &mut Context<'_>) {
        if let Some(after) = self.unparking.filter(|_| self.link.is_some() && self.unsent > 0) {
            cx.fx.loads.push(Load::Parked { after, max_rows: PAGE, max_bytes: PAGE_BYTES });
        }
    }

    /// Rows asked for have come: those that this link's limits admit are published again.
    pub fn parked_loaded(&mut self, rows: Vec<OutboxRow>, complete: bool, cx: &mut Context<'_>) {
        let Some(limits) = self.link.filter(|_| self.unparking.is_some()) else { return };
        self.unparking = rows.last().map(|row| row.id).filter(|_| !complete);
        self.unsent = self.unsent.saturating_sub(rows.len());
        for row in rows {
            if Self::supported(&row, &limits, cx).is_ok() {
                self.unpark(row, cx);
            }
        }
        self.pump(cx);
    }
}
