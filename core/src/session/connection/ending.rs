//! How a link ends, and how long is waited before the next.

use super::{Connection, Phase, Purpose, REFUSED_WAIT_MS, SHORT_LIFE_MS, SHORT_LIVES, STABLE_MS};
use crate::model::event::{State, Why};

impl Connection {
    /// Close was asked for, and this is why.
    pub fn closing(&mut self, why: Why) {
        self.phase = Phase::Closing;
        self.ending = Some(why);
    }

    /// We ended the dance of a foreign session: the next link comes at once, but not for ever.
    pub fn dance_on(&mut self, next: Purpose) {
        self.purpose = next;
        self.dances += 1;
    }

    /// The link is gone. Says what the app should be told, and whether two clients seem to share one client id.
    pub fn down(&mut self, why: Why, now: i64, rng: &mut fastrand::Rng) -> (State, bool) {
        // Asked for by the session, that is: a link that only the driver gave up waits like one that was cut.
        let asked = self.ending == Some(Why::Asked);
        let why = self.ending.take().unwrap_or(why);
        let was = std::mem::replace(&mut self.phase, Phase::Down);
        let mut probable_take_over = false;
        let found_dead = std::mem::take(&mut self.found_dead);
        let renewable = std::mem::take(&mut self.renewable);
        self.refused = false;
        if let Phase::Up(up) = was {
            let short = matches!(why, Why::Cut(_) | Why::Closed) && now - up.since < SHORT_LIFE_MS;
            self.short_lives = if short { self.short_lives + 1 } else { 0 };
            probable_take_over = self.short_lives == SHORT_LIVES;
            self.ignore_unknown = matches!(why, Why::Cut(_) | Why::Closed) && up.answered_unknown;
        }
        if !self.wanted {
            return (State::Offline(Why::Asked), false);
        }
        if self.taken_over {
            return (State::TakenOver, false);
        }
        if self.blocked {
            return (State::Offline(Why::InboxFull), false);
        }
        if self.offline {
            return (State::Offline(Why::NoNetwork), probable_take_over);
        }
        let wait = match &why {
            Why::Asked if asked && self.dances < 4 => 0,
            Why::KeepAlive | Why::NetworkChanged if found_dead || why == Why::NetworkChanged => {
                self.backoff.stable();
                (self.soonest(now) - now).unsigned_abs()
            }
            Why::Broker(reason) if reason.refuses_credentials() && !renewable => self.refuse(),
            Why::Credentials(error) if error.is_lasting() => self.refuse(),
            Why::Refused(_) => self.refuse(),
            _ => self.backoff.next_delay_ms(rng),
        };
        self.retry_at = Some(now.saturating_add_unsigned(wait));
        (State::Waiting { retry_in_ms: wait, why }, probable_take_over)
    }

    fn refuse(&mut self) -> u64 {
        self.refused = true;
        REFUSED_WAIT_MS
    }

    /// There are other credentials: whatever is waited for, the next attempt comes as soon as attempts may.
    pub fn sooner(&mut self, now: i64) {
        if let Some(at) = self.retry_at {
            self.refused = false;
            self.retry_at = Some(at.min(self.soonest(now)));
        }
    }

    /// Whether the link has lived for long.
    pub fn is_stable(&self, now: i64) -> bool {
        self.up().is_some_and(|up| now - up.since >= STABLE_MS)
    }

    /// The broker says that another client has the session now (0x8E).
    pub fn taken_over(&mut self) {
        self.taken_over = true;
    }
}
