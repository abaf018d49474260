//! The life of links: when to connect and as whom, keep alive, time-outs, what each refusal means.

mod ending;
mod hints;
mod waits;

pub use hints::Hint;
pub use waits::Waits;

use super::addresses::Addresses;
use super::backoff::Backoff;
use crate::model::event::Why;
use crate::wire::packet::Protocol;

/// How long a broker may take for its CONNACK; when other addresses wait for their turn, half as long.
pub const CONNACK_LIMIT_MS: i64 = 20_000;
/// A broker that takes no byte for so long is dead, if the keep alive is not longer.
const WRITE_LIMIT_MS: i64 = 30_000;
/// How long refused credentials and the like are left alone, unless new ones come.
pub const REFUSED_WAIT_MS: u64 = 300_000;
/// A link that lived so long counts as stable.
const STABLE_MS: i64 = 60_000;
/// Links cut within this time of their CONNACK, so many in a row, look like two clients with one client id.
const SHORT_LIFE_MS: i64 = 10_000;
const SHORT_LIVES: u32 = 5;

/// How long the answer to the PINGREQ after sleep or a change of network may take.
pub const CHECK_LIMIT_MS: i64 = 3_000;
/// The shortest time between two attempts, or two checks, that hints of the platform ask for.
pub const HINT_DISTANCE_MS: i64 = 1_000;

/// What the coming CONNECT is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Our session.
    Session,
    /// To end a session that is not ours: clean start 1, then away again.
    EndForeign,
}

/// Where the link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No link, none asked for.
    Down,
    /// Asked for.
    Opening,
    /// CONNECT sent.
    Handshake {
        /// When to give up.
        deadline: i64,
    },
    /// CONNACK has come.
    Up(Up),
    /// Close was asked for; whatever still comes is not heard.
    Closing,
}

/// A link on which the session is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Up {
    /// Its version.
    pub protocol: Protocol,
    /// In force, milliseconds; 0: none.
    pub keep_alive_ms: i64,
    /// Receive maximum that we announced.
    pub receive_maximum: u16,
    /// When it came up.
    pub since: i64,
    /// Ping sent and not answered.
    ping: Option<i64>,
    /// Pings sent and not answered.
    pings: u32,
    /// We answered a PUBREC that we did not know.
    pub answered_unknown: bool,
    stable: bool,
    /// When to find out whether the link lives.
    check_at: Option<i64>,
    /// The last time it was asked.
    checked_at: Option<i64>,
    /// Asked, and not answered: when to give up.
    check_until: Option<i64>,
}

impl Up {
    /// When to ping. An unanswered ping is no leave to be silent: the broker wants a packet every keep alive [3.1.2-20].
    fn ping_at(&self, last_in: i64, last_out: i64) -> i64 {
        self.keep_alive_ms + if self.ping.is_some() { last_out } else { last_in.min(last_out) }
    }

    /// When to give up on an unanswered ping.
    fn dead_at(&self, last_in: i64) -> Option<i64> {
        let ping = self.ping?;
        Some(match last_in <= ping {
            true => ping + self.keep_alive_ms / 2,
            false => (ping + 3 * self.keep_alive_ms).min(last_in + 3 * self.keep_alive_ms / 2),
        })
    }
}

/// The connection's policy and timers. Times are `Now::mono_ms`.
#[derive(Debug)]
pub struct Connection {
    /// The app wants to be connected.
    pub wanted: bool,
    /// Where the link is.
    pub phase: Phase,
    /// What the link's end will be put down to, if we know better than the network.
    pub ending: Option<Why>,
    /// The inbox is full: no link before there is room.
    pub blocked: bool,
    /// The last CONNECTs were cut on an answer to an unknown PUBREC: do not answer on the next.
    pub ignore_unknown: bool,
    /// Where to.
    pub addresses: Addresses,
    /// Why the attempts of this round failed so far.
    failed: Option<Why>,
    /// When the CONNACK of the link came that has not been told to be gone yet.
    up_since: Option<i64>,
    /// The shortest time between two CONNECTs, and when the next one may be.
    pace_ms: i64,
    paced_until: Option<i64>,
    backoff: Backoff,
    retry_at: Option<i64>,
    /// Why the next attempt waits, as the app was told.
    waiting: Option<Why>,
    /// The link before the first input went with a session's memory.
    interrupted: bool,
    taken_over: bool,
    attempt: u32,
    last_in: i64,
    last_out: i64,
    short_lives: u32,
    dances: u32,
    /// The platform says that there is no network.
    offline: bool,
    /// When the last attempt began.
    begun_at: Option<i64>,
    /// The broker refused us: no hint makes us come sooner.
    refused: bool,
    /// The link that ends was good until its credentials were: others may be.
    pub renewable: bool,
    /// A check found the link dead: the next one comes at once.
    found_dead: bool,
}

/// What the keep alive asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Quiet,
    /// PINGREQ.
    Ping,
    /// The link is dead.
    Dead,
}

impl Connection {
    /// Not connected.
    pub fn new(wanted: bool, backoff: Backoff, addresses: Addresses, pace_ms: i64) -> Self {
        Self {
            wanted,
            phase: Phase::Down,
            ending: None,
            blocked: false,
            ignore_unknown: false,
            addresses,
            failed: None,
            up_since: None,
            pace_ms,
            paced_until: None,
            backoff,
            retry_at: None,
            waiting: None,
            interrupted: false,
            taken_over: false,
            attempt: 0,
            last_in: 0,
            last_out: 0,
            short_lives: 0,
            dances: 0,
            offline: false,
            begun_at: None,
            refused: false,
            renewable: false,
            found_dead: false,
        }
    }

    /// Whether nothing will be tried before `until`.
    pub fn is_idle_until(&self, until: i64) -> bool {
        self.phase == Phase::Down && (self.taken_over || self.due().is_some_and(|at| at > until))
    }

    /// The link, if the session is up on it.
    pub fn up(&self) -> Option<&Up> {
        match &self.phase {
            Phase::Up(up) => Some(up),
            _ => None,
        }
    }

    /// When the next attempt may begin; None: now.
    fn due(&self) -> Option<i64> {
        self.retry_at.max(self.paced_until)
    }

    /// An earlier run sent a CONNECT so many milliseconds ago: the pace holds from then.
    pub fn pace_from(&mut self, ago_ms: i64, now: i64) {
        if self.pace_ms > 0 {
            // A clock that went back says nothing, and makes nobody wait for longer than the pace.
            let until = now.saturating_add(self.pace_ms - ago_ms.clamp(0, self.pace_ms));
            self.paced_until = self.paced_until.max(Some(until));
        }
    }

    /// How long the broker may take no byte of what is to be sent.
    pub fn write_limit_ms(&self) -> i64 {
        self.up().map_or(WRITE_LIMIT_MS, |up| up.keep_alive_ms.max(WRITE_LIMIT_MS))
    }

    /// What the link is for.
    pub fn purpose(&self) -> Purpose {
        if self.addresses.is_foreign() { Purpose::EndForeign } else { Purpose::Session }
    }

    /// The app asks to be connected: no waiting, but for the pace.
    pub fn now_please(&mut self) {
        self.wanted = true;
        self.taken_over = false;
        // The app knows better than a hint of the platform.
        self.offline = false;
        self.retry_at = None;
        if self.phase == Phase::Down {
            self.addresses.forgive();
        }
    }

    /// Whether a link should be asked for now; then it is marked as asked for.
    /// With the number of the attempt: whether it goes to another address than the last one.
    pub fn begin(&mut self, now: i64) -> Option<(u32, bool)> {
        let due = self.due().is_none_or(|at| at <= now);
        if self.phase != Phase::Down || !self.wanted || self.taken_over || self.blocked || self.offline || !due {
            return None;
        }
        (self.retry_at, self.waiting) = (None, None);
        self.begun_at = Some(now);
        let moved = self.addresses.choose(now);
        self.phase = Phase::Opening;
        self.attempt += 1;
        Some((self.attempt, moved))
    }

    /// CONNECT was sent.
    pub fn handshake(&mut self, now: i64) {
        let limit = if self.addresses.are_several() { CONNACK_LIMIT_MS / 2 } else { CONNACK_LIMIT_MS };
        self.phase = Phase::Handshake { deadline: now + limit };
        self.paced_until = (self.pace_ms > 0).then_some(now.saturating_add(self.pace_ms));
        self.last_out = now;
        self.last_in = now;
    }

    /// The broker, or the provider, has another step to make before its CONNACK counts.
    pub fn handshake_goes_on(&mut self, deadline: i64) {
        if let Phase::Handshake { .. } = self.phase {
            self.phase = Phase::Handshake { deadline };
        }
    }

    /// The session is up.
    pub fn established(&mut self, protocol: Protocol, keep_alive_s: u16, receive_maximum: u16, now: i64) {
        self.phase = Phase::Up(Up {
            protocol,
            keep_alive_ms: i64::from(keep_alive_s) * 1000,
            receive_maximum,
            since: now,
            ping: None,
            pings: 0,
            answered_unknown: false,
            stable: false,
            check_at: None,
            checked_at: None,
            check_until: None,
        });
        self.attempt = 0;
        self.dances = 0;
        self.ending = None;
        self.failed = None;
        self.up_since = Some(now);
        self.addresses.worked();
    }

    /// Bytes came; a packet may not be whole yet.
    pub fn heard(&mut self, now: i64) {
        self.last_in = now;
    }

    /// How long the link lasted since its CONNACK, if that came.
    pub fn lasted_ms(&self, now: i64) -> Option<u64> {
        self.up_since.map(|since| u64::try_from(now - since).unwrap_or(0))
    }

    /// A packet was given to the link.
    pub fn said(&mut self, now: i64) {
        self.last_out = now;
    }

    /// A ping is wanted for its answer's sake: whether one may be sent now. It counts like any other.
    pub fn ping_now(&mut self, now: i64) -> bool {
        match &mut self.phase {
            Phase::Up(up) if up.ping.is_none() => {
                up.pings += 1;
                up.ping.replace(now).is_none()
            }
            _ => false,
        }
    }

    /// PINGRESP. Says whether it answers the last ping: an earlier one proves nothing of what was sent since.
    pub fn pong(&mut self) -> bool {
        let Phase::Up(up) = &mut self.phase else { return false };
        up.ping = None;
        let asked = up.pings > 0;
        up.pings = up.pings.saturating_sub(1);
        let last = asked && up.pings == 0;
        if last {
            up.check_until = None;
        }
        last
    }

    /// An acknowledgement came: the link does its work.
    pub fn moved_ack(&mut self) {
        self.backoff.moved_ack();
    }

    /// Whether to ping, or to give up: a dead link is noticed within one and a half keep alives. While other packets
    /// flow a missing PINGRESP is put up with for longer, for it may stand behind a backlog.
    pub fn beat(&mut self, now: i64) -> Beat {
        let Phase::Up(up) = &mut self.phase else { return Beat::Quiet };
        if !up.stable && now - up.since >= STABLE_MS {
            up.stable = true;
            self.backoff.stable();
        }
        if up.check_until.is_some_and(|at| at <= now) {
            self.found_dead = true;
            return Beat::Dead;
        }
        if up.keep_alive_ms == 0 {
            return Beat::Quiet;
        }
        if up.dead_at(self.last_in).is_some_and(|at| at <= now) {
            return Beat::Dead;
        }
        if up.ping_at(self.last_in, self.last_out) > now {
            return Beat::Quiet;
        }
        up.ping.get_or_insert(now);
        up.pings += 1;
        Beat::Ping
    }

    /// When time itself is the next input.
    pub fn timeout(&self) -> Option<i64> {
        match &self.phase {
            Phase::Down if self.wanted && !self.taken_over && !self.blocked && !self.offline => {
                Some(self.due().unwrap_or(0))
            }
            Phase::Handshake { deadline } => Some(*deadline),
            Phase::Up(up) => {
                let stable = (!up.stable).then_some(up.since + STABLE_MS);
                let ping = (up.keep_alive_ms > 0).then(|| up.ping_at(self.last_in, self.last_out));
                let dead = up.dead_at(self.last_in).filter(|_| up.keep_alive_ms > 0);
                // A second check waits for the end of the first.
                let check = up.check_until.or(up.check_at);
                [stable, ping, dead, check].into_iter().flatten().min()
            }
            _ => None,
        }
    }
}
