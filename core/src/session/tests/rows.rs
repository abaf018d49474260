//! The rig's store: rows in memory that do what the writes say, and answer the loads.

use std::collections::BTreeMap;

use super::rig::Rig;
use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::rows::{OpenGap, OutboxRow, ReceivedQos2, split_id};
use crate::model::writes::Write;
use crate::session::effect::{Load, Loaded};

impl Rig {
    pub(super) fn write(&mut self, write: Write) {
        match write {
            Write::OutboxInsert(row) => drop(self.outbox.insert(row.id, row)),
            Write::OutboxFinish { id, .. } => {
                self.outbox.remove(&id);
                self.released.retain(|other| *other != id);
            }
            Write::SentAfter { id, after_ord } => {
                if let Some(row) = self.outbox.get_mut(&id) {
                    row.after_ord = Some(after_ord);
                }
            }
            Write::SentAs { id, qos, downgraded } => drop(self.sent_as.insert(id, (qos, downgraded))),
            Write::Park { id, reason, maybe_dup, .. } => {
                let mut row = self.outbox.remove(&id).unwrap();
                row.maybe_dup |= maybe_dup;
                self.parked.insert(id, (row, reason));
            }
            Write::ParkedGone { id, .. } => drop(self.parked.remove(&id).unwrap()),
            Write::SkipPid(pid) => self.skipped.push(pid),
            Write::Release { id, .. } => self.released.push(id),
            Write::InboxInsert(row) | Write::InboxRetained { row, .. } => self.inbox.push((row.qos, row.payload)),
            Write::ReceivedQos2 { pid, content } => {
                self.received.insert(pid, ReceivedQos2 { pid, content, completed: false });
            }
            Write::CompletedQos2(pid) => self.received.get_mut(&pid).unwrap().completed = true,
            Write::ForgetQos2(pid) => drop(self.received.remove(&pid)),
            Write::SessionLost { sent_through } => {
                self.released.clear();
                self.received.clear();
                self.skipped.clear();
                self.sent_as.clear();
                sent(&mut self.outbox, sent_through).for_each(|(_, row)| row.maybe_dup = true);
            }
            Write::SessionDoubted { sent_through } => {
                let doubtful = sent(&mut self.outbox, sent_through).filter(|(_, row)| row.qos == QoS::ExactlyOnce);
                doubtful.filter(|(id, _)| !self.released.contains(id)).for_each(|(_, row)| row.maybe_dup = true);
            }
            Write::Session(row) => self.row = *row,
            Write::Subscription(row) => drop(self.subscriptions.insert(row.wish.filter.clone(), row)),
            Write::SubscriptionGone(filter) => drop(self.subscriptions.remove(&filter)),
            Write::GapOpen { filter, cause, from_ms, after_seq } => {
                self.gaps.push(OpenGap { filter, cause, from_ms, after_seq });
            }
            Write::GapClose { filter, cause, .. } => self.gaps.retain(|gap| gap.filter != filter || gap.cause != cause),
            Write::GapNote(gap) => self.noted.push(gap),
            other => panic!("not a write of the session: {other:?}"),
        }
    }

    pub(super) fn load(&self, load: Load) -> Loaded {
        match load {
            Load::Outbox { lane, after, through, max_rows, .. } => {
                let mut rows: Vec<_> = self.outbox.range(after + 1..=through.max(after + 1)).collect();
                rows.retain(|(id, _)| **id <= through);
                let complete = rows.len() <= max_rows;
                let rows = rows.into_iter().take(max_rows).map(|(_, row)| row.clone()).collect();
                Loaded::Outbox { lane, rows, complete }
            }
            Load::Copied { through, max_rows } => {
                let copied = self.outbox.iter().filter(|(id, _)| split_id(**id).1 <= through[split_id(**id).0]);
                let rows: Vec<_> = copied.take(max_rows).map(|(id, row)| (*id, row.size())).collect();
                let parked = Vec::new();
                Loaded::Copied { complete: rows.len() < max_rows, rows, parked }
            }
            Load::Released => Loaded::Released(self.released.clone()),
            Load::Parked { after, max_rows, .. } => {
                let rows = self.parked.range(after + 1..).map(|(_, parked)| parked);
                let rows = rows.filter(|(_, reason)| *reason != ReasonCode::ImplementationSpecificError);
                let rows: Vec<_> = rows.map(|(row, _)| row.clone()).take(max_rows).collect();
                Loaded::Parked { complete: rows.len() < max_rows, rows }
            }
            Load::Expired { sent_through, now_ms, max_rows } => {
                let above = |id: u64| split_id(id).1 > sent_through[split_id(id).0];
                let mut rows: Vec<_> = self.outbox.iter().filter(|(id, row)| !row.maybe_dup && above(**id)).collect();
                rows.retain(|(_, row)| row.expires_ms.is_some());
                rows.sort_by_key(|(_, row)| row.expires_ms);
                let due: Vec<_> =
                    rows.iter().take_while(|(_, row)| row.expires_ms <= Some(now_ms)).take(max_rows).collect();
                let next_ms = rows.get(due.len()).and_then(|(_, row)| row.expires_ms);
                Loaded::Expired { rows: due.into_iter().map(|(id, row)| (**id, row.size())).collect(), next_ms }
            }
        }
    }
}

fn sent(outbox: &mut BTreeMap<u64, OutboxRow>, through: [u64; 2]) -> impl Iterator<Item = (&u64, &mut OutboxRow)> {
    outbox.iter_mut().filter(move |(id, _)| split_id(**id).1 <= through[split_id(**id).0])
}
