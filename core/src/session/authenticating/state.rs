//! What is known of the credentials in use, and of the exchange that is under way.

use super::{ASK_DISTANCE_MS, CLOCK_STEP_MS, MARGIN_MS, Pending};
use crate::model::credentials::{Credentials, WhyAsked};
use crate::session::effect::Now;
use crate::wire::packet::{ConnAck, Packet};

/// State of the credentials. Times are `Now::mono_ms` unless a name says otherwise.
#[derive(Debug)]
pub(in crate::session) struct Authentication {
    pub(super) why: WhyAsked,
    /// The method in this link's CONNECT.
    pub(super) method: Option<String>,
    /// Re-authentication was begun (AUTH 0x19) and is not over.
    pub(super) renewing: bool,
    /// Ours in the re-authentication that is under way.
    pub(super) renewed_until_ms: Option<i64>,
    pub(super) rounds: u32,
    pub(super) pending: Option<Pending>,
    /// When the broker's answer is overdue.
    pub(super) answer_by: Option<i64>,
    /// When those in use expire, as it seemed when they were given, and from when on others are wanted.
    pub(super) expires_at: Option<i64>,
    pub(super) due_at: Option<i64>,
    /// When others are asked for on this link.
    pub(super) refresh_at: Option<i64>,
    pub(super) refresh_wait: i64,
    pub(super) asked_at: i64,
    /// The wall clock less `Now::mono_ms` when the last ones were refused.
    pub(super) refused_clock: Option<i64>,
    /// Others, for the next CONNECT.
    pub(super) fresh: Option<Box<Credentials>>,
    /// The new link that they need is made then at the latest.
    pub(super) go_by: Option<i64>,
    /// The link was given up for them.
    pub(super) changing: bool,
    /// The app has said that there are others, while some were being asked for or tried.
    pub(super) changed: bool,
    /// A CONNACK that waits for the provider's word on the broker's proof, and what came behind it.
    pub(super) connack: Option<Box<ConnAck>>,
    pub(super) proven: bool,
    pub(super) behind: Vec<Packet>,
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            why: WhyAsked::First,
            method: None,
            renewing: false,
            renewed_until_ms: None,
            rounds: 0,
            pending: None,
            answer_by: None,
            expires_at: None,
            due_at: None,
            refresh_at: None,
            refresh_wait: ASK_DISTANCE_MS,
            asked_at: 0,
            refused_clock: None,
            fresh: None,
            go_by: None,
            changing: false,
            changed: false,
            connack: None,
            proven: false,
            behind: Vec::new(),
        }
    }
}

impl Authentication {
    /// The credentials in use are these from now on.
    pub(super) fn in_use(&mut self, expires_wall_ms: Option<i64>, provider: bool, now: Now) {
        let life = expires_wall_ms.map(|at| at.saturating_sub(now.wall_ms));
        self.expires_at = life.map(|life| now.mono_ms.saturating_add(life));
        // What has expired already, or seems so to a wrong clock, is the broker's to judge; static ones cannot be replaced.
        let life = life.filter(|life| *life > 0 && provider);
        self.due_at = life.map(|life| now.mono_ms.saturating_add(life - MARGIN_MS.min(life / 10)));
        self.refresh_at = self.due_at.map(|at| at.max(now.mono_ms + ASK_DISTANCE_MS));
        self.refresh_wait = ASK_DISTANCE_MS;
    }

    /// Why the provider is asked next, and the clock of the last refusal: what the next session of this run is to know.
    pub(in crate::session) fn outlived(&self) -> (WhyAsked, Option<i64>) {
        let why = match self.why {
            WhyAsked::First | WhyAsked::Reconnect if self.changed => WhyAsked::Expired,
            why => why,
        };
        (why, self.refused_clock)
    }

    /// An earlier session of this run knew it.
    pub(in crate::session) fn go_on(&mut self, (why, refused_clock): (WhyAsked, Option<i64>)) {
        (self.why, self.refused_clock) = (why, refused_clock);
    }

    /// What belongs to a link ends with it.
    pub(in crate::session) fn link_ended(&mut self) {
        (self.method, self.renewing, self.rounds, self.pending) = (None, false, 0, None);
        (self.answer_by, self.refresh_at, self.go_by) = (None, None, None);
        (self.connack, self.proven) = (None, false);
        self.behind.clear();
    }

    /// The app has said that there are others than the provider gave last. A refusal tells it more.
    pub(super) fn are_old(&mut self) {
        if matches!(self.why, WhyAsked::First | WhyAsked::Reconnect) {
            self.why = WhyAsked::Expired;
        }
    }

    /// A signed URL is for one attempt: its time runs out.
    pub(in crate::session) fn forget_signed(&mut self) {
        self.fresh.take_if(|fresh| fresh.target.is_some());
    }

    /// Whether the wall clock was put to another time since the last ones were refused: others may be right now. Says so once.
    pub(super) fn is_clock_set(&mut self, now: Now) -> bool {
        let step = |then: &mut i64| (now.wall_ms - now.mono_ms).abs_diff(*then) >= CLOCK_STEP_MS;
        self.refused_clock.take_if(step).is_some()
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        self.due_at.is_some_and(|at| at <= now.mono_ms)
    }
}
