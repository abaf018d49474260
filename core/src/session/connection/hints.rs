//! Hints of the platform and checks whether a link lives.

use super::{CHECK_LIMIT_MS, Connection, HINT_DISTANCE_MS, Phase};

/// What a hint of the platform asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Nothing more.
    Nothing,
    /// No attempts from now on.
    Held,
    /// The next attempt comes so many milliseconds from now.
    Wait(u64),
    /// The link may be dead.
    Check,
    /// The attempt under way is over the old network.
    Anew,
}

impl Connection {
    /// The platform says something of the network. However often it does: attempts and checks keep their distance.
    pub fn hint(&mut self, online: bool, changed: bool, now: i64) -> Hint {
        if changed {
            self.addresses.start_over();
        }
        let was_offline = std::mem::replace(&mut self.offline, !online);
        if was_offline != online && !changed {
            return Hint::Nothing;
        }
        match &self.phase {
            Phase::Up(_) => {
                self.want_check(now, false);
                Hint::Check
            }
            Phase::Opening | Phase::Handshake { .. } => Hint::Anew,
            Phase::Down if self.wanted && !self.taken_over && !self.blocked => match online {
                false => Hint::Held,
                true => {
                    if !self.refused {
                        self.backoff.stable();
                        self.retry_at = Some(self.soonest(now));
                    }
                    let at = self.due().unwrap_or(now);
                    Hint::Wait(u64::try_from(at - now).unwrap_or(0))
                }
            },
            Phase::Down | Phase::Closing => Hint::Nothing,
        }
    }

    /// The next attempt that only a hint asks for.
    pub(super) fn soonest(&self, now: i64) -> i64 {
        self.begun_at.map_or(now, |at| now.max(at.saturating_add(HINT_DISTANCE_MS)))
    }

    /// The link may have died: asks the broker, at once or as soon as the last question is old enough.
    pub fn want_check(&mut self, now: i64, at_once: bool) {
        if let Phase::Up(up) = &mut self.phase {
            let last = up.checked_at.filter(|_| !at_once);
            up.check_at = Some(last.map_or(now, |at| now.max(at.saturating_add(HINT_DISTANCE_MS))));
        }
    }

    /// Whether PINGREQ is to be sent for a check now. One at a time.
    pub fn begin_check(&mut self, now: i64) -> bool {
        let Phase::Up(up) = &mut self.phase else { return false };
        if up.check_at.is_none_or(|at| at > now) || up.check_until.is_some() {
            return false;
        }
        (up.check_at, up.checked_at, up.check_until) = (None, Some(now), Some(now + CHECK_LIMIT_MS));
        up.ping.get_or_insert(now);
        up.pings += 1;
        true
    }

    /// Whether the link is to be shown alive before anything is sent.
    pub fn is_checking(&self) -> bool {
        self.up().is_some_and(|up| up.check_until.is_some())
    }

    /// The link lives.
    pub fn end_check(&mut self) {
        if let Phase::Up(up) = &mut self.phase {
            up.check_until = None;
        }
    }
}
