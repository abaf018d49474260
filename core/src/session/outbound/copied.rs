//! The outbox of a store that was put back from a copy: nothing of it leaves before the app has decided.

use super::{Context, Outbound};
use crate::model::event::Fate;
use crate::model::rows::{SessionRow, is_copied};
use crate::session::effect::Load;

/// So many messages are discarded in one turn.
const DISCARD: usize = 1_000;

impl Outbound {
    /// What the session's row says of a copy.
    pub fn with_copy(mut self, row: &SessionRow) -> Self {
        (self.held, self.copied_through) = (row.held, row.copied_through);
        self
    }

    /// The app has decided: the outbox is sent.
    pub fn release(&mut self, cx: &mut Context<'_>) {
        self.held = false;
        self.unparking = (cx.hot.parked_messages > 0 && self.link.is_some()).then_some(0);
        self.look_at_parked(cx);
        self.pump(cx);
    }

    /// Asks for some of what came with the copy.
    pub fn discard(&mut self, cx: &mut Context<'_>) {
        cx.fx.loads.push(Load::Copied { through: self.copied_through, max_rows: DISCARD });
    }

    /// Some of what came with the copy is here: the app does not want it.
    pub fn discarded(&mut self, rows: &[(u64, u64)], parked: &[(u64, u64)], cx: &mut Context<'_>) {
        self.withdraw(rows, &Fate::Cancelled, cx);
        for (id, size) in parked {
            self.end_parked(*id, *size, Fate::Cancelled, cx);
        }
    }

    /// Whether the original of this copy may have sent it.
    pub(super) fn is_copied(&self, id: u64) -> bool {
        is_copied(self.copied_through, id)
    }
}
