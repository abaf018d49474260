//! What was unacknowledged when a link ended goes again on the next one: in the order first sent, across the lanes,
//! before anything new [4.4.0-1], [4.6.0-1] (P5).

use std::collections::VecDeque;

use super::admit::Admit;
use super::slots::Progress;
use super::{Context, LinkLimits, Outbound};
use crate::model::message::QoS;
use crate::model::rows::{Hot, OutboxRow, join_id, split_id};
use crate::session::outbound::queue::Queue;

/// One lane's unfinished rows, read page by page.
#[derive(Debug)]
struct Walk {
    /// Ids.
    after: u64,
    through: u64,
    rows: VecDeque<OutboxRow>,
    complete: bool,
}

/// Both lanes', merged.
#[derive(Debug)]
pub(super) struct Resend([Walk; 2]);

enum Next {
    Row(OutboxRow),
    /// This lane's rows must be read first.
    Read(usize),
    End,
}

impl Resend {
    /// None: nothing is unfinished.
    pub(super) fn new(queues: &[Queue; 2], hot: &Hot) -> Option<Self> {
        if queues.iter().all(|queue| queue.slots.is_empty()) {
            return None;
        }
        let walk = |queue: &Queue| Walk {
            after: join_id(queue.lane, queue.slots.oldest() - 1),
            through: join_id(queue.lane, hot.lanes[queue.lane].sent_through),
            rows: VecDeque::new(),
            complete: queue.slots.is_empty(),
        };
        let [normal, urgent] = queues;
        Some(Self([walk(normal), walk(urgent)]))
    }

    /// Rows asked for have come.
    pub(super) fn loaded(&mut self, lane: usize, rows: Vec<OutboxRow>, complete: bool) {
        let walk = &mut self.0[lane];
        walk.after = rows.last().map_or(walk.through, |row| row.id);
        walk.complete = complete || rows.is_empty();
        walk.rows.extend(rows);
    }

    /// An urgent row went out behind the normal ones up to its `after_ord`, and before all later ones.
    fn next(&mut self) -> Next {
        if let Some(lane) = self.0.iter().position(|walk| walk.rows.is_empty() && !walk.complete) {
            return Next::Read(lane);
        }
        let [normal, urgent] = &mut self.0;
        let first = match (normal.rows.front(), urgent.rows.front()) {
            (Some(ours), Some(theirs)) if theirs.after_ord.unwrap_or(0) >= ours.id => normal,
            (_, Some(_)) => urgent,
            _ => normal,
        };
        first.rows.pop_front().map_or(Next::End, Next::Row)
    }

    fn put_back(&mut self, row: OutboxRow) {
        self.0[split_id(row.id).0].rows.push_front(row);
    }
}

impl Outbound {
    /// Sends again what is unacknowledged, as far as the window goes. True: that was all.
    pub(super) fn resend(&mut self, limits: &LinkLimits, cx: &mut Context<'_>) -> bool {
        while let Some(resend) = &mut self.resend {
            let row = match resend.next() {
                Next::Row(row) => row,
                Next::Read(lane) => {
                    let (after, through) = (resend.0[lane].after, resend.0[lane].through);
                    self.queues[lane].load(after, through, cx.fx);
                    return false;
                }
                Next::End => {
                    self.resend = None;
                    break;
                }
            };
            let (lane, ord) = split_id(row.id);
            let slot = self.queues[lane].slots.get(ord).copied();
            let Some(slot) = slot.filter(|slot| slot.progress == Progress::Published && !slot.counted) else {
                continue;
            };
            let admitted = self.admit(&row, limits, cx);
            self.rate.waits(matches!(admitted, Admit::Later));
            match admitted {
                Admit::End(fate) if self.unsent > 0 => {
                    self.unsent -= 1;
                    self.end(row.id, row.size(), fate, cx);
                    if slot.sent_qos == QoS::ExactlyOnce {
                        self.skip_identifier(row.id, cx);
                    }
                }
                Admit::Park(reason) if self.unsent > 0 => {
                    self.unsent -= 1;
                    self.park(row.id, slot.size, reason, Some(slot.sent_qos), cx);
                }
                Admit::No | Admit::Later | Admit::End(_) | Admit::Park(_) => {
                    if let Some(resend) = &mut self.resend {
                        resend.put_back(row);
                    }
                    return false;
                }
                Admit::Send(mut sent) => {
                    if slot.sent_qos == QoS::AtLeastOnce {
                        // The broker may have the first one: a QoS 2 message would stand beside it.
                        sent.qos = sent.qos.min(QoS::AtLeastOnce);
                    }
                    cx.metrics.resent += 1;
                    self.send(row, sent, true, cx);
                    if self.care.holds() {
                        return false;
                    }
                }
            }
        }
        true
    }
}
