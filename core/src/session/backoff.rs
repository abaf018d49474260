//! How long to wait between attempts to connect: a random time below a cap that doubles.

use std::time::Duration;

/// The curve of the protocol's decisions: uniform in [shortest, cap], cap 1, 2, 4 … s up to the longest.
#[derive(Debug, Clone)]
pub struct Backoff {
    shortest_ms: u64,
    longest_ms: u64,
    cap_ms: u64,
}

impl Backoff {
    /// With both bounds.
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut backoff = Self { shortest_ms: ms(shortest), longest_ms: ms(longest), cap_ms: 0 };
        backoff.stable();
        backoff
    }

    /// The next wait, and a higher cap after it.
    pub fn next_delay_ms(&mut self, rng: &mut fastrand::Rng) -> u64 {
        let delay = rng.u64(self.shortest_ms..=self.cap_ms.max(self.shortest_ms));
        self.cap_ms = self.cap_ms.saturating_mul(2).min(self.longest_ms);
        delay
    }

    /// A link lived for a minute: begin anew.
    pub fn stable(&mut self) {
        self.cap_ms = 1_000.min(self.longest_ms);
    }

    /// A link did its work, however short it lived.
    pub fn moved_ack(&mut self) {
        self.cap_ms = self.cap_ms.min(4_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_between_the_bounds_and_grow() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(120));
        let mut cap = 1_000;
        for _ in 0..20 {
            let delay = backoff.next_delay_ms(&mut rng);
            assert!((500..=cap).contains(&delay), "{delay} is not within 500 and {cap}");
            cap = (2 * cap).min(120_000);
        }
        backoff.moved_ack();
        assert!(backoff.next_delay_ms(&mut rng) <= 4_000);
        backoff.stable();
        assert!(backoff.next_delay_ms(&mut rng) <= 1_000);
    }
}
