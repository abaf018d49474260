//! Everything at once, in random orders: an app that changes its mind, a provider that fails, a network that comes and goes, a
//! broker with two addresses that refuses, redirects, takes over, asks and falls silent. The driver's part is played as the
//! driver plays it. A failing seed is printed; `HOMING_SEED=n` runs that one alone, `HOMING_SEEDS=n` more of them.
//! More than 400 lines: both sides of one machine, which are read together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use super::addresses::list;
use super::authenticating::{enhanced, provided};
use super::rig::Rig;
use crate::model::credentials::{AuthData, Credentials, CredentialsError};
use crate::model::event::{Fate, Why};
use crate::model::reason::ReasonCode;
use crate::session::Session;
use crate::session::connection::Phase;
use crate::session::effect::{Answer, Input, Question};
use crate::wire::packet::{Ack, Auth, ConnAck, ConnAckProperties, Disconnect, Packet, SubAck};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    None,
    Opening,
    Open,
    Closing,
}

/// One broker behind both addresses.
#[derive(Default)]
struct Broker {
    session: bool,
    method: bool,
    /// QoS 2 identifiers that were received and not released.
    received: BTreeSet<u16>,
    /// How often each message came through.
    got: BTreeMap<u64, u32>,
    replies: VecDeque<Packet>,
}

struct World {
    rig: Rig,
    rng: fastrand::Rng,
    broker: Broker,
    slot: Slot,
    asking: Option<Question>,
    published: Vec<(u64, u8)>,
    pace: i64,
    last_connect: Option<i64>,
    last_asked: Option<i64>,
    /// Everything works from now on.
    calm: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pace: i64 = if rng.bool() { 5_000 } else { 0 };
        let keep_alive = if rng.bool() { 60 } else { 0 };
        let rig = Rig::new(|options| {
            list(options, &["mqtt://a", "mqtt://b"]);
            provided(options);
            options.version = crate::model::options::Version::V5;
            options.connect_pace = Duration::from_millis(pace.unsigned_abs());
            options.keep_alive = Duration::from_secs(keep_alive);
        });
        let (slot, broker) = (Slot::None, Broker::default());
        let mut world = Self {
            rig,
            rng,
            broker,
            slot,
            asking: None,
            published: Vec::new(),
            pace,
            last_connect: None,
            last_asked: None,
            calm: false,
        };
        world.apply();
        world
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn turn(&mut self, inputs: Vec<Input>) {
        self.rig.turn(inputs);
        self.apply();
    }

    /// What the driver does behind a turn.
    fn apply(&mut self) {
        let sends = self.rig.sent();
        if self.slot == Slot::Open {
            sends.into_iter().for_each(|packet| self.hears(packet));
        }
        if std::mem::take(&mut self.rig.close) {
            self.slot = match self.slot {
                Slot::None if self.rig.open || self.rig.session.is_down() => Slot::None,
                _ => Slot::Closing,
            };
        }
        match self.rig.asked.drain(..).next_back() {
            Some(question) => {
                if matches!(question, Question::Fresh(_)) {
                    let since = self.last_asked.map_or(i64::MAX, |at| self.rig.now.mono_ms - at);
                    assert!(since >= 5_000, "asked again after {since} ms");
                    self.last_asked = Some(self.rig.now.mono_ms);
                }
                self.asking = Some(question);
            }
            None if !self.rig.session.is_asking() => self.asking = None,
            None => {}
        }
        if std::mem::take(&mut self.rig.open) {
            assert_eq!(self.slot, Slot::None, "a second link");
            if self.rig.session.needs_credentials().is_some() {
                self.last_asked = Some(self.rig.now.mono_ms);
            }
            self.slot = Slot::Opening;
        }
        let phase = self.rig.session.conn.phase;
        let fits = match self.slot {
            Slot::None => phase == Phase::Down,
            Slot::Opening => phase == Phase::Opening,
            Slot::Open => matches!(phase, Phase::Handshake { .. } | Phase::Up(_)),
            Slot::Closing => phase == Phase::Closing,
        };
        assert!(fits, "the driver has {:?}, the session {phase:?}", self.slot);
        assert_eq!(self.asking.is_some(), self.rig.session.is_asking(), "{:?}", self.asking);
    }

    /// The broker gets a packet; its answers wait.
    fn hears(&mut self, packet: Packet) {
        let accepted = |pid| Ack { pid, reason: ReasonCode::Success };
        match packet {
            Packet::Connect(connect) => {
                let now = self.rig.now.mono_ms;
                let since = self.last_connect.replace(now).map_or(i64::MAX, |at| now - at);
                assert!(since >= self.pace, "a CONNECT {since} ms after the last one");
                self.broker.method = connect.credentials.as_ref().and_then(Credentials::method).is_some();
                self.broker.replies.clear();
                self.answer_connect(connect.clean_start);
            }
            Packet::Publish(publish) => {
                let id = u64::from_be_bytes(publish.payload[..].try_into().unwrap());
                let pid = publish.pid;
                let again = publish.qos.number() == 2 && !self.broker.received.insert(pid);
                *self.broker.got.entry(id).or_default() += u32::from(!again);
                self.broker.replies.push_back(match publish.qos.number() {
                    2 => Packet::PubRec(accepted(pid)),
                    _ => Packet::PubAck(accepted(pid)),
                });
            }
            Packet::PubRel(ack) => {
                self.broker.received.remove(&ack.pid);
                self.broker.replies.push_back(Packet::PubComp(accepted(ack.pid)));
            }
            Packet::Subscribe(subscribe) => {
                let reasons = vec![ReasonCode::from(1)];
                self.broker.replies.push_back(Packet::SubAck(SubAck { pid: subscribe.pid, reasons }));
            }
            // Without a keep alive nobody would notice.
            Packet::PingReq if self.calm || self.rig.options.keep_alive.is_zero() || self.chance(80) => {
                self.broker.replies.push_back(Packet::PingResp)
            }
            Packet::Auth(_) => {
                let more = !self.calm && self.chance(50);
                let up = self.rig.session.is_up();
                if !more && !up {
                    return self.accept(false);
                }
                let reason = if more { ReasonCode::ContinueAuthentication } else { ReasonCode::Success };
                self.broker.replies.push_back(auth(reason));
            }
            _ => {}
        }
    }

    fn answer_connect(&mut self, clean: bool) {
        let choice = if self.calm { 99 } else { self.rng.u32(..100) };
        let refusals = [ReasonCode::NotAuthorized, ReasonCode::BadUserNameOrPassword, ReasonCode::ServerBusy];
        match choice {
            0..20 => {
                let reason = refusals[self.rng.usize(..refusals.len())];
                self.broker.replies.push_back(connack(false, reason, None, false));
            }
            20..30 => {
                let reason = if self.rng.bool() { ReasonCode::UseAnotherServer } else { ReasonCode::ServerMoved };
                let server = ["a", "b", "evil"][self.rng.usize(..3)];
                self.broker.replies.push_back(connack(false, reason, Some(server), false));
            }
            // It has the session, and is not heard.
            30..40 => {
                self.begin(clean);
            }
            40..50 if self.broker.method => self.broker.replies.push_back(auth(ReasonCode::ContinueAuthentication)),
            _ => self.accept(clean),
        }
    }

    /// Whether there is a session already. One that is begun clean ends with its link: the client asks for no expiry then.
    fn begin(&mut self, clean: bool) -> bool {
        if clean {
            self.broker.received.clear();
        }
        std::mem::replace(&mut self.broker.session, !clean) && !clean
    }

    fn accept(&mut self, clean: bool) {
        let present = self.begin(clean);
        self.broker.replies.push_back(connack(present, ReasonCode::Success, None, self.broker.method));
    }

    fn credentials(&mut self) -> Credentials {
        let credentials = if self.rng.bool() { enhanced("data") } else { Credentials::new("me", None) };
        let now = Duration::from_millis(self.rig.now.wall_ms.unsigned_abs());
        let life = Duration::from_millis(self.rng.u64(1..200_000));
        if self.rng.bool() { credentials.until(UNIX_EPOCH + now + life) } else { credentials }
    }

    fn given(&mut self) -> Result<Box<Credentials>, CredentialsError> {
        match self.rng.u32(..10) {
            0 if !self.calm => Err(CredentialsError::Unavailable("no network")),
            1 if !self.calm => Err(CredentialsError::SignedOut("no user")),
            2 if !self.calm => Err(CredentialsError::Panicked),
            _ => Ok(Box::new(self.credentials())),
        }
    }

    /// What the app says.
    fn wish(&mut self) -> Input {
        match self.rng.u32(..10) {
            0..3 => Input::Connect,
            3 => Input::Disconnect { with_will: false },
            4..7 => Input::CredentialsChanged,
            7 => Input::Woke,
            _ => Input::Tick,
        }
    }

    /// A turn of several inputs, in the order in which the driver gathers them.
    fn act(&mut self) {
        let mut inputs = Vec::new();
        while !self.calm && self.chance(30) {
            inputs.push(self.wish());
        }
        let slow = if self.calm { 0 } else { 30 };
        if self.slot == Slot::Opening && !self.chance(slow) {
            let failed = !self.calm && self.chance(40);
            let given = match self.rig.session.needs_credentials() {
                Some(_) => self.given().map(Some),
                None => Ok(None),
            };
            self.slot = if failed || given.is_err() { Slot::None } else { Slot::Open };
            inputs.push(match given {
                Err(error) => Input::LinkDown(Why::Credentials(error)),
                Ok(_) if failed && self.chance(10) => Input::LinkDown(Why::Refused("401".to_owned())),
                Ok(_) if failed => Input::LinkDown(Why::Unreachable("no route".to_owned())),
                Ok(given) => Input::LinkUp(given),
            });
        } else if self.slot == Slot::Closing && !self.chance(slow) {
            self.slot = Slot::None;
            inputs.push(Input::LinkDown(Why::Asked));
        }
        if self.asking.is_some() && !self.chance(slow) {
            let answer = match self.asking.take() {
                Some(Question::Step(_)) if self.calm || self.chance(90) => Answer::Step(Ok(Some(AuthData::new("x")))),
                Some(Question::Step(_)) => Answer::Step(Err(CredentialsError::TimedOut)),
                Some(Question::Proof(_)) if self.calm || self.chance(90) => Answer::Proof(Ok(())),
                Some(Question::Proof(_)) => Answer::Proof(Err(CredentialsError::BrokerNotTrusted("no"))),
                _ => Answer::Fresh(self.given()),
            };
            inputs.push(Input::Answered(answer));
        }
        if self.chance(20) {
            inputs.push(Input::Tick);
        }
        if !self.calm && self.chance(10) {
            inputs.push(Input::Network { online: self.chance(70), changed: self.rng.bool() });
        }
        if self.slot == Slot::Open && !self.rig.session.holds_connack() {
            self.broker_says(&mut inputs);
        }
        if !self.calm && self.chance(5) {
            // The end of a sync.
            inputs.push(Input::Disconnect { with_will: false });
        }
        if !inputs.is_empty() {
            self.turn(inputs);
        }
    }

    fn broker_says(&mut self, inputs: &mut Vec<Input>) {
        while (self.calm || self.chance(80))
            && let Some(packet) = self.broker.replies.pop_front()
        {
            inputs.push(Input::Packet(packet));
        }
        if self.calm {
            return;
        }
        let ends = [
            ReasonCode::NotAuthorized,
            ReasonCode::SessionTakenOver,
            ReasonCode::ServerBusy,
            ReasonCode::UseAnotherServer,
            ReasonCode::ServerMoved,
        ];
        if self.chance(5) {
            let mut disconnect = Disconnect::new(ends[self.rng.usize(..ends.len())]);
            disconnect.server_reference = self.rng.bool().then(|| "a b".to_owned());
            inputs.push(Input::Packet(Packet::Disconnect(disconnect)));
        }
        if self.chance(3) {
            inputs.push(Input::Packet(auth(ReasonCode::ContinueAuthentication)));
        }
        if self.chance(8) {
            self.slot = Slot::None;
            inputs.push(Input::LinkDown(Why::Cut("cut".to_owned())));
        }
    }

    /// Time passes; each timer fires at its time.
    fn pass(&mut self, ms: i64) {
        let end = self.rig.now.mono_ms + ms;
        for _ in 0..1_000 {
            let now = self.rig.now.mono_ms;
            let Some(at) = self.rig.session.timeout(self.rig.now).filter(|at| *at <= end) else {
                return self.rig.advance(end - now);
            };
            self.rig.advance(at.max(now) - now);
            self.turn(vec![Input::Tick]);
        }
        panic!("a timer stays in the past");
    }

    fn kill(&mut self) {
        self.last_connect = None;
        self.rebuild(|_| {});
    }

    /// A commit fails.
    fn fail(&mut self) {
        let (metrics, outlived) = (*self.rig.session.metrics(), self.rig.session.outlived());
        self.rebuild(|session| session.go_on(metrics, outlived));
    }

    fn rebuild(&mut self, go_on: impl FnOnce(&mut Session)) {
        (self.slot, self.asking, self.last_asked) = (Slot::None, None, None);
        self.broker.replies.clear();
        self.rig.asked.clear();
        self.rig.rebuild(go_on);
        self.apply();
    }

    fn storm(&mut self) {
        for _ in 0..400 {
            self.act();
            if self.chance(10) {
                let qos = self.rng.u8(1..=2);
                let id = self.rig.publish(qos);
                self.apply();
                self.published.push((id, qos));
            }
            if self.chance(1) {
                self.kill();
            }
            if self.chance(1) {
                self.fail();
            }
            let ms = [0, 1, 50, 1_000, 6_000, 30_000, 310_000][self.rng.usize(..7)];
            self.pass(ms);
        }
    }

    /// Nothing goes wrong any more: whatever was, the client comes up and everything is delivered.
    fn calm(&mut self) {
        self.calm = true;
        self.turn(vec![Input::Network { online: true, changed: false }, Input::Connect]);
        for _ in 0..2_000 {
            self.act();
            self.pass(500);
            let done = |(id, _): &(u64, u8)| matches!(self.rig.fates.get(id), Some(Fate::Delivered { .. }));
            let parked = |(id, _): &(u64, u8)| matches!(self.rig.fates.get(id), Some(Fate::Parked(_)));
            if self.rig.session.is_up() && self.published.iter().all(|one| done(one) || parked(one)) {
                return;
            }
        }
        panic!(
            "not up, or not delivered: {:?} {:?} {:?}",
            self.rig.session.conn.phase,
            self.rig.last_state(),
            self.rig.fates
        );
    }

    fn judge(&self) {
        for (id, qos) in &self.published {
            let got = self.broker.got.get(id).copied().unwrap_or(0);
            match self.rig.fates.get(id) {
                Some(Fate::Delivered { maybe_twice, maybe_lost, .. }) => {
                    assert!(got >= 1 || *maybe_lost, "{id} says delivered");
                    assert!(*qos == 1 || got <= 1 || *maybe_twice, "{id} came {got} times");
                }
                other => assert!(matches!(other, Some(Fate::Parked(_))), "{id}: {other:?}"),
            }
        }
    }
}

fn auth(reason: ReasonCode) -> Packet {
    Packet::Auth(Auth { reason, method: Some("M".to_owned()), data: None })
}

fn connack(session_present: bool, reason: ReasonCode, server: Option<&str>, method: bool) -> Packet {
    let properties = ConnAckProperties {
        server_reference: server.map(str::to_owned),
        authentication_method: method.then(|| "M".to_owned()),
        ..ConnAckProperties::default()
    };
    Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties }))
}

#[test]
fn whatever_order_things_happen_in_the_client_comes_up_and_loses_and_doubles_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (only, seeds) = (number("HOMING_SEED"), number("HOMING_SEEDS").unwrap_or(200));
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.storm();
            world.calm();
            world.judge();
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}
