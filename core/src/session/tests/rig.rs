//! A session with rows in memory and a broker played by hand: each input is a turn, each turn is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::broker_url::BrokerUrl;
use crate::model::credentials::{Credentials, CredentialsSource};
use crate::model::event::{Event, Fate, Gap, State, Why};
use crate::model::message::{IfUnsupported, QoS, Subscription};
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::model::rows::join_id;
use crate::model::rows::{Hot, InFlightRow, OpenGap, OutboxRow, ReceivedQos2, SessionRow, SubscriptionRow};
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::{Effects, Input, Now, Question};
use crate::session::{Restored, Session};
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Connect, Packet, PublishPacket, SubAck};

pub(super) use super::words::words;

pub(super) struct Rig {
    pub(super) options: Options,
    pub(super) session: Session,
    pub(super) now: Now,
    pub(super) credit: i64,
    pub(super) hot: Hot,
    pub(super) row: SessionRow,
    pub(super) outbox: BTreeMap<u64, OutboxRow>,
    pub(super) released: Vec<u64>,
    /// Unlike what was asked for.
    pub(super) sent_as: BTreeMap<u64, (QoS, bool)>,
    pub(super) parked: BTreeMap<u64, (OutboxRow, ReasonCode)>,
    pub(super) skipped: Vec<u16>,
    pub(super) received: BTreeMap<u16, ReceivedQos2>,
    pub(super) inbox: Vec<(QoS, bytes::Bytes)>,
    pub(super) subscriptions: BTreeMap<TopicFilter, SubscriptionRow>,
    pub(super) gaps: Vec<OpenGap>,
    /// Gaps that were over when they were known.
    pub(super) noted: Vec<Gap>,
    pub(super) sends: Vec<Packet>,
    pub(super) events: Vec<Event>,
    pub(super) fates: BTreeMap<u64, Fate>,
    pub(super) open: bool,
    pub(super) asked: Vec<Question>,
    pub(super) close: bool,
    /// The most writes of one turn.
    pub(super) largest: usize,
}

impl Rig {
    pub(super) fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new("unused");
        options.broker = Some(BrokerUrl::parse("mqtt://model").unwrap());
        change(&mut options);
        let row = SessionRow {
            store_id: [7; 16],
            client_id: "me".to_owned(),
            client_id_random: false,
            broker: None,
            protocol: None,
            established: false,
            session_epoch: 0,
            pid_salt: 0,
            expiry_granted_s: None,
            session_present: None,
            last_connect_ms: None,
            unanswered: false,
            unproven: false,
            held: false,
            copied_through: [0, 0],
            suspect_id: None,
            strikes: 0,
        };
        let mut hot = Hot { next_seq: 1, next_release: 1, ..Hot::default() };
        hot.lanes.iter_mut().for_each(|lane| (lane.next_ord, lane.verdict_floor) = (1, 1));
        let now = Now { mono_ms: 1_000_000, wall_ms: 1_000_000, store_ms: 1_000_000 };
        let mut rig = Self {
            session: Self::restored(&options, &row, hot),
            options,
            now,
            credit: 1 << 30,
            hot,
            row,
            outbox: BTreeMap::new(),
            released: Vec::new(),
            sent_as: BTreeMap::new(),
            parked: BTreeMap::new(),
            skipped: Vec::new(),
            received: BTreeMap::new(),
            inbox: Vec::new(),
            subscriptions: BTreeMap::new(),
            gaps: Vec::new(),
            noted: Vec::new(),
            sends: Vec::new(),
            events: Vec::new(),
            fates: BTreeMap::new(),
            open: false,
            asked: Vec::new(),
            close: false,
            largest: 0,
        };
        rig.input(Input::Tick);
        rig
    }

    fn restored(options: &Options, row: &SessionRow, hot: Hot) -> Session {
        let restored = Restored {
            row: row.clone(),
            hot,
            subscriptions: Vec::new(),
            received_qos2: Vec::new(),
            in_flight: Vec::new(),
            open_gaps: Vec::new(),
            skipped_pids: Vec::new(),
        };
        Session::new(Arc::new(options.clone()), restored, 1)
    }

    /// The process dies and comes again, perhaps with other options.
    pub(super) fn restart(&mut self) {
        self.rebuild(|_| {});
    }

    /// The session is rebuilt from its rows; `go_on`: with what the process still knows.
    pub(super) fn rebuild(&mut self, go_on: impl FnOnce(&mut Session)) {
        let in_flight = self.outbox.iter().filter(|(id, _)| self.hot.is_in_flight(**id)).map(|(id, row)| {
            let (qos, downgraded) = self.sent_as.get(id).copied().unwrap_or((row.qos, false));
            let released = self.released.contains(id);
            InFlightRow { id: *id, qos, downgraded, maybe_dup: row.maybe_dup, size: row.size(), released }
        });
        let restored = Restored {
            row: self.row.clone(),
            hot: self.hot,
            subscriptions: self.subscriptions.values().cloned().collect(),
            received_qos2: self.received.values().cloned().collect(),
            in_flight: in_flight.collect(),
            open_gaps: self.gaps.clone(),
            skipped_pids: self.skipped.clone(),
        };
        self.session = Session::new(Arc::new(self.options.clone()), restored, 2);
        go_on(&mut self.session);
        self.sends.clear();
        (self.open, self.close) = (false, false);
        self.input(Input::Tick);
    }

    /// A session of a store that is still empty, before its first input.
    pub(super) fn fresh(&self) -> Session {
        Self::restored(&self.options, &self.row, self.hot)
    }

    /// One turn.
    pub(super) fn input(&mut self, input: Input) {
        self.turn(vec![input]);
    }

    /// One turn of several inputs.
    pub(super) fn turn(&mut self, inputs: Vec<Input>) {
        self.session.begin_turn(self.credit);
        let mut fx = Effects::default();
        let mut writes = 0;
        for input in inputs {
            if matches!(input, Input::Packet(_)) {
                self.session.heard(self.now);
            }
            self.session.handle(input, self.now, &mut fx);
            loop {
                writes += fx.writes.len();
                fx.writes.drain(..).for_each(|write| self.write(write));
                if fx.loads.is_empty() {
                    break;
                }
                let loaded = self.load(fx.loads.remove(0));
                self.session.handle(Input::Rows(loaded), self.now, &mut fx);
            }
        }
        self.largest = self.largest.max(writes);
        self.hot = *self.session.hot();
        self.sends.append(&mut fx.sends);
        self.events.append(&mut fx.events);
        for (id, fate) in fx.settled.into_iter().chain(fx.unparked) {
            let before = self.fates.insert(id, fate);
            assert!(matches!(before, None | Some(Fate::Parked(_))), "message {id} ended twice");
        }
        self.open |= fx.open;
        self.asked.extend(fx.ask);
        self.close |= fx.close;
    }

    /// Time passes: every timer on the way fires, at its time. Bounded: a timer that stays in the past is a busy loop.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.now.mono_ms + ms;
        for _ in 0..10_000 {
            let Some(at) = self.session.timeout(self.now).filter(|at| *at <= end) else {
                let rest = end - self.now.mono_ms;
                self.advance(rest);
                return;
            };
            self.advance((at.max(self.now.mono_ms)) - self.now.mono_ms);
            self.input(Input::Tick);
        }
        panic!("a timer stays in the past");
    }

    pub(super) fn advance(&mut self, ms: i64) {
        let Now { mono_ms, wall_ms, store_ms } = self.now;
        self.now = Now { mono_ms: mono_ms + ms, wall_ms: wall_ms + ms, store_ms: store_ms + ms };
    }

    pub(super) fn packet(&mut self, packet: Packet) {
        self.input(Input::Packet(packet));
    }

    pub(super) fn sent(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.sends)
    }

    /// The link that was asked for comes up; the CONNECT it sends.
    pub(super) fn link_up(&mut self) -> Connect {
        let credentials = match &self.options.credentials {
            Some(CredentialsSource::Static(credentials)) => Some(credentials.clone()),
            _ => None,
        };
        self.link_up_as(credentials)
    }

    /// The same, as somebody.
    pub(super) fn link_up_as(&mut self, credentials: Option<Credentials>) -> Connect {
        assert!(std::mem::take(&mut self.open), "no link was asked for");
        self.close = false;
        self.sends.clear();
        self.input(Input::LinkUp(credentials.map(Box::new)));
        match self.sent().remove(0) {
            Packet::Connect(connect) => *connect,
            other => panic!("{other:?} instead of a CONNECT"),
        }
    }

    pub(super) fn accept(&mut self, session_present: bool) {
        self.accept_with(session_present, |_| {});
    }

    pub(super) fn accept_with(&mut self, session_present: bool, change: impl FnOnce(&mut ConnAckProperties)) {
        let mut properties = ConnAckProperties::default();
        change(&mut properties);
        let ack = ConnAck { session_present, reason: ReasonCode::Success, properties };
        self.packet(Packet::ConnAck(Box::new(ack)));
    }

    pub(super) fn refuse(&mut self, reason: ReasonCode) {
        let ack = ConnAck { session_present: false, reason, properties: ConnAckProperties::default() };
        self.packet(Packet::ConnAck(Box::new(ack)));
    }

    pub(super) fn online(&mut self, session_present: bool) {
        self.link_up();
        self.accept(session_present);
    }

    /// The link goes, and after the longest wait the next one is asked for.
    pub(super) fn cut(&mut self) {
        self.input(Input::LinkDown(Why::Cut("cut".to_owned())));
        self.sends.clear();
        self.pass(130_000);
    }

    /// What the driver does after a close: the link is gone.
    pub(super) fn closed(&mut self) {
        assert!(std::mem::take(&mut self.close), "nothing was closed");
        self.input(Input::LinkDown(Why::Asked));
    }

    /// The broker closes in order.
    pub(super) fn eof(&mut self) {
        self.input(Input::LinkDown(Why::Closed));
        self.sends.clear();
        self.pass(130_000);
    }

    pub(super) fn publish(&mut self, qos: u8) -> u64 {
        self.publish_row(qos, |_| {})
    }

    pub(super) fn publish_row(&mut self, qos: u8, change: impl FnOnce(&mut OutboxRow)) -> u64 {
        self.publish_in(0, qos, change)
    }

    pub(super) fn urgent(&mut self, qos: u8) -> u64 {
        self.publish_in(1, qos, |_| {})
    }

    pub(super) fn publish_in(&mut self, lane: usize, qos: u8, change: impl FnOnce(&mut OutboxRow)) -> u64 {
        let id = join_id(lane, self.session.hot().lanes[lane].next_ord);
        let mut row = OutboxRow {
            id: join_id(lane, 0),
            topic: TopicName::new("up").unwrap(),
            payload: id.to_be_bytes().to_vec().into(),
            props: None,
            qos: QoS::from_number(qos).unwrap(),
            retain: false,
            expires_ms: None,
            maybe_dup: false,
            if_unsupported: IfUnsupported::Refuse,
            supersede: None,
            after_ord: None,
        };
        change(&mut row);
        self.input(Input::Publish(row));
        id
    }

    /// A message of the broker.
    pub(super) fn message(&mut self, qos: u8, pid: u16, payload: &[u8]) {
        self.packet(message(qos, pid, payload));
    }

    pub(super) fn subscribe(&mut self, filter: &str) {
        let wish = Subscription::new(TopicFilter::new(filter).unwrap(), QoS::ExactlyOnce);
        self.input(Input::Subscribe(wish));
    }

    /// Grants the SUBSCRIBEs that were sent.
    pub(super) fn grant(&mut self, reason: u8) -> usize {
        let subscribes: Vec<u16> = self.sent().iter().filter_map(subscribe_pid).collect();
        for pid in &subscribes {
            self.packet(Packet::SubAck(SubAck { pid: *pid, reasons: vec![ReasonCode::from(reason)] }));
        }
        subscribes.len()
    }

    pub(super) fn last_state(&self) -> Option<&State> {
        self.events.iter().rev().find_map(|event| match event {
            Event::State(state) => Some(state),
            _ => None,
        })
    }
}

pub(super) fn message(qos: u8, pid: u16, payload: &[u8]) -> Packet {
    Packet::Publish(PublishPacket {
        dup: false,
        qos: QoS::from_number(qos).unwrap(),
        retain: false,
        topic: TopicName::new("down").unwrap(),
        pid,
        payload: payload.to_vec().into(),
        props: None,
    })
}

fn subscribe_pid(packet: &Packet) -> Option<u16> {
    match packet {
        Packet::Subscribe(subscribe) => Some(subscribe.pid),
        _ => None,
    }
}

pub(super) fn ack(pid: u16, reason: ReasonCode) -> Ack {
    Ack { pid, reason }
}
