//! The MQTT session, sans-IO: inputs and `now` in, effects out. No sockets, no clock, no SQLite.

pub mod backoff;
pub mod connection;
pub mod effect;
mod handshake;
pub mod inbound;
pub mod outbound;
pub mod packet_ids;
pub mod subscriptions;

use std::collections::BTreeMap;
use std::sync::Arc;

use connection::{Beat, Connection, Phase, Purpose};
use effect::{Effects, Input, Loaded, Now};
use inbound::{Inbound, Room};
use outbound::{Context, Downgrade, Known, Outbound, Violation};
use subscriptions::Subscriptions;

use crate::model::event::{Event, Gap, GapCause, Metrics, State, Why};
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::model::rows::{Hot, InFlightRow, OpenGap, SessionRow, SubscriptionRow};
use crate::model::topic::{TopicFilter, TopicName};
use crate::model::writes::Write;
use crate::wire::packet::{Ack, Disconnect, Packet, Protocol};

/// So many topics get a gap of their own when QoS 0 messages find no room.
const DROPPED_TOPICS: usize = 64;

/// What the store remembers of a session.
#[derive(Debug)]
pub struct Restored {
    /// Identity and protocol state.
    pub row: SessionRow,
    /// Counters.
    pub hot: Hot,
    /// Wishes and grants.
    pub subscriptions: Vec<SubscriptionRow>,
    /// QoS 2 identifiers stored and not yet released.
    pub received_qos2: Vec<u16>,
    /// Sent and unfinished messages, in order.
    pub in_flight: Vec<InFlightRow>,
    /// Gaps that are not closed yet.
    pub open_gaps: Vec<OpenGap>,
}

/// One session. It decides; whoever drives it reads, writes and sends.
pub struct Session {
    options: Arc<Options>,
    row: SessionRow,
    hot: Hot,
    conn: Connection,
    out: Outbound,
    inb: Inbound,
    subs: Subscriptions,
    metrics: Metrics,
    rng: fastrand::Rng,
    started: bool,
    /// The inbox was full: the next CONNECT asks for little.
    was_full: bool,
    /// Room for messages would be welcome: remove what is done with.
    wants_room: bool,
    /// Topics of which QoS 0 messages were dropped for want of room: since when, after which message.
    dropped: BTreeMap<TopicFilter, (i64, u64)>,
}

impl Session {
    /// Rebuilds a session from its rows. `seed` makes its randomness repeatable.
    pub fn new(options: Arc<Options>, restored: Restored, seed: u64) -> Self {
        let backoff = backoff::Backoff::new(options.retry.0, options.retry.1);
        Self {
            conn: Connection::new(options.connect, backoff),
            out: Outbound::new(&restored.hot, &restored.in_flight),
            inb: Inbound::new(restored.received_qos2, options.inbox_limit),
            subs: Subscriptions::new(restored.subscriptions, restored.open_gaps),
            row: restored.row,
            hot: restored.hot,
            options,
            metrics: Metrics::default(),
            rng: fastrand::Rng::with_seed(seed),
            started: false,
            was_full: false,
            wants_room: false,
            dropped: BTreeMap::new(),
        }
    }

    /// Counters as they are to be committed at the end of the turn.
    pub fn hot(&self) -> &Hot {
        &self.hot
    }

    /// The driver changed counters beside the session (retention, pruning).
    pub fn hot_mut(&mut self) -> &mut Hot {
        &mut self.hot
    }

    /// Counters for people.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Identity and protocol state.
    pub fn row(&self) -> &SessionRow {
        &self.row
    }

    /// The link's version, or the one that the next link will speak.
    pub fn protocol(&self) -> Protocol {
        self.conn.up().map_or_else(|| self.wanted_protocol(), |up| up.protocol)
    }

    /// Whether done messages should be removed to make room; asking resets it.
    pub fn take_wants_room(&mut self) -> bool {
        std::mem::take(&mut self.wants_room)
    }

    /// A turn begins. `credit`: how many bytes of PUBLISHes the link takes.
    pub fn begin_turn(&mut self, credit: i64) {
        self.out.set_credit(credit);
        self.inb.begin_turn();
    }

    /// Bytes came from the broker.
    pub fn heard(&mut self, now: Now) {
        self.conn.heard(now.mono_ms);
    }

    /// When `Input::Tick` should be handed in, on `Now::mono_ms`. The value changes with every input.
    pub fn timeout(&self, now: Now) -> Option<i64> {
        let expiry = self.out.next_expiry().map(|at| now.mono_ms.saturating_add(at.saturating_sub(now.store_ms)));
        let conn = self.row.broker.as_ref().and_then(|_| self.conn.timeout());
        [conn, expiry].into_iter().flatten().min()
    }

    /// Handles one input.
    pub fn handle(&mut self, input: Input, now: Now, fx: &mut Effects) {
        if !self.started {
            self.started = true;
            self.start(now, fx);
        }
        let sent = fx.sends.len();
        let epoch = self.row.session_epoch;
        match input {
            Input::Publish(row) => {
                let (out, mut cx) = self.outbound(now, fx);
                out.publish(row, &mut cx);
                out.pump(&mut cx);
            }
            Input::Subscribe(wish) => self.subs.subscribe(wish, epoch, fx),
            Input::Unsubscribe(filter) => self.subs.unsubscribe(filter, epoch, fx),
            Input::Connect => self.conn.now_please(),
            Input::TryNow => {
                if self.conn.wanted {
                    self.conn.now_please();
                }
            }
            Input::Disconnect { with_will } => self.disconnect(with_will, fx),
            Input::LinkUp => self.link_up(now, fx),
            Input::LinkDown(why) => self.link_down(why, now, fx),
            Input::Packet(packet) => self.packet(packet, now, fx),
            Input::Broken(error) => self.violation(error.reason, error.text, fx),
            Input::Room => self.room(now, fx),
            Input::Rows(loaded) => self.rows(loaded, now, fx),
            Input::Tick => self.tick(now, fx),
        }
        if fx.sends.len() > sent {
            self.conn.said(now.mono_ms);
        }
        self.open(now, fx);
    }

    fn outbound<'a>(&'a mut self, now: Now, fx: &'a mut Effects) -> (&'a mut Outbound, Context<'a>) {
        let cx = Context { now, hot: &mut self.hot, salt: self.row.pid_salt, metrics: &mut self.metrics, fx };
        (&mut self.out, cx)
    }

    fn inbound<'a>(&'a mut self, now: Now, fx: &'a mut Effects) -> (&'a mut Inbound, Context<'a>) {
        let cx = Context { now, hot: &mut self.hot, salt: self.row.pid_salt, metrics: &mut self.metrics, fx };
        (&mut self.inb, cx)
    }

    fn open(&mut self, now: Now, fx: &mut Effects) {
        if self.row.broker.is_none() {
            return;
        }
        if let Some(attempt) = self.conn.begin(now.mono_ms) {
            self.metrics.link_attempts += 1;
            fx.open = true;
            if self.conn.purpose == Purpose::Session {
                fx.events.push(Event::State(State::Connecting { attempt }));
            }
        }
    }

    fn tick(&mut self, now: Now, fx: &mut Effects) {
        if let Phase::Handshake { deadline } = self.conn.phase
            && deadline <= now.mono_ms
        {
            self.close(Why::ConnackTimeout, fx);
        }
        match self.conn.beat(now.mono_ms) {
            Beat::Quiet => {}
            Beat::Ping => fx.sends.push(Packet::PingReq),
            Beat::Dead => self.close(Why::KeepAlive, fx),
        }
        let (out, mut cx) = self.outbound(now, fx);
        out.sweep(&mut cx);
        out.pump(&mut cx);
    }

    fn rows(&mut self, loaded: Loaded, now: Now, fx: &mut Effects) {
        let (out, mut cx) = self.outbound(now, fx);
        match loaded {
            Loaded::Outbox { rows, complete } => out.rows_loaded(rows, complete, &mut cx),
            Loaded::Released(ids) => out.released_loaded(&ids, &mut cx),
            Loaded::Expired { rows, next_ms } => {
                out.expired(&rows, next_ms, &mut cx);
                out.sweep(&mut cx);
            }
        }
    }

    fn room(&mut self, now: Now, fx: &mut Effects) {
        let (inb, mut cx) = self.inbound(now, fx);
        let room = inb.room(&mut cx);
        let has_room = inb.has_room(&cx);
        self.wants_room = room == Room::Wanted;
        if !has_room {
            return;
        }
        self.conn.blocked = false;
        for (filter, (from_ms, after_seq)) in std::mem::take(&mut self.dropped) {
            let (filters, cause, to_ms) = (vec![filter.clone()], GapCause::InboxFull, now.wall_ms);
            fx.writes.push(Write::GapClose { filter, to_ms });
            fx.events.push(Event::Gap(Gap { filters, cause, from_ms, to_ms: Some(to_ms), after_seq }));
        }
    }

    fn disconnect(&mut self, with_will: bool, fx: &mut Effects) {
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

    fn close(&mut self, why: Why, fx: &mut Effects) {
        if !matches!(self.conn.phase, Phase::Down | Phase::Closing) {
            self.conn.closing(why);
            self.out.disconnected();
            self.inb.disconnected();
            self.subs.disconnected();
            fx.close = true;
        }
    }

    /// The broker broke the protocol: DISCONNECT with the reason (MQTT 5), close, and go on at the next connect.
    fn violation(&mut self, reason: ReasonCode, text: String, fx: &mut Effects) {
        if matches!(self.conn.phase, Phase::Up(up) if up.protocol == Protocol::V5) {
            fx.sends.push(Packet::Disconnect(Disconnect::new(reason)));
        }
        if !matches!(self.conn.phase, Phase::Down | Phase::Closing) {
            fx.events.push(Event::Warning { code: "protocol_violation", text: format!("broker: {text}; closed with {reason}") });
        }
        self.close(Why::Protocol(reason, text), fx);
    }

    fn link_down(&mut self, why: Why, now: Now, fx: &mut Effects) {
        self.out.disconnected();
        self.inb.disconnected();
        self.subs.disconnected();
        let (state, probable_take_over) = self.conn.down(why, now.mono_ms, &mut self.rng);
        if probable_take_over {
            let text = "five links in a row were cut within 10 s of CONNACK; another client may use the same client id";
            fx.events.push(Event::Warning { code: "probable_take_over", text: text.to_owned() });
        }
        let dancing = matches!(state, State::Waiting { retry_in_ms: 0, .. });
        if !dancing {
            fx.events.push(Event::State(state));
        }
    }

    fn packet(&mut self, packet: Packet, now: Now, fx: &mut Effects) {
        let up = match self.conn.phase {
            Phase::Up(up) => up,
            Phase::Handshake { .. } => {
                match packet {
                    Packet::ConnAck(ack) => self.connack(*ack, now, fx),
                    Packet::Auth(_) => self.violation(
                        ReasonCode::ProtocolError,
                        "AUTH without an authentication method [4.12.0-6]".to_owned(),
                        fx,
                    ),
                    _ => self.violation(
                        ReasonCode::ProtocolError,
                        "first packet is not a CONNACK [3.2.0-1]".to_owned(),
                        fx,
                    ),
                }
                return;
            }
            Phase::Down | Phase::Opening | Phase::Closing => return,
        };
        self.hot.last_contact_ms = now.wall_ms;
        if let Err(Violation(reason, text)) = self.packet_up(packet, &up, now, fx) {
            self.violation(reason, text.to_owned(), fx);
        }
    }

    fn packet_up(&mut self, packet: Packet, up: &connection::Up, now: Now, fx: &mut Effects) -> Result<(), Violation> {
        match packet {
            Packet::Publish(publish) => {
                let topic = publish.topic.clone();
                let (inb, mut cx) = self.inbound(now, fx);
                match inb.publish(publish, up.protocol, up.receive_maximum, &mut cx)? {
                    Room::Enough => {}
                    Room::Wanted => self.wants_room = true,
                    Room::Dropped => {
                        self.wants_room = true;
                        self.dropped(&topic, now, fx);
                    }
                    Room::Overflow => {
                        self.conn.blocked = true;
                        self.was_full = true;
                        self.wants_room = true;
                        self.close(Why::InboxFull, fx);
                    }
                }
            }
            Packet::PubAck(ack) => {
                self.conn.moved_ack();
                let (out, mut cx) = self.outbound(now, fx);
                let told = out.puback(ack, &mut cx)?;
                out.pump(&mut cx);
                if told == Downgrade::FirstOnLink {
                    let text = "the broker answers QoS 2 with PUBACK: it knows QoS 1 only, messages arrive at least once";
                    fx.events.push(Event::Warning { code: "qos2_downgraded", text: text.to_owned() });
                }
            }
            Packet::PubRec(ack) => {
                self.conn.moved_ack();
                let (out, mut cx) = self.outbound(now, fx);
                let known = out.pubrec(ack, &mut cx)?;
                out.pump(&mut cx);
                if known == Known::Unknown {
                    self.unknown_pubrec(ack.pid, up.protocol, fx);
                }
            }
            Packet::PubComp(ack) => {
                self.conn.moved_ack();
                let (out, mut cx) = self.outbound(now, fx);
                out.pubcomp(ack, &mut cx)?;
                out.pump(&mut cx);
            }
            Packet::PubRel(ack) => {
                let (inb, mut cx) = self.inbound(now, fx);
                inb.pubrel(ack.pid, up.protocol, &mut cx);
            }
            Packet::SubAck(ack) => {
                let known = self.subs.acknowledged(&ack, false, self.row.session_epoch, now, fx)?;
                self.metrics.stray_acks += u64::from(!known);
            }
            Packet::UnsubAck(ack) => {
                let known = self.subs.acknowledged(&ack, true, self.row.session_epoch, now, fx)?;
                self.metrics.stray_acks += u64::from(!known);
            }
            Packet::PingResp => self.conn.pong(),
            Packet::Disconnect(disconnect) => self.disconnected_by_broker(&disconnect, fx),
            Packet::Auth(_) => {
                return Err(Violation(ReasonCode::ProtocolError, "AUTH without an authentication method [4.12.0-6]"));
            }
            Packet::ConnAck(_) => return Err(Violation(ReasonCode::ProtocolError, "a second CONNACK [3.2.0-2]")),
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                return Err(Violation(ReasonCode::ProtocolError, "a packet that only clients send [2.1.2]"));
            }
        }
        Ok(())
    }

    fn unknown_pubrec(&mut self, pid: u16, protocol: Protocol, fx: &mut Effects) {
        if self.conn.ignore_unknown {
            return;
        }
        let reason = match protocol {
            Protocol::V5 => ReasonCode::PacketIdentifierNotFound,
            Protocol::V4 => ReasonCode::Success,
        };
        fx.sends.push(Packet::PubRel(Ack { pid, reason }));
        if let Phase::Up(up) = &mut self.conn.phase {
            up.answered_unknown = true;
        }
    }

    /// A QoS 0 message found no room: a gap says so, and closes when there is room.
    fn dropped(&mut self, topic: &TopicName, now: Now, fx: &mut Effects) {
        // A topic name is a filter that matches itself alone; beyond some of them one gap stands for all.
        let name = if self.dropped.len() < DROPPED_TOPICS { topic.as_str() } else { "#" };
        let Ok(filter) = TopicFilter::new(name) else { return };
        let (from_ms, after_seq) = (now.wall_ms, self.hot.next_seq - 1);
        if !self.dropped.contains_key(&filter) {
            self.dropped.insert(filter.clone(), (from_ms, after_seq));
            fx.writes.push(Write::GapOpen { filter, cause: GapCause::InboxFull, from_ms, after_seq });
        }
    }

    fn disconnected_by_broker(&mut self, disconnect: &Disconnect, fx: &mut Effects) {
        if disconnect.reason == ReasonCode::SessionTakenOver {
            self.conn.taken_over();
        }
        if let Some(server) = &disconnect.server_reference {
            let text = format!("the broker names another server: {server}; it is not followed by itself");
            fx.events.push(Event::Warning { code: "redirect", text });
        }
        self.close(Why::Broker(disconnect.reason), fx);
    }
}
