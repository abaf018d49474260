//! Times to live: what is not sent in time is never sent, and says so.

use super::{Context, Outbound};
use crate::model::event::Fate;
use crate::session::effect::Load;

impl Outbound {
    /// Asks for expired rows when the time has come.
    pub fn sweep(&mut self, cx: &mut Context<'_>) {
        if !self.sweeping && self.next_expiry.is_some_and(|at| at <= cx.now.store_ms) {
            self.ask_expired(cx);
        }
    }

    /// Asks for expired rows, and for the time of the next.
    pub fn ask_expired(&mut self, cx: &mut Context<'_>) {
        self.sweeping = true;
        let (after, now_ms) = (cx.hot.lanes[0].sent_through, cx.now.store_ms);
        cx.fx.loads.push(Load::Expired { after, now_ms, max_rows: 1000 });
    }

    /// Expired rows have come: they were never sent.
    pub fn expired(&mut self, rows: &[(u64, u64)], next_ms: Option<i64>, cx: &mut Context<'_>) {
        self.sweeping = false;
        self.next_expiry = next_ms;
        for (id, size) in rows {
            if *id <= cx.hot.lanes[0].sent_through {
                continue;
            }
            self.forget_ready(*id, *size);
            self.end(*id, *size, Fate::Expired, cx);
        }
    }

    /// A message that waits in memory is not to be sent.
    pub(super) fn forget_ready(&mut self, id: u64, size: u64) {
        if let Ok(index) = self.ready.binary_search_by_key(&id, |row| row.id) {
            self.ready.remove(index);
            self.ready_bytes -= size;
        }
    }

    /// Store clock of the next expiry.
    pub fn next_expiry(&self) -> Option<i64> {
        self.next_expiry
    }
}
