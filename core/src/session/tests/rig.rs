//! A session with rows in memory and a broker played by hand: each input is a turn, each turn is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::broker_url::BrokerUrl;
use crate::model::event::{Event, Fate, State, Why};
use crate::model::message::{IfUnsupported, QoS, Subscription};
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::model::rows::{Hot, InFlightRow, OpenGap, OutboxRow, ReceivedQos2, SessionRow, SubscriptionRow};
use crate::model::topic::{TopicFilter, TopicName};
use crate::model::writes::Write;
use crate::session::effect::{Effects, Input, Load, Loaded, Now};
use crate::session::{Restored, Session};
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Connect, Packet, PublishPacket, SubAck};

pub(super) struct Rig {
    pub(super) options: Options,
    pub(super) session: Session,
    pub(super) now: Now,
    pub(super) credit: i64,
    pub(super) hot: Hot,
    pub(super) row: SessionRow,
    pub(super) outbox: BTreeMap<u64, OutboxRow>,
    pub(super) released: Vec<u64>,
    pub(super) received: BTreeMap<u16, ReceivedQos2>,
    pub(super) inbox: Vec<(QoS, bytes::Bytes)>,
    pub(super) subscriptions: BTreeMap<TopicFilter, SubscriptionRow>,
    pub(super) gaps: Vec<OpenGap>,
    pub(super) sends: Vec<Packet>,
    pub(super) events: Vec<Event>,
    pub(super) fates: BTreeMap<u64, Fate>,
    pub(super) open: bool,
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
            received: BTreeMap::new(),
            inbox: Vec::new(),
            subscriptions: BTreeMap::new(),
            gaps: Vec::new(),
            sends: Vec::new(),
            events: Vec::new(),
            fates: BTreeMap::new(),
            open: false,
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
        };
        Session::new(Arc::new(options.clone()), restored, 1)
    }

    /// The process dies and comes again, perhaps with other options.
    pub(super) fn restart(&mut self) {
        let in_flight = self.outbox.range(..=self.hot.lanes[0].sent_through).map(|(id, row)| InFlightRow {
            id: *id,
            qos: row.qos,
            maybe_dup: row.maybe_dup,
            size: row.size(),
            released: self.released.contains(id),
        });
        let restored = Restored {
            row: self.row.clone(),
            hot: self.hot,
            subscriptions: self.subscriptions.values().cloned().collect(),
            received_qos2: self.received.values().cloned().collect(),
            in_flight: in_flight.collect(),
            open_gaps: self.gaps.clone(),
        };
        self.session = Session::new(Arc::new(self.options.clone()), restored, 2);
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
        for (id, fate) in fx.settled {
            assert!(self.fates.insert(id, fate).is_none(), "message {id} ended twice");
        }
        self.open |= fx.open;
        self.close |= fx.close;
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::OutboxInsert(row) => drop(self.outbox.insert(row.id, row)),
            Write::OutboxFinish { id, .. } => {
                self.outbox.remove(&id);
                self.released.retain(|other| *other != id);
            }
            Write::Release { id, .. } => self.released.push(id),
            Write::InboxInsert(row) => self.inbox.push((row.qos, row.payload)),
            Write::ReceivedQos2 { pid, content } => {
                self.received.insert(pid, ReceivedQos2 { pid, content, completed: false });
            }
            Write::CompletedQos2(pid) => self.received.get_mut(&pid).unwrap().completed = true,
            Write::ForgetQos2(pid) => drop(self.received.remove(&pid)),
            Write::SessionLost { sent_through } => {
                self.released.clear();
                self.received.clear();
                self.outbox.range_mut(..=sent_through).for_each(|(_, row)| row.maybe_dup = true);
            }
            Write::SessionDoubted { sent_through } => {
                let doubtful = self.outbox.range_mut(..=sent_through).filter(|(_, row)| row.qos == QoS::ExactlyOnce);
                doubtful.filter(|(id, _)| !self.released.contains(id)).for_each(|(_, row)| row.maybe_dup = true);
            }
            Write::Session(row) => self.row = *row,
            Write::Subscription(row) => drop(self.subscriptions.insert(row.wish.filter.clone(), row)),
            Write::SubscriptionGone(filter) => drop(self.subscriptions.remove(&filter)),
            Write::GapOpen { filter, cause, from_ms, after_seq } => {
                self.gaps.push(OpenGap { filter, cause, from_ms, after_seq });
            }
            Write::GapClose { filter, .. } => self.gaps.retain(|gap| gap.filter != filter),
            other => panic!("not a write of the session: {other:?}"),
        }
    }

    fn load(&self, load: Load) -> Loaded {
        match load {
            Load::Outbox { after, through, max_rows, .. } => {
                let mut rows: Vec<_> = self.outbox.range(after + 1..=through.max(after + 1)).collect();
                rows.retain(|(id, _)| **id <= through);
                let complete = rows.len() <= max_rows;
                Loaded::Outbox { rows: rows.into_iter().take(max_rows).map(|(_, row)| row.clone()).collect(), complete }
            }
            Load::Released => Loaded::Released(self.released.clone()),
            Load::Expired { after, now_ms, max_rows } => {
                let mut rows: Vec<_> = self.outbox.range(after + 1..).filter(|(_, row)| !row.maybe_dup).collect();
                rows.retain(|(_, row)| row.expires_ms.is_some());
                rows.sort_by_key(|(_, row)| row.expires_ms);
                let due: Vec<_> =
                    rows.iter().take_while(|(_, row)| row.expires_ms <= Some(now_ms)).take(max_rows).collect();
                let next_ms = rows.get(due.len()).and_then(|(_, row)| row.expires_ms);
                Loaded::Expired { rows: due.into_iter().map(|(id, row)| (**id, row.size())).collect(), next_ms }
            }
        }
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
        assert!(std::mem::take(&mut self.open), "no link was asked for");
        self.close = false;
        self.sends.clear();
        self.input(Input::LinkUp);
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

    pub(super) fn publish(&mut self, qos: u8) -> u64 {
        self.publish_row(qos, |_| {})
    }

    pub(super) fn publish_row(&mut self, qos: u8, change: impl FnOnce(&mut OutboxRow)) -> u64 {
        let id = self.session.hot().lanes[0].next_ord;
        let mut row = OutboxRow {
            id: 0,
            topic: TopicName::new("up").unwrap(),
            payload: id.to_be_bytes().to_vec().into(),
            props: None,
            qos: QoS::from_number(qos).unwrap(),
            retain: false,
            expires_ms: None,
            maybe_dup: false,
            if_unsupported: IfUnsupported::Refuse,
            supersede: None,
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

/// A short word for each packet, for comparing sequences.
pub(super) fn words(packets: &[Packet]) -> Vec<String> {
    let word = |packet: &Packet| match packet {
        Packet::Publish(publish) if publish.qos == QoS::AtMostOnce => "publish".to_owned(),
        Packet::Publish(publish) => {
            format!("publish{} {}{}", publish.qos.number(), publish.pid, if publish.dup { " dup" } else { "" })
        }
        Packet::PubAck(ack) => format!("puback {}", ack.pid),
        Packet::PubRec(ack) => format!("pubrec {}", ack.pid),
        Packet::PubRel(ack) => format!("pubrel {}{}", ack.pid, code(ack)),
        Packet::PubComp(ack) => format!("pubcomp {}{}", ack.pid, code(ack)),
        Packet::Disconnect(disconnect) => format!("disconnect {:02x}", disconnect.reason.code()),
        Packet::PingReq => "pingreq".to_owned(),
        Packet::Connect(_) => "connect".to_owned(),
        Packet::Subscribe(subscribe) => format!("subscribe {}", subscribe.wish.filter),
        Packet::Unsubscribe(unsubscribe) => format!("unsubscribe {}", unsubscribe.filter),
        other => format!("{other:?}"),
    };
    packets.iter().map(word).collect()
}

fn code(ack: &Ack) -> String {
    match ack.reason {
        ReasonCode::Success => String::new(),
        reason => format!(" {:02x}", reason.code()),
    }
}
