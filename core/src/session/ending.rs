//! How a link ends: asked for, in breach of the protocol, or by itself.

use super::Session;
use super::connection::Phase;
use super::effect::{Effects, Now};
use crate::model::event::{Event, State, Why};
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Disconnect, Packet, Protocol};

impl Session {
    pub(super) fn disconnect(&mut self, with_will: bool, fx: &mut Effects) {
        self.conn.wanted = false;
        if let Some(up) = self.conn.up() {
            let reason = if with_will { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
            if !with_will || up.protocol == Protocol::V5 {
                fx.sends.push(Packet::Disconnect(Disconnect::new(reason)));
            }
        }
        match self.conn.phase {
            Phase::Down => fx.events.push(Event::State(State::Offline(Why::Asked))),
            _ => self.close(Why::Asked, fx),
        }
    }

    pub(super) fn close(&mut self, why: Why, fx: &mut Effects) {
        if !matches!(self.conn.phase, Phase::Down | Phase::Closing) {
            self.link_ends(&why, fx);
            // What was asked for in this very turn: nobody makes or answers it any more.
            (fx.open, fx.ask) = (false, None);
            self.conn.closing(why);
            self.held.clear();
            self.auth.link_ended();
            self.out.disconnected();
            self.inb.disconnected();
            self.subs.disconnected();
            fx.close = true;
        }
    }

    /// The broker broke the protocol: DISCONNECT with the reason (MQTT 5), close, and go on at the next connect.
    pub(super) fn violation(&mut self, reason: ReasonCode, text: String, fx: &mut Effects) {
        let v5 = match self.conn.phase {
            Phase::Up(up) => up.protocol == Protocol::V5,
            Phase::Handshake { .. } => self.wanted_protocol() == Protocol::V5,
            _ => false,
        };
        if v5 {
            fx.sends.push(Packet::Disconnect(Disconnect::new(reason)));
        }
        if !matches!(self.conn.phase, Phase::Down | Phase::Closing) {
            fx.events.push(Event::Warning {
                code: "protocol_violation",
                text: format!("broker: {text}; closed with {reason}"),
            });
        }
        self.close(Why::Protocol(reason, text), fx);
    }

    pub(super) fn link_down(&mut self, why: Why, now: Now, fx: &mut Effects) {
        if self.conn.phase == Phase::Down {
            // The end of a link was told twice: the wait that the first one began stands.
            return;
        }
        self.held.clear();
        fx.ask = None;
        self.count_end(&why, now);
        if self.conn.phase == Phase::Opening {
            self.auth.forget_signed();
        }
        self.auth.link_ended();
        self.caught_up_so_far(now);
        self.link_closed(&why, now, fx);
        self.out.disconnected();
        self.inb.disconnected();
        self.subs.disconnected();
        // The state may tell of an earlier attempt of the round.
        let judged = self.conn.ending.clone().unwrap_or_else(|| why.clone());
        let (state, probable_take_over) = self.conn.down(why, now.mono_ms, &mut self.rng);
        if probable_take_over {
            let text = "five links in a row were cut within 10 s of CONNACK; another client may use the same client id";
            fx.events.push(Event::Warning { code: "probable_take_over", text: text.to_owned() });
        }
        let too_large = matches!(&state, State::Waiting { why: Why::Protocol(ReasonCode::PacketTooLarge, _), .. });
        let no_link =
            |why: &Why| matches!(why, Why::Unreachable(_) | Why::Tls(_) | Why::Refused(_) | Why::ProxyRefused(_));
        let other_end = !matches!(&state, State::Waiting { why, .. } if no_link(why));
        if !too_large && other_end {
            self.too_large = 0;
        }
        if let State::Waiting { retry_in_ms, .. } = &state {
            self.judged(&judged, *retry_in_ms, now, fx);
        }
        let dancing = matches!(state, State::Waiting { retry_in_ms: 0, .. });
        if !dancing {
            fx.events.push(Event::State(state));
        }
    }
}
