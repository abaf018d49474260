//! Stand-ins for cloud services: brokers that look at every packet as the real ones do, cut the link where those cut it, and
//! write down why. Whoever tests a client asks for the faults at the end.

pub mod aws;
pub mod azure;
pub mod event_grid;
pub mod openssl;
pub mod tencent;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use homing::internals::message::QoS;
use homing::internals::reason::ReasonCode;
use homing::wire::packet::{
    Auth, ConnAckProperties, Connect, Disconnect, Packet, Protocol, PublishPacket, SubAck, Subscribe,
};

use crate::front::Greeting;
use crate::script_broker::{NoPacket, PATIENCE, Peer, ScriptBroker, connack, puback, publish};

/// How often a link looks whether something else wants it.
const LOOK: Duration = Duration::from_millis(20);

/// A rule that was broken.
pub type Fault = String;

/// What a service asks of its clients. An error cuts the link.
#[allow(missing_docs, reason = "each looks at the packet that it is named after")]
pub trait Rules: Send + Sync + 'static {
    /// Who is it? Until when is that good, in Unix seconds?
    fn connect(&self, connect: &Connect, greeting: &Greeting) -> Result<Option<u64>, Fault>;
    fn publish(&self, publish: &PublishPacket) -> Result<(), Fault>;
    fn subscribe(&self, subscribe: &Subscribe) -> Result<(), Fault>;
    /// A new authentication on the standing link; until when it is good.
    fn auth(&self, _auth: &Auth) -> Result<Option<u64>, Fault> {
        Err("AUTH, which the service does not know".to_owned())
    }
    /// What its CONNACK says in MQTT 5.
    fn properties(&self) -> ConnAckProperties {
        ConnAckProperties::default()
    }
    /// The least time between two CONNECTs.
    fn connect_every(&self) -> Duration {
        Duration::ZERO
    }
    /// PUBLISHes that it takes in a second; others go unanswered.
    fn publishes_per_second(&self) -> usize {
        usize::MAX
    }
}

/// What happened, in the order in which it did.
#[derive(Debug, Default)]
pub struct Seen {
    /// Rules that were broken; each has cut a link.
    pub faults: Vec<Fault>,
    /// When CONNECTs came, whether good or bad.
    pub connects: Vec<Instant>,
    /// Messages that were taken: topic, payload, when.
    pub published: Vec<(String, Vec<u8>, Instant)>,
    /// Filters that were granted.
    pub subscribed: Vec<String>,
    /// Re-authentications that were good.
    pub renewed: usize,
    /// Links that the service itself ended because their token was over.
    pub expired: usize,
    /// Protocol of the last CONNECT.
    pub protocol: Option<Protocol>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// Messages for the client, kept while it is away.
    kept: Mutex<VecDeque<(String, String)>>,
    /// Counts the links: a new one of the same client ends the one before.
    link: AtomicU64,
    session: AtomicBool,
    ended: AtomicBool,
}

/// A running service; it ends when dropped.
pub struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
}

type Greetings = Arc<Mutex<Option<Arc<dyn Fn(SocketAddr) -> Greeting + Send + Sync>>>>;

/// How the service learns what its front saw; a front is made after it.
#[derive(Clone, Default)]
pub struct Gate(Greetings);

impl Gate {
    /// From now on.
    pub fn is(&self, greetings: Arc<dyn Fn(SocketAddr) -> Greeting + Send + Sync>) {
        *self.0.lock().expect("the gate") = Some(greetings);
    }

    fn greeting(&self, from: SocketAddr) -> Greeting {
        self.0.lock().expect("the gate").as_ref().map(|of| of(from)).unwrap_or_default()
    }
}

impl Service {
    /// On a free loopback port, without TLS: that is a front's.
    pub fn start(rules: impl Rules, gate: &Gate) -> Self {
        let broker = ScriptBroker::listen();
        let (address, shared) = (broker.address(), Arc::new(Shared::default()));
        let (theirs, rules, gate) = (Arc::clone(&shared), Arc::new(rules), gate.clone());
        thread::spawn(move || {
            while !theirs.ended.load(Ordering::SeqCst) {
                let Some(peer) = broker.try_accept(LOOK) else { continue };
                let (shared, rules, gate) = (Arc::clone(&theirs), Arc::clone(&rules), gate.clone());
                thread::spawn(move || {
                    let number = shared.link.fetch_add(1, Ordering::SeqCst) + 1;
                    let link = Link { shared: &shared, rules: &*rules, number };
                    let fault = catch_unwind(AssertUnwindSafe(|| link.serve(peer, &gate)));
                    let fault = fault.unwrap_or_else(|_| Err("bytes that are no packet".to_owned()));
                    if let Err(fault) = fault {
                        shared.seen.lock().expect("what was seen").faults.push(fault);
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A message for the client, kept until it takes it.
    pub fn deliver(&self, topic: &str, payload: &str) {
        self.shared.kept.lock().expect("what is kept").push_back((topic.to_owned(), payload.to_owned()));
    }

    /// Cuts the link that stands.
    pub fn cut(&self) {
        self.shared.link.fetch_add(1, Ordering::SeqCst);
    }

    /// What was seen so far.
    pub fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.seen.lock().expect("what was seen"))
    }

    /// Waits until something was seen.
    pub fn until(&self, what: &str, patience: Duration, mut seen: impl FnMut(&Seen) -> bool) {
        let end = Instant::now() + patience;
        while !self.seen(&mut seen) {
            assert!(Instant::now() < end, "no {what} within {patience:?}: {:?}", self.seen(|seen| format!("{seen:?}")));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// No rule was broken.
    pub fn is_content(&self) {
        self.seen(|seen| assert!(seen.faults.is_empty(), "{seen:?}"));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
    }
}

struct Link<'a> {
    shared: &'a Shared,
    rules: &'a dyn Rules,
    number: u64,
}

impl Link<'_> {
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.shared.seen.lock().expect("what was seen"));
    }

    fn serve(&self, mut peer: Peer, gate: &Gate) -> Result<(), Fault> {
        let connect = match peer.try_packet(PATIENCE) {
            Ok(Packet::Connect(connect)) => *connect,
            // A front that was refused, or a link given up before its CONNECT.
            Err(_) => return Ok(()),
            Ok(other) => return Err(format!("not a CONNECT: {other:?}")),
        };
        peer.speaks(connect.protocol);
        let now = Instant::now();
        let mut soon = None;
        self.note(|seen| {
            soon = seen.connects.last().map(|last| now - *last).filter(|since| *since < self.rules.connect_every());
            seen.connects.push(now);
            seen.protocol = Some(connect.protocol);
        });
        if let Some(since) = soon {
            return Err(format!("CONNECT {since:?} after the last one"));
        }
        let mut good_until = match self.rules.connect(&connect, &gate.greeting(peer.from())) {
            Ok(until) => until,
            Err(fault) => {
                peer.send(&connack(false, ReasonCode::NotAuthorized, ConnAckProperties::default()));
                return Err(format!("CONNECT: {fault}"));
            }
        };
        let keeps = match connect.protocol {
            Protocol::V5 => connect.session_expiry > 0,
            Protocol::V4 => !connect.clean_start,
        };
        let present = self.shared.session.swap(keeps, Ordering::SeqCst) && !connect.clean_start;
        let properties = match connect.protocol {
            Protocol::V5 => self.rules.properties(),
            Protocol::V4 => ConnAckProperties::default(),
        };
        peer.send(&connack(present, ReasonCode::Success, properties));
        let mut pid = 0;
        let mut times: VecDeque<Instant> = VecDeque::new();
        loop {
            if self.shared.link.load(Ordering::SeqCst) != self.number {
                return Ok(());
            }
            if good_until.is_some_and(|until| now_s() >= until) {
                self.note(|seen| seen.expired += 1);
                if connect.protocol == Protocol::V5 {
                    peer.send(&Packet::Disconnect(Disconnect::new(ReasonCode::NotAuthorized)));
                }
                return Ok(());
            }
            if self.shared.seen.lock().is_ok_and(|seen| !seen.subscribed.is_empty()) {
                while let Some((topic, payload)) = self.shared.kept.lock().expect("what is kept").pop_front() {
                    pid += 1;
                    peer.send(&publish(&topic, &payload, QoS::AtLeastOnce, pid, false));
                }
            }
            match peer.try_packet(LOOK) {
                Err(NoPacket::TimedOut) => {}
                Err(NoPacket::Closed) => return Ok(()),
                Ok(Packet::Publish(message)) => {
                    self.rules.publish(&message).map_err(|fault| format!("PUBLISH: {fault}"))?;
                    let now = Instant::now();
                    times.push_back(now);
                    while times.front().is_some_and(|first| now - *first >= Duration::from_secs(1)) {
                        times.pop_front();
                    }
                    if times.len() > self.rules.publishes_per_second() {
                        return Err(format!("{} messages within a second", times.len()));
                    }
                    let topic = message.topic.as_str().to_owned();
                    self.note(|seen| seen.published.push((topic, message.payload.to_vec(), now)));
                    if message.qos == QoS::AtLeastOnce {
                        peer.send(&puback(message.pid));
                    }
                }
                Ok(Packet::Subscribe(subscribe)) => {
                    self.rules.subscribe(&subscribe).map_err(|fault| format!("SUBSCRIBE: {fault}"))?;
                    let granted = ReasonCode::from(subscribe.wish.qos.number());
                    peer.send(&Packet::SubAck(SubAck { pid: subscribe.pid, reasons: vec![granted] }));
                    self.note(|seen| seen.subscribed.push(subscribe.wish.filter.as_str().to_owned()));
                }
                Ok(Packet::Auth(auth)) => {
                    good_until = self.rules.auth(&auth).map_err(|fault| format!("AUTH: {fault}"))?;
                    self.note(|seen| seen.renewed += 1);
                    peer.send(&Packet::Auth(Auth { reason: ReasonCode::Success, method: auth.method, data: None }));
                }
                Ok(Packet::PingReq) => peer.send(&Packet::PingResp),
                Ok(Packet::PubAck(_)) => {}
                Ok(Packet::Disconnect(_)) => return Ok(()),
                Ok(other) => return Err(format!("a packet that the service does not know: {other:?}")),
            }
        }
    }
}

/// Unix seconds.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// An error unless it holds.
pub fn ensure(holds: bool, fault: impl FnOnce() -> Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault()) }
}
