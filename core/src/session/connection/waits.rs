//! Waits that outlive a connection: it is made anew with its session, and the broker's patience is not.

use super::{Connection, Phase};
use crate::model::event::{State, Why};
use crate::session::addresses::Refusals;
use crate::session::backoff::Backoff;

/// Until when nothing is tried, and why. Times are `Now::mono_ms`.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    paced_until: Option<i64>,
    backoff: Option<Backoff>,
    retry_at: Option<i64>,
    waiting: Option<Why>,
    refused: bool,
    taken_over: bool,
    offline: bool,
    refusals: Refusals,
    /// There was a link, or an attempt.
    interrupted: bool,
}

impl Waits {
    /// Of all of them only the pace is left.
    pub(in crate::session) fn after_pause(self) -> Self {
        Self { paced_until: self.paced_until, ..Self::default() }
    }
}

impl Connection {
    /// What is waited for now.
    pub fn waits(&self) -> Waits {
        Waits {
            paced_until: self.paced_until,
            backoff: Some(self.backoff.clone()),
            retry_at: self.retry_at,
            waiting: self.waiting.clone(),
            refused: self.refused,
            taken_over: self.taken_over,
            offline: self.offline,
            refusals: self.addresses.refusals(),
            interrupted: self.phase != Phase::Down,
        }
    }

    /// An earlier connection waited for this.
    pub fn wait_on(&mut self, waits: Waits) {
        let Waits { paced_until, backoff, retry_at, waiting, refused, taken_over, offline, refusals, interrupted } =
            waits;
        if let Some(backoff) = backoff {
            self.backoff = backoff;
        }
        (self.paced_until, self.retry_at, self.waiting, self.refused) = (paced_until, retry_at, waiting, refused);
        (self.taken_over, self.offline, self.interrupted) = (taken_over, offline, interrupted);
        self.addresses.refused_before(&refusals);
    }

    /// The first moment: a link that went with the memory is not made anew at once, or commits that fail again and again would
    /// be as many CONNECTs; but the broker did nothing wrong, and what is in flight shall drain (P10): the wait stays short.
    /// Says what is waited for, if the app was told so before.
    pub fn waited_for(&mut self, now: i64, rng: &mut fastrand::Rng) -> Option<State> {
        if std::mem::take(&mut self.interrupted) {
            self.backoff.moved_ack();
            self.retry_at = Some(now.saturating_add_unsigned(self.backoff.next_delay_ms(rng)));
        }
        if !self.wanted {
            return None;
        }
        if self.taken_over {
            return Some(State::TakenOver);
        }
        if self.offline {
            return Some(State::Offline(Why::NoNetwork));
        }
        let why = self.waiting.clone()?;
        let left = self.due().filter(|at| *at > now)?;
        Some(State::Waiting { retry_in_ms: (left - now).unsigned_abs(), why })
    }
}
