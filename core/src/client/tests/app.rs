//! An app over a real store, packets by hand: what its commands do to the outbox.

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

use crate::client::command::{Cancel, Command, Reply};
use crate::client::turn::{Engine, Outputs, TurnInput};
use crate::model::broker_url::BrokerUrl;
use crate::model::error::{Error, PublishError};
use crate::model::event::{Event, Fate, Why};
use crate::model::message::{MessageId, Publish, StoreId};
use crate::model::options::{Limit, Options, OutboxFull};
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;
use crate::session::effect::{Input, Now};
use crate::store::reader::Reader;
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet};

pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;

pub(super) struct App {
    pub(super) folder: tempfile::TempDir,
    pub(super) options: Options,
    pub(super) engine: Option<Engine>,
    pub(super) now_ms: i64,
    pub(super) events: Vec<Event>,
    pub(super) settled: Vec<(u64, Fate)>,
}

pub(super) type Commands = Vec<TurnInput>;

impl App {
    pub(super) fn new(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("store.db"));
        options.broker = Some(BrokerUrl::parse("mqtt://model").unwrap());
        change(&mut options);
        let (events, settled) = (Vec::new(), Vec::new());
        let mut app = Self { folder, options, engine: None, now_ms: 1_000, events, settled };
        app.restart();
        app
    }

    /// As after a kill.
    pub(super) fn restart(&mut self) {
        self.engine = None;
        self.engine = Some(Engine::open(Arc::new(self.options.clone()), self.now_ms, 1).unwrap());
        self.turn(vec![TurnInput::Session(Input::Tick)]);
    }

    pub(super) fn turn(&mut self, mut inputs: Commands) -> Vec<Packet> {
        let mut out = Outputs::default();
        let now = Now { mono_ms: self.now_ms, wall_ms: self.now_ms, store_ms: self.now_ms };
        let engine = self.engine.as_mut().unwrap();
        engine.turn(&mut inputs, now, 1 << 20, &mut out).unwrap();
        out.replies.into_iter().for_each(Reply::committed);
        self.events.append(&mut out.events);
        self.settled.append(&mut out.settled);
        out.sends
    }

    pub(super) fn ask<T, E>(&mut self, command: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Command) -> Result<T, E> {
        let (answer, mut reply) = oneshot::channel();
        self.turn(vec![TurnInput::Command(command(answer))]);
        reply.try_recv().unwrap()
    }

    pub(super) fn online(&mut self, change: impl FnOnce(&mut ConnAckProperties)) -> Vec<Packet> {
        let mut properties = ConnAckProperties::default();
        change(&mut properties);
        self.turn(vec![TurnInput::Session(Input::Tick), TurnInput::Session(Input::LinkUp(None))]);
        let session_present = self.engine.as_ref().unwrap().session().row().established;
        let ack = ConnAck { session_present, reason: ReasonCode::Success, properties };
        self.turn(vec![TurnInput::Session(Input::Packet(Packet::ConnAck(Box::new(ack))))])
    }

    pub(super) fn offline(&mut self) {
        self.turn(vec![TurnInput::Session(Input::LinkDown(Why::Cut(String::new())))]);
        self.now_ms += 200_000;
    }

    pub(super) fn try_publish(&mut self, message: Publish) -> Result<u64, PublishError> {
        let message = crate::client::check::publish(message, &self.options)?;
        self.ask(|answer| Command::Publish { message, _room: room(), answer })
    }

    pub(super) fn publish(&mut self, message: Publish) -> u64 {
        self.try_publish(message).unwrap()
    }

    pub(super) fn publish_all(&mut self, messages: Vec<Publish>) -> Result<Vec<u64>, PublishError> {
        let options = &self.options;
        let checked = messages.into_iter().map(|message| crate::client::check::publish(message, options));
        let messages = checked.collect::<Result<Vec<_>, _>>()?;
        self.ask(|answer| Command::PublishAll { messages, _room: room(), answer })
    }

    pub(super) fn fate(&mut self, n: u64) -> Fate {
        self.ask(|answer| Command::Fate { n, answer }).unwrap()
    }

    pub(super) fn cancel(&mut self, n: u64) -> Result<Cancel, Error> {
        self.ask(|answer| Command::Cancel { n, answer })
    }

    pub(super) fn by(&self, n: u64) -> Fate {
        Fate::Superseded(MessageId::new(StoreId(self.engine.as_ref().unwrap().session().row().store_id), n))
    }

    pub(super) fn waits(&self) -> Vec<u64> {
        let rows = Reader::open(&self.options.store).unwrap().outbox(0, 500).unwrap();
        rows.iter().map(|row| row.id.number()).collect()
    }

    pub(super) fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(self.folder.path().join("store.db")).unwrap();
        connection.execute_batch(text).unwrap();
    }
}

pub(super) fn room() -> tokio::sync::OwnedSemaphorePermit {
    Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
}

pub(super) fn message() -> Publish {
    Publish::new(TopicName::new("up").unwrap(), "12345678")
}

pub(super) fn acknowledge(app: &mut App, packets: &[Packet]) {
    for packet in packets {
        let Packet::Publish(publish) = packet else { continue };
        app.turn(vec![TurnInput::Session(Input::Packet(Packet::PubAck(Ack::ok(publish.pid))))]);
    }
}

pub(super) fn payloads(packets: &[Packet]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    for packet in packets {
        if let Packet::Publish(publish) = packet {
            found.push(&publish.payload[..]);
        }
    }
    found
}

pub(super) fn limited(full: OutboxFull, messages: u64, bytes: u64) -> App {
    App::new(|options| {
        options.outbox_limit = Limit { messages, bytes };
        options.outbox_full = full;
        options.inflight = 1;
    })
}

pub(super) const FULL: Result<u64, PublishError> = Err(PublishError::LimitReached { limit: 3, unit: "messages" });
