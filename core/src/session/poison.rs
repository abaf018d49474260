//! Whom to blame for links that end: a message is set aside only if three links running ended right behind it, in order,
//! while nothing else was on its way.

use std::collections::BTreeSet;

use super::Session;
use super::connection::Phase;
use super::effect::{Effects, Now};
use super::outbound::Violation;
use crate::model::event::{Event, Why};
use crate::model::reason::ReasonCode;
use crate::model::writes::Write;

/// So many strikes, and it is set aside.
const STRIKES: u32 = 3;

impl Session {
    /// What an acknowledgement has led to. One of the wrong kind is a strike against its message, which stays; any right one
    /// clears whoever was suspected.
    pub(super) fn acknowledged<T>(
        &mut self,
        pid: u16,
        result: Result<T, Violation>,
        now: Now,
        fx: &mut Effects,
    ) -> Result<T, Violation> {
        if result.is_err() {
            if let Some(id) = self.out.published(pid, self.row.pid_salt) {
                self.strike(id, now, fx);
            }
        } else {
            if self.row.suspect_id.is_some() && self.out.is_acknowledged() {
                self.suspect(None, 0, fx);
            }
            let (out, mut cx) = self.outbound(now, fx);
            out.pump(&mut cx);
        }
        result
    }

    /// The broker says goodbye with a reason that speaks of what we sent.
    pub(super) fn blamed(&mut self, reason: ReasonCode, now: Now, fx: &mut Effects) {
        let speaks_of_a_packet = matches!(
            reason,
            ReasonCode::UnspecifiedError
                | ReasonCode::MalformedPacket
                | ReasonCode::ProtocolError
                | ReasonCode::ImplementationSpecificError
                | ReasonCode::NotAuthorized
                | ReasonCode::TopicNameInvalid
                | ReasonCode::PacketTooLarge
                | ReasonCode::PayloadFormatInvalid
                | ReasonCode::RetainNotSupported
                | ReasonCode::QosNotSupported
        );
        match self.out.alone(now.mono_ms) {
            Some((id, true)) if speaks_of_a_packet => self.strike(id, now, fx),
            Some(_) => self.suspect(self.row.suspect_id, 0, fx),
            None => {}
        }
    }

    /// We close the link.
    pub(super) fn link_ends(&mut self, why: &Why, fx: &mut Effects) {
        match why {
            Why::Broker(_) | Why::Protocol(..) => self.out.link_lost(),
            Why::KeepAlive => {
                self.out.link_lost();
                self.suspect(self.row.suspect_id, 0, fx);
            }
            // Our own doing says nothing of the broker; but the links are no longer running.
            _ if matches!(self.conn.phase, Phase::Up(_)) => self.suspect(self.row.suspect_id, 0, fx),
            _ => {}
        }
    }

    /// The link has ended by itself.
    pub(super) fn link_closed(&mut self, why: &Why, now: Now, fx: &mut Effects) {
        if !matches!(self.conn.phase, Phase::Up(_)) {
            return;
        }
        self.out.link_lost();
        match self.out.alone(now.mono_ms) {
            Some((id, true)) if *why == Why::Closed => self.strike(id, now, fx),
            _ => self.suspect(self.row.suspect_id, 0, fx),
        }
    }

    fn strike(&mut self, id: u64, now: Now, fx: &mut Effects) {
        let strikes = if self.row.suspect_id == Some(id) { self.row.strikes + 1 } else { 1 };
        if strikes < STRIKES {
            return self.suspect(Some(id), strikes, fx);
        }
        self.suspect(None, 0, fx);
        let text =
            format!("message {id} closed {STRIKES} links running; it is set aside until the app takes it up again");
        fx.events.push(Event::Warning { code: "poison", text });
        let (out, mut cx) = self.outbound(now, fx);
        out.park_suspect(id, ReasonCode::ImplementationSpecificError, &mut cx);
    }

    /// The message that is being decided on: what remains of a turn that has panicked.
    pub fn at_hand(&self) -> Option<u64> {
        self.out.at_hand()
    }

    /// The message that was sent under this packet identifier and is not finished.
    pub fn sent_as(&self, pid: u16) -> Option<u64> {
        self.out.published(pid, self.row.pid_salt)
    }

    /// Messages that are set aside instead of being sent: they made us panic twice.
    pub fn shun(&mut self, ids: &BTreeSet<u64>) {
        self.out.shun(ids);
    }

    fn suspect(&mut self, id: Option<u64>, strikes: u32, fx: &mut Effects) {
        if (self.row.suspect_id, self.row.strikes) != (id, strikes) {
            (self.row.suspect_id, self.row.strikes) = (id, strikes);
            fx.writes.push(Write::Session(Box::new(self.row.clone())));
        }
    }
}
