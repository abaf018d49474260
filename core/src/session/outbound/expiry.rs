//! What ends before it was sent: times to live, and what the app or a policy takes back.

use super::{Context, Outbound};
use crate::model::event::Fate;
use crate::model::rows::split_id;
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
        let (sent_through, now_ms) = (cx.hot.sent_through(), cx.now.store_ms);
        cx.fx.loads.push(Load::Expired { sent_through, now_ms, max_rows: 1000 });
    }

    /// Expired rows have come: they were never sent.
    pub fn expired(&mut self, rows: &[(u64, u64)], next_ms: Option<i64>, cx: &mut Context<'_>) {
        self.sweeping = false;
        self.next_expiry = next_ms;
        self.withdraw(rows, &Fate::Expired, cx);
    }

    /// Waiting rows (id and size) end unsent. One that was sent since they were looked up stays.
    pub fn withdraw(&mut self, rows: &[(u64, u64)], fate: &Fate, cx: &mut Context<'_>) {
        for (id, size) in rows {
            if cx.hot.is_in_flight(*id) {
                continue;
            }
            if let Some(queue) = self.queues.get_mut(split_id(*id).0) {
                queue.remove(*id);
                self.end(*id, *size, fate.clone(), cx);
            }
        }
    }

    /// Store clock of the next expiry.
    pub fn next_expiry(&self) -> Option<i64> {
        self.next_expiry
    }
}
