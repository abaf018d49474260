//! Time as a turn sees it: one that counts through sleep, the wall's, and the store's.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::session::effect::Now;

/// Reads the system's clocks. The store clock goes on from where the last commit left it.
#[derive(Debug)]
pub(crate) struct Clock {
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    start: std::time::Instant,
    mono0_ms: i64,
    store0_ms: i64,
}

impl Clock {
    /// `stored`: store clock and wall clock of the last commit, if there was one. The store clock takes over the wall's
    /// step since then, but never backwards and at most `longest_ms`: a wrong wall clock must not age the whole store.
    pub(crate) fn new(stored: Option<(i64, i64)>, longest_ms: i64) -> Self {
        let mut clock = Self {
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            start: std::time::Instant::now(),
            mono0_ms: 0,
            store0_ms: 0,
        };
        clock.mono0_ms = clock.mono_ms();
        let wall = wall_ms();
        clock.store0_ms = match stored {
            Some((store_ms, wall_then)) => store_ms.saturating_add((wall - wall_then).clamp(0, longest_ms)),
            None => wall,
        };
        clock
    }

    /// This moment.
    pub(crate) fn now(&self) -> Now {
        let mono_ms = self.mono_ms();
        Now { mono_ms, wall_ms: wall_ms(), store_ms: self.store0_ms + (mono_ms - self.mono0_ms) }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn mono_ms(&self) -> i64 {
        // CLOCK_BOOTTIME: a keep alive must not stand still while the phone sleeps.
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn mono_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// Unix milliseconds.
pub(crate) fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}
