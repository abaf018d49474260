//! How a link ends, and how long is waited before the next.

use super::{Connection, Phase, Purpose, REFUSED_WAIT_MS, SHORT_LIFE_MS, SHORT_LIVES, STABLE_MS};
use crate::model::event::{State, Why};

/// So many links in a row that were cut soon after their CONNACK, and the other addresses come first.
const MOVE_ON: u32 = 3;

impl Connection {
    /// Close was asked for, and this is why.
    pub fn closing(&mut self, why: Why) {
        self.phase = Phase::Closing;
        self.ending = Some(why);
    }

    /// We ended the dance of a foreign session: the next link comes at once, but not for ever.
    pub fn dance_on(&mut self, next: Purpose) {
        self.addresses.set_foreign(next == Purpose::EndForeign);
        self.dances += 1;
    }

    /// The link is gone. Says what the app should be told, and whether two clients seem to share one client id.
    pub fn down(&mut self, why: Why, now: i64, rng: &mut fastrand::Rng) -> (State, bool) {
        // Asked for by the session, that is: a link that only the driver gave up waits like one that was cut.
        let asked = self.ending == Some(Why::Asked);
        let why = self.ending.take().unwrap_or(why);
        let up_since = self.up_since.take();
        if up_since.is_some_and(|since| now - since >= SHORT_LIFE_MS) {
            self.addresses.stable();
        }
        let was = std::mem::replace(&mut self.phase, Phase::Down);
        let mut probable_take_over = false;
        let found_dead = std::mem::take(&mut self.found_dead);
        let renewable = std::mem::take(&mut self.renewable);
        self.refused = false;
        if let Phase::Up(up) = was {
            let short = matches!(why, Why::Cut(_) | Why::Closed) && now - up.since < SHORT_LIFE_MS;
            self.short_lives = if short { self.short_lives + 1 } else { 0 };
            probable_take_over = self.short_lives == SHORT_LIVES;
            if self.short_lives > 0 && self.short_lives.is_multiple_of(MOVE_ON) {
                self.addresses.move_on();
            }
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
        let dancing = why == Why::Asked && asked && self.dances < 4;
        let (wait, why) = match &why {
            Why::Asked if dancing => {
                self.addresses.again();
                (0, why)
            }
            Why::KeepAlive | Why::NetworkChanged if found_dead || why == Why::NetworkChanged => {
                self.backoff.stable();
                ((self.soonest(now) - now).unsigned_abs(), why)
            }
            _ => self.after(why, up_since.is_some(), renewable, now, rng),
        };
        self.retry_at = Some(now.saturating_add_unsigned(wait));
        self.waiting = Some(why.clone());
        // The pace may make it longer.
        let retry_in_ms = self.due().map_or(0, |at| u64::try_from(at - now).unwrap_or(0));
        (State::Waiting { retry_in_ms, why }, probable_take_over)
    }

    /// How long to wait after a link, or an attempt, that ended like this: not at all while an address is left that was not
    /// tried in this round.
    fn after(&mut self, why: Why, was_up: bool, renewable: bool, now: i64, rng: &mut fastrand::Rng) -> (u64, Why) {
        if is_refusal(&why, renewable) {
            self.addresses.refuse(now.saturating_add_unsigned(REFUSED_WAIT_MS));
        }
        let why = match (self.failed.take(), why) {
            (Some(Why::Unreachable(before)), Why::Unreachable(now)) => Why::Unreachable(format!("{before}; {now}")),
            // What a broker says tells more.
            (Some(before), Why::Unreachable(_)) => before,
            (_, why) => why,
        };
        let next = if was_up { self.addresses.is_redirected() } else { self.addresses.is_one_left(now) };
        if next {
            self.failed = (!was_up).then(|| why.clone());
            return (0, why);
        }
        self.addresses.end_round();
        // Behind the back-off the steps may come at once again.
        self.dances = 0;
        match self.addresses.refused_until(now) {
            Some(until) => {
                self.refused = true;
                ((until - now).unsigned_abs(), why)
            }
            None => (self.backoff.next_delay_ms(rng), why),
        }
    }

    /// There are other credentials: whatever is waited for, the next attempt comes as soon as attempts may.
    pub fn sooner(&mut self, now: i64) {
        if let Some(at) = self.retry_at {
            self.refused = false;
            self.addresses.forgive();
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

/// Whether who we are is refused, which will not pass by itself.
fn is_refusal(why: &Why, renewable: bool) -> bool {
    match why {
        Why::Broker(reason) => reason.refuses_credentials() && !renewable,
        Why::Refused(_) => !renewable,
        Why::ProxyRefused(_) => true,
        Why::Credentials(error) => error.is_lasting(),
        _ => false,
    }
}
