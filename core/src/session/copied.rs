//! A store that was put back from a copy: the app decides what becomes of its outbox.

use super::Session;
use super::effect::{Effects, Now};
use crate::model::event::Event;
use crate::model::writes::Write;

impl Session {
    /// Said whenever it matters: without the app's word nothing is sent.
    pub(super) fn tell_held(&self, fx: &mut Effects) {
        if self.row.held {
            let text = "the store is a copy that was put back: nothing in its outbox is sent before release_outbox or \
                        discard_outbox";
            fx.events.push(Event::Warning { code: "outbox_held", text: text.to_owned() });
        }
    }

    pub(super) fn release_outbox(&mut self, now: Now, fx: &mut Effects) {
        if !self.row.held {
            return;
        }
        self.row.held = false;
        fx.writes.push(Write::Session(Box::new(self.row.clone())));
        let (out, mut cx) = self.outbound(now, fx);
        out.release(&mut cx);
    }

    pub(super) fn discard_outbox(&mut self, now: Now, fx: &mut Effects) {
        if self.row.held {
            let (out, mut cx) = self.outbound(now, fx);
            out.discard(&mut cx);
        }
    }

    pub(super) fn copied_loaded(
        &mut self,
        rows: &[(u64, u64)],
        parked: &[(u64, u64)],
        complete: bool,
        now: Now,
        fx: &mut Effects,
    ) {
        let (out, mut cx) = self.outbound(now, fx);
        out.discarded(rows, parked, &mut cx);
        if complete {
            self.release_outbox(now, fx);
        }
    }
}
