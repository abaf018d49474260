//! Whether messages may go for their age alone: not in the first day after the wall clock has jumped.

use super::turn::Engine;
use crate::model::event::Event;
use crate::model::rows::Hot;
use crate::session::effect::Now;
use crate::store::this_boot;

/// A wall clock that gains more than this on the store's, between two looks, has jumped.
const JUMP_MS: i64 = 60_000;
/// Time in which somebody may put the clock right again, counted while the machine is up.
const HELD_MS: i64 = 24 * 3_600_000;

/// What was seen of the clocks. Messages carry the wall's time; the store clock goes on evenly (see `Clock`).
#[derive(Debug)]
pub(super) struct Aging {
    boot: i64,
    rebooted: bool,
    /// Store clock and wall clock at the last look, or the last commit before it; a new store has none.
    seen: Option<(i64, i64)>,
}

impl Aging {
    /// From the counters of the last commit.
    pub(super) fn new(hot: &Hot) -> Self {
        let boot = this_boot();
        // Where the system does not say, it counts as up: else a program that runs for seconds would hold for months.
        let rebooted = hot.boot != boot && hot.boot != 0 && boot != 0;
        Self { boot, rebooted, seen: (hot.turn > 0).then_some((hot.clock_ms, hot.wall_ms)) }
    }

    /// Whether the clock has jumped forward since the last look; `hot` then says until when nothing goes for its age.
    pub(super) fn look(&mut self, hot: &mut Hot, now: Now) -> bool {
        let now_seen = (now.store_ms, now.wall_ms);
        let (store_ms, wall_ms) = self.seen.replace(now_seen).unwrap_or(now_seen);
        let passed = now.store_ms.saturating_sub(store_ms);
        if std::mem::take(&mut self.rebooted) && hot.held_until_ms > store_ms {
            // The machine was off: nobody could put the clock right.
            hot.held_until_ms = hot.held_until_ms.saturating_add(passed);
        }
        let jumped = now.wall_ms.saturating_sub(wall_ms).saturating_sub(passed) > JUMP_MS;
        if jumped {
            hot.held_until_ms = now.store_ms.saturating_add(HELD_MS);
        }
        jumped
    }
}

impl Engine {
    /// What the next commit says of the clocks.
    pub(super) fn stamp(&mut self, now: Now) {
        let boot = self.aging.boot;
        let hot = self.session.hot_mut();
        (hot.clock_ms, hot.wall_ms) = (now.store_ms, now.wall_ms);
        (hot.boot, hot.boot_ms) = (boot, now.mono_ms);
    }

    /// Whether messages may go for their age.
    pub(super) fn ages(&mut self, now: Now) -> bool {
        let hot = self.session.hot_mut();
        if self.aging.look(hot, now) {
            let text =
                "the wall clock has gone further than the time that is known to have passed (it was set, or the store \
                        was not driven for long); for 24 hours no message goes for its age alone"
                    .to_owned();
            self.fx.events.push(Event::Warning { code: "clock_jumped", text });
        }
        hot.held_until_ms <= now.store_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_764_000_000_000;

    fn at(store_ms: i64, wall_ms: i64) -> Now {
        Now { mono_ms: 0, wall_ms: NOON + wall_ms, store_ms: NOON + store_ms }
    }

    fn hot(boot: i64) -> Hot {
        Hot { turn: 1, clock_ms: NOON, wall_ms: NOON, boot, ..Hot::default() }
    }

    #[test]
    fn a_jump_holds_deletions_for_a_day_and_a_slow_drift_does_not() {
        let mut hot = hot(this_boot());
        let mut aging = Aging::new(&hot);
        assert!(!aging.look(&mut hot, at(10_000, 69_000)), "59 s are no jump");
        assert!(!aging.look(&mut hot, at(20_000, -900_000)), "back makes nothing older");
        assert_eq!(hot.held_until_ms, 0);
        assert!(aging.look(&mut hot, at(30_000, 0)));
        assert_eq!(hot.held_until_ms, NOON + 30_000 + HELD_MS);
    }

    #[test]
    fn the_time_that_the_machine_was_off_does_not_count() {
        let mut hot = Hot { held_until_ms: NOON + 5_000, ..hot(this_boot() ^ 1) };
        let mut aging = Aging::new(&hot);
        assert!(!aging.look(&mut hot, at(100_000, 100_000)));
        assert_eq!(hot.held_until_ms, NOON + 105_000);
        aging.look(&mut hot, at(101_000, 101_000));
        assert_eq!(hot.held_until_ms, NOON + 105_000, "once");
        let mut unknown = Hot { held_until_ms: NOON + 5_000, boot: 0, ..hot };
        Aging::new(&unknown).look(&mut unknown, at(100_000, 100_000));
        assert_eq!(unknown.held_until_ms, NOON + 5_000, "nobody knows");
    }
}
