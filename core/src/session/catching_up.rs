//! A broker that keeps so many messages for a client that is away, and has sent that many: it may have dropped others.

use std::time::Duration;

use super::Session;
use super::effect::{Effects, Now};
use crate::model::event::{Event, Gap, GapCause};
use crate::model::writes::Write;

/// What was kept comes without a pause longer than this; after one it is what others publish now.
const PAUSE_MS: i64 = 2_000;
/// And within this time of CONNACK: a busy topic never pauses.
const LONGEST_MS: i64 = 60_000;

/// Counts what comes behind a CONNACK. Times are `Now::mono_ms`.
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// So many more, and the broker's memory was full.
    left: u32,
    until: i64,
    last: i64,
    gap: Gap,
}

impl CatchingUp {
    fn is_over(&self, now: Now) -> bool {
        now.mono_ms > self.until || now.mono_ms - self.last > PAUSE_MS
    }
}

impl Session {
    /// The broker still has the session, which was alone since our last contact.
    pub(super) fn possibly_dropped(&mut self, now: Now, fx: &mut Effects) {
        let filters = self.subs.granted(self.row.session_epoch);
        if filters.is_empty() {
            return;
        }
        let gap = Gap {
            filters,
            cause: GapCause::PossiblyDropped,
            from_ms: self.hot.last_contact_ms,
            to_ms: Some(now.wall_ms),
            after_seq: self.hot.next_seq - 1,
            bytes: None,
        };
        if self.was_away_too_long(now) {
            self.catching_up = None;
            return note(gap, fx);
        }
        let (until, last) = (now.mono_ms + LONGEST_MS, now.mono_ms);
        let to_ms = gap.to_ms;
        self.catching_up = match self.catching_up.take() {
            // The last link was cut in the middle of it.
            Some(before) => Some(CatchingUp { until, last, gap: Gap { to_ms, ..before.gap }, ..before }),
            None => {
                let left = self.options.profile.limits().keeps_messages;
                left.map(|left| CatchingUp { left, until, last, gap })
            }
        };
    }

    /// The link is gone: what was kept had come if it was silent by then.
    pub(super) fn caught_up_so_far(&mut self, now: Now) {
        self.catching_up.take_if(|catching| catching.is_over(now));
    }

    fn was_away_too_long(&self, now: Now) -> bool {
        let session = match self.row.expiry_granted_s {
            Some(u32::MAX) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            // 3.1.1 has no number for it: what was asked for is the best guess.
            None => Some(self.options.session_expiry),
        };
        let known = [session, self.options.broker_keeps, self.options.profile.limits().keeps];
        let away = u64::try_from(now.wall_ms - self.hot.last_contact_ms).map_or(Duration::ZERO, Duration::from_millis);
        known.into_iter().flatten().min().is_some_and(|keeps| away > keeps)
    }

    /// A QoS 1 or 2 message came.
    pub(super) fn caught_up_one(&mut self, now: Now, fx: &mut Effects) {
        let Some(catching) = &mut self.catching_up else { return };
        if catching.is_over(now) {
            self.catching_up = None;
            return;
        }
        catching.last = now.mono_ms;
        catching.left = catching.left.saturating_sub(1);
        if catching.left == 0
            && let Some(full) = self.catching_up.take()
        {
            note(full.gap, fx);
        }
    }
}

fn note(gap: Gap, fx: &mut Effects) {
    fx.writes.push(Write::GapNote(gap.clone()));
    fx.events.push(Event::Gap(gap));
}
