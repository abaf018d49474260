//! A broker in memory for one client: it keeps its session right, so that what is wrong is the client's doing.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::model::topic::{TopicFilter, TopicName};
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet, Protocol, PublishPacket, SubAck};

/// An outgoing message of the broker.
#[derive(Debug, Clone)]
struct Outgoing {
    payload: bytes::Bytes,
    qos: QoS,
    released: bool,
    sent: bool,
}

/// The broker and what it has seen.
#[derive(Debug)]
pub(super) struct ModelBroker {
    pub(super) protocol: Protocol,
    /// The receive maximum of the next CONNACK (5), or the unfinished QoS 2 messages at which the link would be cut (3.1.1).
    pub(super) window: usize,
    /// The window of this link.
    announced: usize,
    /// Whether the next CONNACK says that retained messages are welcome (5).
    pub(super) retain: bool,
    /// What this link's said.
    pub(super) retain_announced: bool,
    session: bool,
    pub(super) filters: HashSet<TopicFilter>,
    connected: bool,
    open_qos2: HashSet<u16>,
    /// Everything taken over from the client, in order.
    pub(super) accepted: Vec<(QoS, bytes::Bytes)>,
    queue: VecDeque<(QoS, bytes::Bytes)>,
    outgoing: HashMap<u16, Outgoing>,
    order: VecDeque<u16>,
    next_pid: u16,
    to_client: VecDeque<Packet>,
    /// What the client did that no client may do.
    pub(super) faults: Vec<String>,
    /// The most unfinished QoS 2 messages at a time, over all links.
    pub(super) largest_window: usize,
    unacked_in: HashSet<u16>,
}

impl ModelBroker {
    pub(super) fn new(protocol: Protocol, window: usize) -> Self {
        Self {
            protocol,
            window,
            announced: window,
            retain: true,
            retain_announced: true,
            session: false,
            filters: HashSet::new(),
            connected: false,
            open_qos2: HashSet::new(),
            accepted: Vec::new(),
            queue: VecDeque::new(),
            outgoing: HashMap::new(),
            order: VecDeque::new(),
            next_pid: 1,
            to_client: VecDeque::new(),
            faults: Vec::new(),
            largest_window: 0,
            unacked_in: HashSet::new(),
        }
    }

    /// Somebody publishes to the client's topic. False: nobody wants it (no subscription yet).
    pub(super) fn publish(&mut self, qos: QoS, payload: bytes::Bytes) -> bool {
        let wanted = self.filters.iter().any(|filter| filter.as_str() == "down");
        if wanted {
            self.queue.push_back((qos, payload));
            self.pump();
        }
        wanted
    }

    /// The broker forgets the session.
    pub(super) fn lose_session(&mut self) {
        self.session = false;
        self.filters.clear();
        self.open_qos2.clear();
        self.queue.clear();
        self.outgoing.clear();
        self.order.clear();
    }

    pub(super) fn cut(&mut self) {
        self.connected = false;
        self.to_client.clear();
        self.unacked_in.clear();
        for pid in &self.order {
            if let Some(message) = self.outgoing.get_mut(pid) {
                message.sent = false;
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Packet> {
        self.to_client.pop_front()
    }

    /// Nothing left to deliver.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.outgoing.is_empty()
    }

    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    pub(super) fn handle(&mut self, packet: Packet) {
        if !self.connected && !matches!(packet, Packet::Connect(_)) {
            return;
        }
        match packet {
            Packet::Connect(connect) => {
                if connect.clean_start {
                    self.lose_session();
                }
                let session_present = std::mem::replace(&mut self.session, true);
                self.connected = true;
                self.announced = self.window;
                self.retain_announced = self.retain;
                let properties = ConnAckProperties {
                    receive_maximum: (self.protocol == Protocol::V5).then_some(self.window as u16),
                    retain_available: (!self.retain).then_some(false),
                    ..ConnAckProperties::default()
                };
                let ack = ConnAck { session_present, reason: ReasonCode::Success, properties };
                self.to_client.push_back(Packet::ConnAck(Box::new(ack)));
                for pid in self.order.clone() {
                    let Some(message) = self.outgoing.get_mut(&pid) else { continue };
                    message.sent = true;
                    let packet = match message.released {
                        true => Packet::PubRel(Ack::ok(pid)),
                        false => publish(pid, message, true),
                    };
                    self.to_client.push_back(packet);
                }
                self.pump();
            }
            Packet::Subscribe(subscribe) => {
                self.filters.insert(subscribe.wish.filter);
                let reasons = vec![ReasonCode::from(subscribe.wish.qos.number())];
                self.to_client.push_back(Packet::SubAck(SubAck { pid: subscribe.pid, reasons }));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let known = self.filters.remove(&unsubscribe.filter);
                let reason = if known { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
                let reasons = if self.protocol == Protocol::V5 { vec![reason] } else { Vec::new() };
                self.to_client.push_back(Packet::UnsubAck(SubAck { pid: unsubscribe.pid, reasons }));
            }
            Packet::Publish(message) => self.received(message),
            Packet::PubRel(ack) => {
                let known = self.open_qos2.remove(&ack.pid);
                self.unacked_in.remove(&ack.pid);
                let reason = if known || self.protocol == Protocol::V4 {
                    ReasonCode::Success
                } else {
                    ReasonCode::PacketIdentifierNotFound
                };
                self.to_client.push_back(Packet::PubComp(Ack { pid: ack.pid, reason }));
            }
            Packet::PubAck(ack) => self.finish(ack.pid, QoS::AtLeastOnce),
            Packet::PubRec(ack) => match self.outgoing.get_mut(&ack.pid) {
                Some(message) => {
                    message.released = true;
                    self.to_client.push_back(Packet::PubRel(Ack::ok(ack.pid)));
                }
                None => self.fault(format!("PUBREC for unknown {}", ack.pid)),
            },
            Packet::PubComp(ack) => self.finish(ack.pid, QoS::ExactlyOnce),
            Packet::PingReq => self.to_client.push_back(Packet::PingResp),
            Packet::Disconnect(_) => {}
            other => self.fault(format!("unexpected {other:?}")),
        }
    }

    fn received(&mut self, message: PublishPacket) {
        if message.retain && !self.retain_announced {
            self.fault("a retained message".to_owned());
        }
        match message.qos {
            QoS::AtMostOnce => self.accepted.push((message.qos, message.payload)),
            QoS::AtLeastOnce => {
                self.accepted.push((message.qos, message.payload));
                self.to_client.push_back(Packet::PubAck(Ack::ok(message.pid)));
            }
            QoS::ExactlyOnce => {
                self.unacked_in.insert(message.pid);
                if self.protocol == Protocol::V5 && self.unacked_in.len() > self.announced {
                    self.fault(format!("{} unfinished, the window is {}", self.unacked_in.len(), self.announced));
                }
                if self.open_qos2.insert(message.pid) {
                    self.accepted.push((message.qos, message.payload));
                } else if !message.dup {
                    self.fault(format!("packet identifier {} reused while open", message.pid));
                }
                self.largest_window = self.largest_window.max(self.open_qos2.len());
                self.to_client.push_back(Packet::PubRec(Ack::ok(message.pid)));
            }
        }
    }

    fn finish(&mut self, pid: u16, qos: QoS) {
        match self.outgoing.get(&pid) {
            Some(message) if message.qos == qos => {
                self.outgoing.remove(&pid);
                self.order.retain(|other| *other != pid);
                self.pump();
            }
            _ => self.fault(format!("{qos:?} acknowledgement for unknown {pid}")),
        }
    }

    fn pump(&mut self) {
        while self.connected && self.outgoing.len() < 20 {
            let Some((qos, payload)) = self.queue.pop_front() else { return };
            let pid = self.next_pid;
            self.next_pid = self.next_pid % 60_000 + 1;
            let message = Outgoing { payload, qos, released: false, sent: true };
            self.to_client.push_back(publish(pid, &message, false));
            self.outgoing.insert(pid, message);
            self.order.push_back(pid);
        }
    }
}

fn publish(pid: u16, message: &Outgoing, dup: bool) -> Packet {
    Packet::Publish(PublishPacket {
        dup,
        qos: message.qos,
        retain: false,
        topic: TopicName::new("down").unwrap(),
        pid,
        payload: message.payload.clone(),
        props: None,
    })
}
