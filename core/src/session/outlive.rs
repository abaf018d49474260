//! A session that is rebuilt from its rows while the process goes on, after a failed commit, a panic or a pause: what was only in
//! memory and must not be forgotten, or a broker that refused us would be asked again at once.

use super::Session;
use super::connection::Waits;
use super::effect::{Effects, Now};
use crate::model::credentials::WhyAsked;
use crate::model::event::{Event, Metrics};

/// What goes on in the next session.
#[derive(Debug, Clone)]
pub struct Outlived {
    /// The app's wish to be connected.
    pub wanted: bool,
    waits: Waits,
    credentials: (WhyAsked, Option<i64>),
}

impl Outlived {
    /// To resume is to ask: of all waits only the pace is left.
    #[must_use]
    pub fn after_pause(mut self, wanted: bool) -> Self {
        self.waits = self.waits.after_pause();
        self.wanted = wanted;
        self
    }
}

impl Session {
    /// What is to go on when the session's memory goes.
    pub fn outlived(&self) -> Outlived {
        Outlived { wanted: self.conn.wanted, waits: self.conn.waits(), credentials: self.auth.outlived() }
    }

    /// Rebuilt; before its first input.
    pub fn go_on(&mut self, metrics: Metrics, before: Outlived) {
        self.metrics = metrics;
        self.conn.wanted = before.wanted;
        self.conn.wait_on(before.waits);
        self.auth.go_on(before.credentials);
    }

    /// The first input: what was waited for is told again.
    pub(super) fn tell_waits(&mut self, now: Now, fx: &mut Effects) {
        if let Some(state) = self.conn.waited_for(now.mono_ms, &mut self.rng) {
            fx.events.push(Event::State(state));
        }
    }
}
