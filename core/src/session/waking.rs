//! After sleep and after a change of network a link may be dead without saying so: a PINGREQ finds out before anything else
//! is sent. Hints of the platform wake and hold attempts to connect.

use super::Session;
use super::connection::{Hint, Phase};
use super::effect::{Effects, Now};
use crate::model::event::{Event, State, Why};
use crate::wire::packet::Packet;

/// A broker that has caused so many answers lives, whatever became of the PINGREQ.
const HELD: usize = 4096;

impl Session {
    /// The machine has slept.
    pub(super) fn woke(&mut self, now: Now, fx: &mut Effects) {
        self.conn.want_check(now.mono_ms, true);
        self.check_link(now, fx);
    }

    /// The platform says something of the network.
    pub(super) fn network(&mut self, online: bool, changed: bool, now: Now, fx: &mut Effects) {
        match self.conn.hint(online, changed, now.mono_ms) {
            Hint::Nothing => {}
            Hint::Wait(0) => {}
            Hint::Wait(retry_in_ms) => {
                fx.events.push(Event::State(State::Waiting { retry_in_ms, why: Why::NetworkChanged }));
            }
            Hint::Held => fx.events.push(Event::State(State::Offline(Why::NoNetwork))),
            Hint::Check => self.check_link(now, fx),
            Hint::Anew => self.close(if online { Why::NetworkChanged } else { Why::NoNetwork }, fx),
        }
    }

    /// PINGREQ, if a check is due. Until it is answered nothing else leaves.
    pub(super) fn check_link(&mut self, now: Now, fx: &mut Effects) {
        if self.conn.begin_check(now.mono_ms) {
            self.ping(fx);
            self.out.begin_turn(0);
        }
    }

    /// Keeps back what this input wanted sent: answers and requests in their order. PUBLISHes are not even decided on, for
    /// the link has no credit meanwhile.
    pub(super) fn hold(&mut self, from: usize, now: Now, fx: &mut Effects) {
        for packet in fx.sends.split_off(from) {
            match packet {
                Packet::PingReq => fx.sends.push(packet),
                _ => self.held.push(packet),
            }
        }
        if self.held.len() > HELD {
            self.conn.end_check();
            self.checked(now, fx);
        }
    }

    /// The link lives: what was kept back goes first.
    pub(super) fn checked(&mut self, now: Now, fx: &mut Effects) {
        fx.sends.append(&mut self.held);
        self.out.begin_turn(self.credit);
        let (out, mut cx) = self.outbound(now, fx);
        out.pump(&mut cx);
    }

    /// Whether there is no link, and none asked for.
    pub fn is_down(&self) -> bool {
        self.conn.phase == Phase::Down
    }

    /// Whether no attempt will be made before `until` (`Now::mono_ms`), unless the app or the network moves.
    pub fn is_idle_until(&self, until: i64) -> bool {
        self.conn.addresses.is_empty() || self.conn.is_idle_until(until)
    }
}
