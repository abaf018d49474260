//! CONNECT and CONNACK: whose session is it, what was lost, what the broker allows.

use std::time::Duration;

use super::Session;
use super::connection::{Phase, Purpose};
use super::effect::{Effects, Now};
use super::outbound::LinkLimits;
use crate::model::credentials::Credentials;
use crate::model::event::{Event, State, Why};
use crate::model::message::QoS;
use crate::model::options::{ForeignSession, Version};
use crate::model::reason::ReasonCode;
use crate::model::writes::Write;
use crate::wire::packet::{ConnAck, Connect, Disconnect, Packet, Protocol};

/// Fixed header and the longest remaining length [1.5.5]: what is longer has no form on the wire.
const LONGEST_PACKET: usize = 5 + 268_435_455;

impl Session {
    pub(super) fn wanted_protocol(&self) -> Protocol {
        match (self.options.version, self.row.protocol) {
            (Version::V311, _) | (Version::Auto, Some(4)) => Protocol::V4,
            _ => Protocol::V5,
        }
    }

    fn persistent(&self) -> bool {
        !self.options.session_expiry.is_zero()
    }

    /// First input ever: does the session on disk still belong to this client id, protocol and broker?
    pub(super) fn start(&mut self, now: Now, fx: &mut Effects) {
        let other_broker = !self.conn.addresses.is_known();
        let version = match self.options.version {
            Version::V311 => Some(4),
            Version::V5 => Some(5),
            Version::Auto if other_broker => None,
            Version::Auto => self.row.protocol,
        };
        let other_protocol = version.is_some() && self.row.protocol.is_some() && version != self.row.protocol;
        let before = self.row.clone();
        if (other_broker || other_protocol) && self.row.established {
            self.lose_session(now, fx);
            self.row.established = false;
        }
        self.row.protocol = version;
        if self.options.broker.is_some() || self.row.broker.is_none() {
            self.row.broker = self.conn.addresses.kept();
        }
        // The last CONNECT that the rows know of was accepted then, or it was sent before the last commit and is unanswered.
        let unanswered = self.row.unanswered.then_some(self.hot.wall_ms);
        if let Some(last) = self.row.last_connect_ms.max(unanswered) {
            self.conn.pace_from(now.wall_ms - last, now.mono_ms);
        }
        if self.row != before {
            fx.writes.push(Write::Session(Box::new(self.row.clone())));
        }
        if self.conn.addresses.is_empty() {
            fx.events.push(Event::State(State::Offline(Why::NoBroker)));
        }
        self.tell_waits(now, fx);
        if self.row.suspect_id.is_some() {
            self.out.suspected_before();
        }
        let (out, mut cx) = self.outbound(now, fx);
        out.ask_expired(&mut cx);
    }

    pub(super) fn link_up(&mut self, credentials: Option<Box<Credentials>>, now: Now, fx: &mut Effects) {
        if self.conn.phase != Phase::Opening {
            return;
        }
        let protocol = self.wanted_protocol();
        let credentials = match self.present(credentials, protocol, now) {
            Ok(credentials) => credentials,
            Err(error) => return self.close(Why::Credentials(error), fx),
        };
        self.count_link();
        self.doubt = self.conn.addresses.ask() || self.row.unanswered;
        self.inb.arm(self.row.unproven);
        let before = self.row.clone();
        self.row.unanswered |= self.row.established;
        self.row.unproven |= self.inb.wants_fence();
        self.row.broker = self.conn.addresses.kept().or(self.row.broker.take());
        if self.row != before {
            fx.writes.push(Write::Session(Box::new(self.row.clone())));
        }
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let receive_maximum = if self.was_full { 8 } else { self.options.receive_maximum };
        fx.sends.push(Packet::Connect(Box::new(Connect {
            protocol,
            client_id: self.row.client_id.clone(),
            clean_start: self.conn.purpose() == Purpose::EndForeign || !self.persistent(),
            keep_alive: u16::try_from(seconds(self.options.keep_alive)).unwrap_or(u16::MAX),
            session_expiry: match self.conn.purpose() {
                Purpose::EndForeign => 0,
                Purpose::Session => u32::try_from(seconds(self.options.session_expiry)).unwrap_or(u32::MAX),
            },
            receive_maximum,
            maximum_packet_size: Some(self.options.max_packet),
            credentials,
            will: self.options.will.clone().filter(|_| self.conn.purpose() == Purpose::Session),
        })));
        self.conn.handshake(now.mono_ms);
    }

    pub(super) fn connack(&mut self, ack: ConnAck, now: Now, fx: &mut Effects) {
        let asked = self.wanted_protocol();
        if ack.reason.is_failure() {
            return self.refused(&ack, asked, now, fx);
        }
        let Some(ack) = self.prove(ack, now, fx) else { return };
        self.conn.addresses.heard();
        let clean = self.conn.purpose() == Purpose::EndForeign || !self.persistent();
        if ack.session_present && clean {
            let text = "session present although a clean start was asked for [3.2.2-4]".to_owned();
            return self.violation(ReasonCode::ProtocolError, text, fx);
        }
        if self.conn.purpose() == Purpose::EndForeign {
            return self.leave(Purpose::Session, fx);
        }
        let adopt = self.options.foreign_session == ForeignSession::Adopt;
        // Nobody else can have our random identifier, but we can: at a broker or in a version that we came back to.
        let first = self.row.client_id_random && self.row.last_connect_ms.is_none();
        let ours = (self.row.established || first) && !self.conn.addresses.is_left_behind() || adopt;
        if ack.session_present && !ours {
            // Its packet identifiers are not ours: one of our messages could be swallowed as a repeat (measured).
            return self.leave(Purpose::EndForeign, fx);
        }
        // A non-persistent session is never `established`, yet leaves state behind that belonged to its link.
        let state = self.out.has_session_state()
            || self.inb.has_session_state()
            || self.subs.granted_in(self.row.session_epoch);
        if !ack.session_present && (self.row.established || state) {
            self.conn.addresses.session_lost();
            self.lose_session(now, fx);
        }
        if ack.session_present && self.doubt {
            // The broker may have lost the session at the CONNECT whose answer we never saw: then this one has no grants.
            self.subs.doubt(fx);
            let (out, mut cx) = self.outbound(now, fx);
            out.doubt(&mut cx);
        }
        if ack.session_present && ours {
            self.possibly_dropped(now, fx);
        }
        self.accepted(&ack, asked, now, fx);
    }

    /// DISCONNECT and come again at once for the next step.
    pub(super) fn leave(&mut self, next: Purpose, fx: &mut Effects) {
        fx.sends.push(Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        self.conn.dance_on(next);
        self.close(Why::Asked, fx);
    }

    fn refused(&mut self, ack: &ConnAck, asked: Protocol, now: Now, fx: &mut Effects) {
        let auto = self.options.version == Version::Auto;
        // 3.1.1 has no authentication methods: to fall back would lock us out.
        let auto = auto && !self.has_method();
        if ack.reason == ReasonCode::UnsupportedProtocolVersion && asked == Protocol::V5 && auto {
            if self.row.established {
                self.lose_session(now, fx);
                self.row.established = false;
            }
            self.row.protocol = Some(4);
            self.row.unanswered = false;
            fx.writes.push(Write::Session(Box::new(self.row.clone())));
            self.conn.dance_on(self.conn.purpose());
            return self.close(Why::Asked, fx);
        }
        self.redirected(ack.reason, ack.properties.server_reference.as_deref(), fx);
        self.close(Why::Broker(ack.reason), fx);
    }

    fn accepted(&mut self, ack: &ConnAck, protocol: Protocol, now: Now, fx: &mut Effects) {
        let announced = &ack.properties;
        let asked_keep_alive = u16::try_from(self.options.keep_alive.as_secs_f64().ceil() as u64).unwrap_or(u16::MAX);
        let asked_expiry = u32::try_from(self.options.session_expiry.as_secs()).unwrap_or(u32::MAX);
        let receive_maximum = if self.was_full { 8 } else { self.options.receive_maximum };
        self.was_full = false;
        let keep_alive = announced.server_keep_alive.unwrap_or(asked_keep_alive);
        if let Some(assigned) = &announced.assigned_client_id {
            self.row.client_id.clone_from(assigned);
        }
        self.row.established = self.persistent();
        self.row.protocol = Some(if protocol == Protocol::V5 { 5 } else { 4 });
        self.row.unanswered = false;
        self.row.unproven &= self.inb.wants_fence();
        self.row.session_present = Some(ack.session_present);
        self.conn.established(protocol, keep_alive, receive_maximum, now.mono_ms);
        self.row.broker = self.conn.addresses.kept().or(self.row.broker.take());
        self.row.last_connect_ms = Some(now.wall_ms);
        self.row.expiry_granted_s =
            (protocol == Protocol::V5).then(|| announced.session_expiry.unwrap_or(asked_expiry));
        fx.writes.push(Write::Session(Box::new(self.row.clone())));
        self.hot.last_contact_ms = now.wall_ms;
        self.metrics.connects += 1;
        self.metrics.link.connected_since_ms = Some(now.wall_ms);

        // Whatever CONNACK says: a service that says nothing cuts the link instead.
        let service = self.options.profile.limits();
        fx.events.push(Event::State(State::Online { session_present: ack.session_present }));
        self.tell_held(fx);
        self.credentials_accepted(now, fx);

        let taken = announced.receive_maximum.unwrap_or(u16::MAX).min(service.max_inflight);
        let window = usize::from(self.options.inflight.min(taken));
        let limits = LinkLimits {
            protocol,
            window,
            window_qos2: match protocol {
                Protocol::V5 => window,
                Protocol::V4 => usize::from(self.options.inflight_qos2),
            },
            max_qos: announced
                .maximum_qos
                .and_then(QoS::from_number)
                .map_or(service.max_qos, |qos| qos.min(service.max_qos)),
            retain: announced.retain_available.unwrap_or(true) && service.retain,
            service,
            max_packet: announced
                .maximum_packet_size
                .map_or(LONGEST_PACKET, |bytes| bytes as usize)
                .min(LONGEST_PACKET),
        };
        let ids_available = announced.subscription_ids_available.unwrap_or(true);
        self.inb.connected(ack.session_present);
        self.out.connected(limits, &self.hot, fx);
        self.subs.connected(ack.session_present, ids_available, self.row.session_epoch, fx);
        let (out, mut cx) = self.outbound(now, fx);
        out.look_at_parked(&mut cx);
        out.pump(&mut cx);
        if self.inb.wants_fence() && self.conn.ping_now(now.mono_ms) {
            self.ping(fx);
        }
    }

    /// The broker has lost the session, or it is not the one we had: one transaction forgets what belonged to it and
    /// keeps what is ours (P8) [3.2.2-5].
    fn lose_session(&mut self, now: Now, fx: &mut Effects) {
        let old_epoch = self.row.session_epoch;
        self.subs.session_lost(old_epoch, self.hot.last_contact_ms, self.hot.next_seq - 1, fx);
        self.inb.session_lost();
        self.catching_up = None;
        let sent_through = self.out.session_lost(&mut self.hot);
        self.row.session_epoch += 1;
        self.row.pid_salt = u64::from(self.rng.u32(..));
        fx.writes.push(Write::SessionLost { sent_through });
        fx.writes.push(Write::Session(Box::new(self.row.clone())));
        fx.events.push(Event::SessionLost { at_ms: now.wall_ms });
    }
}
