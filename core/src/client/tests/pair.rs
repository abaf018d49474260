//! Session, store and a model broker in virtual time: links cut and processes killed at every boundary of a turn.
//!
//! A failing seed is printed; `HOMING_SEED=n` runs that one alone, `HOMING_SEEDS=n` more of them.

mod checks;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::model_broker::ModelBroker;
use crate::client::command::{Cancel, Command, Reply};
use crate::client::turn::{Engine, Outputs, TurnInput};
use crate::model::broker_url::BrokerUrl;
use crate::model::event::{Fate, Why};
use crate::model::message::{IfUnsupported, Lane, Publish, QoS, Subscription};
use crate::model::options::{Options, Version};
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::{Input, Now};
use crate::wire::packet::{Packet, Protocol};

struct World {
    rng: fastrand::Rng,
    options: Arc<Options>,
    engine: Option<Engine>,
    broker: ModelBroker,
    to_broker: VecDeque<Packet>,
    link: bool,
    now_ms: i64,
    /// Payloads whose id was given.
    accepted: Vec<(u64, QoS, u32)>,
    /// Ids of which a cancel said that they are.
    cancelled: Vec<u64>,
    fates: HashMap<u64, Fate>,
    down: Vec<(QoS, u32)>,
    next_up: u32,
    next_down: u32,
    kills: u32,
    losses: u32,
    /// The broker changes its mind about retained messages, and some are set aside.
    parks: bool,
    /// Numbers of messages that may have been: they lose their place.
    retained: HashSet<u32>,
    /// Numbers of messages with a supersede key.
    keyed: HashSet<u32>,
    draining: bool,
    pending: VecDeque<TurnInput>,
}

impl World {
    fn new(seed: u64, version: Version, folder: &std::path::Path) -> Self {
        let mut options = Options::new(folder.join("store.db"));
        options.version = version;
        options.broker = Some(BrokerUrl::parse("mqtt://model").unwrap());
        options.durability = crate::model::options::Durability::ProcessKill;
        let mut rng = fastrand::Rng::with_seed(seed);
        // Every third world is a narrow one.
        options.inflight = if seed.is_multiple_of(3) { rng.u16(1..=3) } else { 50 };
        options.inflight_qos2 = if seed.is_multiple_of(2) { rng.u16(1..=3) } else { 20 };
        let protocol = if version == Version::V311 { Protocol::V4 } else { Protocol::V5 };
        let mut world = Self {
            rng,
            options: Arc::new(options),
            engine: None,
            broker: ModelBroker::new(protocol, 30),
            to_broker: VecDeque::new(),
            link: false,
            now_ms: 1_000,
            accepted: Vec::new(),
            cancelled: Vec::new(),
            fates: HashMap::new(),
            down: Vec::new(),
            next_up: 0,
            next_down: 0,
            kills: 0,
            losses: 0,
            parks: version == Version::V5 && seed % 4 < 2,
            retained: HashSet::new(),
            keyed: HashSet::new(),
            draining: false,
            pending: VecDeque::new(),
        };
        world.open();
        while !world.subscribe("down", true) {}
        world
    }

    fn open(&mut self) {
        let engine = Engine::open(Arc::clone(&self.options), self.now_ms, self.rng.u64(..)).unwrap();
        self.engine = Some(engine);
        self.pending.clear();
        self.turn(vec![TurnInput::Session(Input::Tick)]);
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: self.now_ms, store_ms: self.now_ms }
    }

    /// The process dies: what was not committed is gone, and so is the link.
    fn kill(&mut self) {
        self.kills += 1;
        self.engine = None;
        self.to_broker.clear();
        self.link = false;
        self.broker.cut();
        self.open();
    }

    fn turn(&mut self, inputs: Vec<TurnInput>) {
        let mut inputs = inputs;
        let mut out = Outputs::default();
        let now = self.now();
        let credit = self.rng.i64(0..4000);
        let torn = self.rng.u32(..100) < 2;
        let Some(engine) = &mut self.engine else { return };
        if torn {
            // Decided and half written, never committed: it has not happened.
            for input in inputs {
                match input {
                    TurnInput::Command(command) => engine.command(command, now, &mut out).unwrap(),
                    TurnInput::Session(input) => engine.step(input, now).unwrap(),
                }
            }
            return self.kill();
        }
        engine.turn(&mut inputs, now, credit, &mut out).unwrap();
        // From here on the transaction stands; a kill may come at each step of what follows.
        if self.rng.u32(..100) < 2 {
            return self.kill();
        }
        for packet in out.sends.drain(..) {
            if self.link {
                self.to_broker.push_back(packet);
            }
        }
        for reply in out.replies.drain(..) {
            reply.committed();
        }
        for (id, fate) in out.settled.drain(..) {
            let before = self.fates.insert(id, fate);
            assert!(matches!(before, None | Some(Fate::Parked(_))), "message {id} ended twice");
        }
        if out.close {
            // What was sent before the close still arrives.
            while let Some(packet) = self.to_broker.pop_front() {
                self.broker.handle(packet);
            }
            self.cut();
        }
        if out.open {
            // A receive maximum may change from link to link.
            self.broker.window = self.rng.usize(1..=30);
            self.broker.retain = !self.parks || self.draining || self.rng.bool();
            self.link = true;
            self.pending.push_back(TurnInput::Session(Input::LinkUp(None)));
        }
    }

    fn cut(&mut self) {
        self.link = false;
        self.to_broker.clear();
        self.broker.cut();
        self.pending.push_back(TurnInput::Session(Input::LinkDown(Why::Cut("cut".to_owned()))));
    }

    fn publish(&mut self) {
        let number = self.next_up;
        self.next_up += 1;
        let qos = QoS::from_number(self.rng.u8(0..=2)).unwrap();
        let mut payload = number.to_be_bytes().to_vec();
        // Now and then one that is larger than any credit.
        payload.resize(if self.rng.u32(..20) == 0 { 9000 } else { 4 }, 0);
        let mut message = Publish::new(TopicName::new("up").unwrap(), payload).qos(qos);
        if self.rng.u32(..10) == 0 {
            message = message.ttl(Duration::from_millis(self.rng.u64(1..30_000)));
        }
        if self.rng.u32(..6) == 0 {
            message = message.lane(Lane::Urgent);
        }
        if self.rng.u32(..8) == 0 {
            self.keyed.insert(number);
            message = message.supersede(if self.rng.bool() { "one" } else { "two" });
        }
        if self.parks && self.rng.u32(..4) == 0 {
            self.retained.insert(number);
            let policies = [IfUnsupported::Park, IfUnsupported::Park, IfUnsupported::Downgrade, IfUnsupported::Refuse];
            message = message.retain(true);
            message.if_unsupported = policies[self.rng.usize(..4)];
        }
        let message = crate::client::check::publish(message, &self.options).unwrap();
        let (answer, mut reply) = oneshot::channel();
        let _room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        self.turn(vec![TurnInput::Command(Command::Publish { message, _room, answer })]);
        if let Ok(result) = reply.try_recv() {
            self.accepted.push((result.unwrap(), qos, number));
        }
    }

    /// Takes back one of the last messages.
    fn cancel(&mut self) {
        let recent = self.accepted.len().saturating_sub(30)..self.accepted.len();
        let Some(n) = self.rng.choice(recent).map(|index| self.accepted[index].0) else { return };
        let (answer, mut reply) = oneshot::channel();
        self.turn(vec![TurnInput::Command(Command::Cancel { n, answer })]);
        if let Ok(Ok(Cancel::Cancelled)) = reply.try_recv() {
            self.cancelled.push(n);
        }
    }

    fn deliver(&mut self, most: usize) {
        for _ in 0..self.rng.usize(1..=most) {
            if let Some(packet) = self.to_broker.pop_front() {
                self.broker.handle(packet);
            }
        }
        let mut inputs: Vec<_> = self.pending.drain(..).collect();
        for _ in 0..self.rng.usize(1..=most) {
            if self.link
                && let Some(packet) = self.broker.take()
            {
                inputs.push(TurnInput::Session(Input::Packet(packet)));
            }
        }
        inputs.push(TurnInput::Session(Input::Tick));
        self.turn(inputs);
    }

    fn step(&mut self, losses: bool) {
        match self.rng.u32(..100) {
            0..33 => self.publish(),
            33..35 => self.cancel(),
            35..55 => {
                let qos = QoS::from_number(self.rng.u8(1..=2)).unwrap();
                let number = self.next_down;
                self.next_down += 1;
                if self.broker.publish(qos, number.to_be_bytes().to_vec().into()) {
                    self.down.push((qos, number));
                }
            }
            55..92 => self.deliver(8),
            92..95 => self.now_ms += self.rng.i64(1..20_000),
            95..97 if self.link => self.cut(),
            97..98 => self.kill(),
            98 => {
                let wanted = self.rng.bool();
                self.subscribe("side", wanted);
            }
            99 if losses && !self.link => {
                self.losses += 1;
                self.broker.lose_session();
            }
            _ => {}
        }
    }

    /// A wish is made or given up. False: killed before the answer, so nobody knows.
    fn subscribe(&mut self, filter: &str, wanted: bool) -> bool {
        let filter = TopicFilter::new(filter).unwrap();
        let (answer, mut reply) = oneshot::channel();
        self.turn(vec![TurnInput::Command(match wanted {
            true => Command::Subscribe { wish: Subscription::new(filter, QoS::ExactlyOnce), answer },
            false => Command::Unsubscribe { filter, answer },
        })]);
        reply.try_recv().is_ok()
    }

    fn drain(&mut self) {
        let wanted = self.rng.bool();
        while !self.subscribe("side", wanted) {}
        self.draining = true;
        if !self.broker.retain_announced {
            self.cut();
        }
        for _ in 0..20_000 {
            let waits = |engine: &Engine| {
                let hot = engine.session().hot();
                hot.outbox_messages() + hot.parked_messages
            };
            let lane = self.engine.as_ref().map(waits);
            let side = self.broker.filters.contains(&TopicFilter::new("side").unwrap());
            let down = self.broker.filters.contains(&TopicFilter::new("down").unwrap());
            let done = lane == Some(0) && self.broker.is_drained();
            if done && self.to_broker.is_empty() && side == wanted && down {
                return;
            }
            self.now_ms += 100;
            self.deliver(64);
        }
        panic!("not drained: {:?}", self.engine.as_ref().map(|engine| *engine.session().hot()));
    }

    fn fate(&mut self, n: u64) -> Fate {
        let (answer, mut reply) = oneshot::channel();
        self.engine_turn(Command::Fate { n, answer });
        reply.try_recv().unwrap().unwrap()
    }

    fn engine_turn(&mut self, command: Command) {
        let mut out = Outputs::default();
        let now = self.now();
        let Some(engine) = &mut self.engine else { return };
        engine.turn(&mut vec![TurnInput::Command(command)], now, 0, &mut out).unwrap();
        out.replies.drain(..).for_each(Reply::committed);
    }
}

fn run(version: Version, losses: bool, seeds: u64) {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let only: Option<u64> = number("HOMING_SEED");
    let seeds = number("HOMING_SEEDS").unwrap_or(seeds);
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let folder = tempfile::tempdir().unwrap();
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, version, folder.path());
            for _ in 0..600 {
                world.step(losses);
            }
            world.drain();
            world.check();
            (world.accepted.len(), world.kills)
        });
        if let Err(panic) = result {
            eprintln!("HOMING_SEED={seed} ({version:?}, losses {losses}) fails");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn p1_p3_p4_p5_p9_hold_over_cuts_and_kills_v5() {
    run(Version::V5, false, 40);
}

#[test]
fn p1_p3_p4_p5_p9_hold_over_cuts_and_kills_v311() {
    run(Version::V311, false, 40);
}

#[test]
fn p8_the_outbox_outlives_lost_sessions_v5() {
    run(Version::V5, true, 40);
}

#[test]
fn p8_the_outbox_outlives_lost_sessions_v311() {
    run(Version::V311, true, 40);
}
