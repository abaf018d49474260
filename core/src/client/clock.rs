//! Time as a turn sees it: one that counts through sleep, the wall's, and the store's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::rows::Hot;
use crate::session::effect::Now;
use crate::store::this_boot;

/// A clock that stands still in sleep may lag so far behind one that does not before the machine counts as having slept.
const SLEPT_MS: i64 = 5_000;

/// Reads the system's clocks. The store clock goes on from where the last commit left it.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Stands still in sleep, but on Windows.
    start: Instant,
    /// How far the clock that counts through sleep is ahead of it.
    ahead_ms: i64,
    mono0_ms: i64,
    store0_ms: i64,
}

impl Clock {
    /// `stored`: the counters at the last commit, if there was one. Within a boot the store clock goes on by the time that
    /// the machine was up. Between two boots it takes over the wall's step, but never backwards and at most `longest_ms`: a
    /// wrong wall clock must not age the whole store.
    pub(crate) fn new(stored: Option<&Hot>, longest_ms: i64) -> Self {
        let mut clock = Self { start: Instant::now(), ahead_ms: 0, mono0_ms: 0, store0_ms: 0 };
        clock.mono0_ms = clock.mono_ms();
        clock.ahead_ms = clock.mono_ms() - clock.uptime_ms();
        let wall = wall_ms();
        clock.store0_ms = stored.map_or(wall, |hot| {
            let away_ms = away_ms(hot, this_boot(), clock.mono0_ms, wall, longest_ms);
            hot.clock_ms.saturating_add(away_ms)
        });
        clock
    }

    /// This moment.
    pub(crate) fn now(&self) -> Now {
        let mono_ms = self.mono_ms();
        Now { mono_ms, wall_ms: wall_ms(), store_ms: self.store0_ms + (mono_ms - self.mono0_ms) }
    }

    /// Another process has driven the store meanwhile: its clock never goes back.
    pub(crate) fn at_least(&mut self, store_ms: i64) {
        self.store0_ms += (store_ms - self.now().store_ms).max(0);
    }

    /// Whether the machine has slept for more than 5 s since this was last asked. On Windows there is one clock only, which
    /// counts through sleep: there the keep alive notices.
    pub(crate) fn has_slept(&mut self) -> bool {
        let ahead_ms = self.mono_ms() - self.uptime_ms();
        let slept = ahead_ms - self.ahead_ms > SLEPT_MS;
        if slept || ahead_ms < self.ahead_ms {
            self.ahead_ms = ahead_ms;
        }
        slept
    }

    fn uptime_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    fn mono_ms(&self) -> i64 {
        // A keep alive must not stand still while the phone sleeps. Apple's CLOCK_MONOTONIC counts on in sleep.
        #[cfg(target_vendor = "apple")]
        const THROUGH_SLEEP: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        #[cfg(not(target_vendor = "apple"))]
        const THROUGH_SLEEP: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        let time = rustix::time::clock_gettime(THROUGH_SLEEP);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    fn mono_ms(&self) -> i64 {
        self.uptime_ms()
    }
}

/// How far the store clock goes on from the last commit.
fn away_ms(hot: &Hot, boot: i64, boot_ms: i64, wall_ms: i64, longest_ms: i64) -> i64 {
    if boot != 0 && boot == hot.boot && boot_ms >= hot.boot_ms {
        return boot_ms - hot.boot_ms;
    }
    wall_ms.saturating_sub(hot.wall_ms).clamp(0, longest_ms)
}

/// Unix milliseconds.
pub(crate) fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_a_boot_uptime_counts_and_between_boots_the_wall_up_to_a_bound() {
        let hot = Hot { boot: 7, boot_ms: 1_000, wall_ms: 500_000, ..Hot::default() };
        let away = |boot, boot_ms, wall_ms| away_ms(&hot, boot, boot_ms, wall_ms, 10_000);
        assert_eq!(away(7, 61_000, i64::MAX), 60_000, "the wall is not asked");
        assert_eq!(away(7, 61_000, 0), 60_000);
        assert_eq!(away(8, 61_000, 503_000), 3_000);
        assert_eq!(away(8, 61_000, 900_000), 10_000);
        assert_eq!(away(8, 61_000, 400_000), 0, "never back");
        assert_eq!(away(7, 999, 503_000), 3_000, "up for less than it was: another boot");
        let unknown = Hot { boot: 0, ..hot };
        assert_eq!(away_ms(&unknown, 0, 61_000, 503_000, 10_000), 3_000);
    }
}
