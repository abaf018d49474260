//! One lane: what is in flight, and a window of the rows behind the cursor (P5, P6).

use std::collections::VecDeque;

use super::slots::Slots;
use crate::model::rows::{Hot, InFlightRow, OutboxRow, join_id, split_id};
use crate::session::effect::{Effects, Load};
use crate::session::packet_ids::{LANES, PidRange};

/// Bounds of the rows held in memory (P6): enough to fill the window of one turn.
pub(super) const READY_ROWS: usize = 1024;
pub(super) const READY_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) lane: usize,
    pub(super) pids: PidRange,
    /// From the oldest unfinished ordinal to the cursor.
    pub(super) slots: Slots,
    /// Rows after the cursor, without holes between it and `ready_through`.
    ready: VecDeque<OutboxRow>,
    ready_bytes: u64,
    ready_through: u64,
    pub(super) loading: bool,
    /// The last ordinal that was asked for.
    asked_through: u64,
}

impl Queue {
    pub(super) fn new(lane: usize, hot: &Hot, in_flight: &[InFlightRow]) -> Self {
        let sent_through = hot.lanes[lane].sent_through;
        let rows = in_flight.iter().filter(|row| split_id(row.id).0 == lane);
        Self {
            lane,
            pids: LANES[lane],
            slots: Slots::new(rows, sent_through),
            ready: VecDeque::new(),
            ready_bytes: 0,
            ready_through: sent_through,
            loading: false,
            asked_through: sent_through,
        }
    }

    /// A row was published: it is kept if the window has room and holds everything before it.
    pub(super) fn published(&mut self, ord: u64, row: &OutboxRow) {
        let fits = self.ready.len() < READY_ROWS && self.ready_bytes < READY_BYTES && !self.loading;
        if self.ready_through + 1 == ord && fits {
            self.ready_through = ord;
            self.ready_bytes += row.size();
            self.ready.push_back(row.clone());
        }
    }

    /// An ordinal was given to no row.
    pub(super) fn hole(&mut self, ord: u64) {
        if self.ready_through + 1 == ord && !self.loading {
            self.ready_through = ord;
        }
    }

    /// The next row to be sent, if it is in memory.
    pub(super) fn front(&self) -> Option<&OutboxRow> {
        self.ready.front()
    }

    /// Takes it.
    pub(super) fn pop(&mut self) -> Option<OutboxRow> {
        let row = self.ready.pop_front()?;
        self.ready_bytes -= row.size();
        Some(row)
    }

    /// Whether rows may stand behind the window.
    pub(super) fn has_more(&self, hot: &Hot) -> bool {
        self.ready_through + 1 < hot.lanes[self.lane].next_ord
    }

    /// Asks for the rows behind the window.
    pub(super) fn read_on(&mut self, hot: &Hot, fx: &mut Effects) {
        let last = hot.lanes[self.lane].next_ord - 1;
        self.load(join_id(self.lane, self.ready_through), join_id(self.lane, last), fx);
    }

    pub(super) fn load(&mut self, after: u64, through: u64, fx: &mut Effects) {
        if !self.loading {
            self.loading = true;
            (_, self.asked_through) = split_id(through);
            let (lane, max_rows, max_bytes) = (self.lane, READY_ROWS / 2, READY_BYTES as usize);
            fx.loads.push(Load::Outbox { lane, after, through, max_rows, max_bytes });
        }
    }

    /// Rows behind the window have come.
    pub(super) fn loaded(&mut self, rows: Vec<OutboxRow>, complete: bool) {
        let last = rows.last().map_or(self.ready_through, |row| split_id(row.id).1);
        // Holes behind the last row are nobody's any more. What was published since it was asked for is to be read still.
        self.ready_through = if complete { self.asked_through } else { last };
        for row in rows {
            self.ready_bytes += row.size();
            self.ready.push_back(row);
        }
    }

    /// A waiting row goes before it was sent.
    pub(super) fn remove(&mut self, id: u64) {
        if let Ok(index) = self.ready.binary_search_by_key(&id, |row| row.id)
            && let Some(row) = self.ready.remove(index)
        {
            self.ready_bytes -= row.size();
        }
    }

    /// The session is lost: the cursor goes back to before the oldest unfinished row.
    pub(super) fn session_lost(&mut self, hot: &mut Hot) {
        let counters = &mut hot.lanes[self.lane];
        if !self.slots.is_empty() {
            counters.sent_through = self.slots.oldest() - 1;
        }
        self.slots.clear(counters.sent_through + 1);
        self.ready.clear();
        self.ready_bytes = 0;
        self.ready_through = counters.sent_through;
    }
}
