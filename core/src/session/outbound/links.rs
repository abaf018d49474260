//! Links come and go, and so may the broker's session: what that means for messages in flight.

use super::care::Care;
use super::resend::Resend;
use super::slots::Progress;
use super::{Context, LinkLimits, Outbound};
use crate::model::message::QoS;
use crate::model::rows::Hot;
use crate::model::writes::Write;
use crate::session::effect::{Effects, Load};

impl Outbound {
    /// The session is up on a new link.
    pub fn connected(&mut self, limits: LinkLimits, hot: &Hot, fx: &mut Effects) {
        self.link = Some(limits);
        self.downgrade_told = false;
        (self.unfinished, self.unfinished_qos2) = (0, 0);
        let mut released = false;
        for slot in self.queues.iter_mut().flat_map(|queue| queue.slots.iter_mut()) {
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
        self.resend = Resend::new(&self.queues, hot);
        self.unparking = (hot.parked_messages > 0 && !self.held).then_some(0);
        self.begin_care();
    }

    /// The link is gone.
    pub fn disconnected(&mut self) {
        self.link = None;
        self.resend = None;
        self.unparking = None;
        self.care = Care::Off;
        self.queues.iter_mut().for_each(|queue| queue.loading = false);
    }

    /// The broker has lost the session: everything unfinished is to be issued anew (P8). Returns the old cursors.
    pub fn session_lost(&mut self, hot: &mut Hot) -> [u64; 2] {
        let sent_through = hot.sent_through();
        self.queues.iter_mut().for_each(|queue| queue.session_lost(hot));
        self.skipped.clear();
        self.disconnected();
        sent_through
    }

    /// The broker may have lost the session unheard: what it had in it and gets again now, it may have twice.
    pub fn doubt(&mut self, cx: &mut Context<'_>) {
        let mut doubtful = false;
        for slot in self.queues.iter_mut().flat_map(|queue| queue.slots.iter_mut()) {
            if slot.progress == Progress::Published && slot.sent_qos == QoS::ExactlyOnce {
                slot.maybe_dup = true;
                doubtful = true;
            }
        }
        if doubtful {
            cx.fx.writes.push(Write::SessionDoubted { sent_through: cx.hot.sent_through() });
        }
    }
}
