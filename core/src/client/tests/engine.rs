//! Turns over a real store, packets by hand: what a full inbox and a commit of unknown outcome do to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::client::command::{Command, Reply};
use crate::client::turn::{Engine, Outputs, TurnInput};
use crate::model::broker_url::BrokerUrl;
use crate::model::event::{Event, Fate};
use crate::model::message::{Publish, QoS};
use crate::model::options::{Limit, Options};
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;
use crate::session::effect::{Input, Now};
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet, PublishPacket};

pub(super) const NOW: Now = Now { mono_ms: 1_000, wall_ms: 1_000, store_ms: 1_000 };

pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) engine: Engine,
}

impl Bench {
    pub(super) fn new(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("store.db"));
        options.broker = Some(BrokerUrl::parse("mqtt://model").unwrap());
        change(&mut options);
        let engine = Engine::open(Arc::new(options), NOW.wall_ms, 1).unwrap();
        let mut bench = Self { folder, engine };
        let ack =
            ConnAck { session_present: false, reason: ReasonCode::Success, properties: ConnAckProperties::default() };
        let up = [Input::Tick, Input::LinkUp(None), Input::Packet(Packet::ConnAck(Box::new(ack)))];
        bench.turn(up.into_iter().map(TurnInput::Session).collect());
        bench
    }

    pub(super) fn turn(&mut self, inputs: Vec<TurnInput>) -> Vec<Packet> {
        self.turn_at(NOW, inputs).0
    }

    /// What was sent and told.
    pub(super) fn turn_at(&mut self, now: Now, mut inputs: Vec<TurnInput>) -> (Vec<Packet>, Vec<Event>) {
        let mut out = Outputs::default();
        self.engine.turn(&mut inputs, now, 1 << 20, &mut out).unwrap();
        out.replies.into_iter().for_each(Reply::committed);
        (out.sends, out.events)
    }

    fn message(&mut self, pid: u16) -> Vec<Packet> {
        self.turn(vec![packet(Packet::Publish(PublishPacket {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: TopicName::new("down").unwrap(),
            pid,
            payload: bytes::Bytes::from_static(b"x"),
            props: None,
        }))])
    }

    fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(self.folder.path().join("store.db")).unwrap();
        connection.execute_batch(text).unwrap();
    }
}

pub(super) fn packet(packet: Packet) -> TurnInput {
    TurnInput::Session(Input::Packet(packet))
}

fn publish() -> TurnInput {
    let message = Publish::new(TopicName::new("up").unwrap(), "x");
    let message = crate::client::check::publish(message, &Options::new("unused")).unwrap();
    let _room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    TurnInput::Command(Command::Publish { message, _room, answer: oneshot::channel().0 })
}

pub(super) fn done(seq: u64) -> TurnInput {
    let name = "default".to_owned();
    TurnInput::Command(Command::Done { name, seq, through: true, answer: oneshot::channel().0 })
}

#[test]
fn a_held_message_gets_in_when_a_consumer_is_done_later() {
    let mut bench = Bench::new(|options| options.inbox_limit = Limit { messages: 2, bytes: 1 << 20 });
    for pid in 1..=2 {
        assert_eq!(bench.message(pid), [Packet::PubAck(Ack::ok(pid))]);
    }
    assert_eq!(bench.message(3), []);
    // The broker is at its limit and says nothing more: only the app moves.
    bench.turn(vec![TurnInput::Session(Input::Tick)]);
    assert_eq!(bench.turn(vec![done(1)]), [Packet::PubAck(Ack::ok(3))]);
}

#[test]
fn waits_are_answered_by_the_rows_after_a_commit_that_failed_and_yet_happened() {
    let mut bench = Bench::new(|_| {});
    let sends = bench.turn(vec![publish(), publish()]);
    assert_eq!(sends.len(), 2);
    let (settled, mut fate) = oneshot::channel();
    let (flushed, mut all) = oneshot::channel();
    bench.turn(vec![
        TurnInput::Command(Command::Settled { n: 1, answer: settled }),
        TurnInput::Command(Command::Flush { deadline: Duration::MAX, answer: flushed }),
    ]);
    // A turn that acknowledges the first one fails, but only after SQLite has written it.
    let Bench { folder, engine } = bench;
    let mut failed = engine.fail();
    let other = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    other.execute_batch("DELETE FROM outbox WHERE id = 1; UPDATE hot SET turn = turn + 1, messages_0 = 1").unwrap();
    let (engine, happened) = failed.reopen(NOW.wall_ms, 2).unwrap();
    assert!(happened);
    let mut bench = Bench { folder, engine };
    bench.turn(vec![TurnInput::Session(Input::Tick)]);
    assert_eq!(fate.try_recv().unwrap(), Ok(Fate::DELIVERED));
    assert!(all.try_recv().is_err(), "one is left");
    let Packet::Publish(second) = &sends[1] else { panic!("{sends:?}") };
    let ack = ConnAck { session_present: true, reason: ReasonCode::Success, properties: ConnAckProperties::default() };
    let up = [Packet::ConnAck(Box::new(ack)), Packet::PubAck(Ack::ok(second.pid))];
    // The app does not wait for the next attempt.
    bench.turn(vec![TurnInput::Session(Input::Connect), TurnInput::Session(Input::LinkUp(None))]);
    bench.turn(up.into_iter().map(packet).collect());
    assert_eq!(all.try_recv().unwrap(), Ok(true));
}

#[test]
fn a_flush_asked_for_in_a_turn_that_fails_does_no_harm_to_the_next() {
    let mut bench = Bench::new(|_| {});
    let sends = bench.turn(vec![publish(), publish(), publish()]);
    let Packet::Publish(first) = &sends[0] else { panic!("{sends:?}") };
    bench.sql("CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END");
    let (flushed, mut all) = oneshot::channel();
    let mut inputs = vec![
        packet(Packet::PubAck(Ack::ok(first.pid))),
        TurnInput::Command(Command::Flush { deadline: Duration::from_secs(9), answer: flushed }),
        publish(),
    ];
    let mut out = Outputs::default();
    bench.engine.turn(&mut inputs, NOW, 1 << 20, &mut out).unwrap_err();
    assert!(out.sends.is_empty(), "P2");
    let (engine, happened) = bench.engine.fail().reopen(NOW.wall_ms, 2).unwrap();
    assert!(!happened);
    let mut bench = Bench { engine, ..bench };
    bench.sql("DROP TRIGGER broken");
    bench.turn(vec![TurnInput::Session(Input::Tick)]);
    assert!(all.try_recv().is_err(), "three are waiting still");
    let later = Now { mono_ms: 20_000, ..NOW };
    let mut out = Outputs::default();
    bench.engine.turn(&mut vec![TurnInput::Session(Input::Tick)], later, 0, &mut out).unwrap();
    out.replies.into_iter().for_each(Reply::committed);
    assert_eq!(all.try_recv().unwrap(), Ok(false));
}
