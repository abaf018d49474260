//! Whether the broker has nothing more for us: MQTT has no mark for the end of a queue, so silence behind a PINGRESP has
//! to do.

use super::Session;
use super::effect::{Effects, Now};

/// The shortest silence that counts.
const QUIET_MS: i64 = 500;
/// And so many round trips: a broker with one message in flight needs two for each of QoS 2.
const QUIET_TRIPS: i64 = 4;

/// A look at what is left. Times are `Now::mono_ms`.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// PINGREQ was sent, everything of ours being settled.
    asked: Option<i64>,
    /// From when on silence counts, and how long it has to last.
    quiet: Option<(i64, i64)>,
    /// A turn has come since it lasted long enough: no other one is needed.
    seen: bool,
}

impl Drain {
    /// The broker sent a message, or goes on with one.
    fn stirred(&mut self, now: i64) {
        if let Some((since, _)) = &mut self.quiet {
            *since = now;
            self.seen = false;
        }
    }

    /// The answer to the last PINGREQ has come.
    fn pong(&mut self, now: i64) {
        if let (Some(asked), None) = (self.asked, self.quiet) {
            self.quiet = Some((now, QUIET_MS.max(QUIET_TRIPS * (now - asked))));
        }
    }

    fn done_at(&self) -> Option<i64> {
        self.quiet.map(|(since, lasting)| since.saturating_add(lasting))
    }
}

impl Session {
    /// From now on (or no longer) it is found out whether everything is sent and received.
    pub fn watch_drain(&mut self, watch: bool) {
        self.drain = watch.then(Drain::default);
    }

    /// Every SUBACK is in, the outbox is empty, nothing is withheld, and the broker had nothing more to send.
    pub fn is_drained(&self, now: Now) -> bool {
        self.drain_at().is_some_and(|at| at <= now.mono_ms) && self.is_settled()
    }

    fn drain_at(&self) -> Option<i64> {
        self.drain.as_ref().and_then(Drain::done_at)
    }

    /// When the silence will have lasted long enough, or has, and nobody has looked since: other work may have come in
    /// between, and the time has passed while it was done.
    pub(super) fn drain_timeout(&self) -> Option<i64> {
        self.drain.as_ref().filter(|drain| !drain.seen).and_then(Drain::done_at)
    }

    fn is_settled(&self) -> bool {
        self.conn.up().is_some()
            && !self.conn.is_checking()
            && self.subs.is_answered()
            && self.hot.lanes.iter().all(|lane| lane.messages == 0)
            && !self.wants_room()
    }

    /// After every input, while somebody wants to know.
    pub(super) fn look_for_the_end(&mut self, now: Now, fx: &mut Effects) {
        if self.drain.is_none() {
            return;
        }
        if !self.is_settled() {
            self.drain = Some(Drain::default());
            return;
        }
        if let Some(drain) = &mut self.drain {
            drain.seen = drain.done_at().is_some_and(|at| at <= now.mono_ms);
        }
        let asked = self.drain.as_ref().is_some_and(|drain| drain.asked.is_some());
        // While another PINGREQ is unanswered its answer comes first: it proves nothing of what was sent since.
        if !asked && self.conn.ping_now(now.mono_ms) {
            self.ping(fx);
            if let Some(drain) = &mut self.drain {
                drain.asked = Some(now.mono_ms);
            }
        }
    }

    pub(super) fn drain_stirred(&mut self, now: Now) {
        if let Some(drain) = &mut self.drain {
            drain.stirred(now.mono_ms);
        }
    }

    pub(super) fn drain_pong(&mut self, now: Now) {
        if let Some(drain) = &mut self.drain {
            drain.pong(now.mono_ms);
        }
    }
}
