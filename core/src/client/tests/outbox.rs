//! The outbox as an app sees it: keys, cancelling, parking, one batch.

use super::app::*;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::client::command::{Cancel, Command};
use crate::client::turn::{Outputs, TurnInput};
use crate::model::error::{Error, PublishError};
use crate::model::event::Fate;
use crate::model::message::{IfUnsupported, Lane, QoS};
use crate::model::options::OutboxFull;
use crate::model::reason::ReasonCode;
use crate::model::rows::join_id;
use crate::session::effect::{Input, Now};
use crate::store::reader::Reader;
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet};

#[test]
fn cancel_takes_back_what_was_not_sent_and_says_what_became_of_the_rest() {
    let mut app = App::new(|options| options.inflight = 1);
    let sent = app.online(|_| {});
    assert!(payloads(&sent).is_empty());
    let (in_flight, waiting, urgent) =
        (app.publish(message()), app.publish(message()), app.publish(message().lane(Lane::Urgent)));
    assert_eq!(app.cancel(in_flight), Ok(Cancel::TooLate));
    assert_eq!(app.cancel(waiting), Ok(Cancel::Cancelled));
    assert_eq!(app.cancel(urgent), Ok(Cancel::Cancelled));
    assert_eq!(app.cancel(waiting), Ok(Cancel::Settled(Fate::Cancelled)));
    assert_eq!(app.cancel(99), Err(Error::NoSuchMessage { n: 99 }));
    app.restart();
    assert_eq!((app.fate(waiting), app.fate(urgent), app.waits()), (Fate::Cancelled, Fate::Cancelled, vec![in_flight]));
    let again = app.online(|_| {});
    assert_eq!(payloads(&again).len(), 1);
    acknowledge(&mut app, &again);
    assert_eq!(app.cancel(in_flight), Ok(Cancel::Settled(Fate::DELIVERED)));
    let hot = *app.engine.as_ref().unwrap().session().hot();
    assert_eq!(hot.lanes.map(|lane| (lane.messages, lane.bytes)), [(0, 0); 2]);
}

#[test]
fn cancel_answers_whoever_waits() {
    let mut app = App::new(|_| {});
    let id = app.publish(message());
    let (settled, mut fate) = oneshot::channel();
    let (flushed, mut all) = oneshot::channel();
    app.turn(vec![
        TurnInput::Command(Command::Settled { n: id, answer: settled }),
        TurnInput::Command(Command::Flush { deadline: Duration::MAX, answer: flushed }),
    ]);
    assert_eq!(app.cancel(id), Ok(Cancel::Cancelled));
    assert_eq!((fate.try_recv().unwrap(), all.try_recv().unwrap()), (Ok(Fate::Cancelled), Ok(true)));
    assert_eq!(app.settled, [(id, Fate::Cancelled)]);
}

#[test]
fn a_message_of_a_lost_session_is_too_late_to_cancel_and_not_superseded() {
    let mut app = App::new(|_| {});
    app.online(|_| {});
    let id = app.publish(message().supersede("light"));
    app.offline();
    let ack = ConnAck { session_present: false, reason: ReasonCode::Success, properties: ConnAckProperties::default() };
    app.turn(vec![TurnInput::Session(Input::Tick), TurnInput::Session(Input::LinkUp(None))]);
    // Killed in the turn after the loss: it waits again, above the cursor.
    app.engine.as_mut().unwrap().session.begin_turn(0);
    let now = Now { mono_ms: app.now_ms, wall_ms: app.now_ms, store_ms: app.now_ms };
    let mut out = Outputs::default();
    let connack = TurnInput::Session(Input::Packet(Packet::ConnAck(Box::new(ack))));
    app.engine.as_mut().unwrap().turn(&mut vec![connack], now, 0, &mut out).unwrap();
    app.restart();
    assert_eq!(app.fate(id), Fate::Waiting);
    assert_eq!(app.cancel(id), Ok(Cancel::TooLate));
    let newer = app.publish(message().supersede("light"));
    assert_eq!((app.fate(id), app.fate(newer)), (Fate::Waiting, Fate::Waiting));
}

#[test]
fn supersede_replaces_waiting_messages_never_those_in_flight() {
    let mut app = App::new(|options| options.inflight = 1);
    app.online(|_| {});
    let light = |payload: &'static str| {
        let mut light = message().supersede("light");
        light.payload = payload.into();
        light
    };
    let first = app.publish(light("1"));
    let (second, other) = (app.publish(light("2")), app.publish(message().supersede("door")));
    let third = app.publish(light("3").lane(Lane::Urgent));
    assert_eq!((app.fate(first), app.fate(second), app.fate(other)), (Fate::InFlight, app.by(third), Fate::Waiting));
    app.restart();
    // Within one batch, too, and across both lanes.
    let ids = app.publish_all(vec![light("4"), message(), light("5")]).unwrap();
    assert_eq!((app.fate(third), app.fate(ids[0])), (app.by(ids[0]), app.by(ids[2])));
    assert_eq!(app.waits(), [first, other, ids[1], ids[2]]);
    let mut sent = app.online(|_| {});
    let mut seen = Vec::new();
    while !payloads(&sent).is_empty() {
        seen.extend(payloads(&sent).iter().map(|payload| payload.to_vec()));
        let Packet::Publish(publish) = &sent[0] else { panic!("{sent:?}") };
        sent = app.turn(vec![TurnInput::Session(Input::Packet(Packet::PubAck(Ack::ok(publish.pid))))]);
    }
    assert_eq!(seen, [&b"1"[..], b"12345678", b"12345678", b"5"]);
}

#[test]
fn supersede_within_one_turn() {
    let mut app = App::new(|_| {});
    let (mut inputs, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let message = crate::client::check::publish(message().supersede("light"), &app.options).unwrap();
        let (answer, reply) = oneshot::channel();
        inputs.push(TurnInput::Command(Command::Publish { message, _room: room(), answer }));
        answers.push(reply);
    }
    app.turn(inputs);
    let ids: Vec<u64> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap().unwrap()).collect();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
    assert_eq!((app.waits(), app.fate(49), app.fate(1)), (vec![50], app.by(50), app.by(2)));
}

#[test]
fn an_idempotency_key_gives_the_first_id_for_seven_days() {
    let mut app = App::new(|_| {});
    let order = || message().idempotency("order-1");
    let first = app.publish(order());
    assert_eq!(app.publish(order()), first);
    app.restart();
    let batch = vec![order(), message().idempotency("order-2"), message().idempotency("order-2"), message()];
    let ids = app.publish_all(batch).unwrap();
    assert_eq!(ids, [first, first + 1, first + 1, first + 2]);
    assert_eq!(app.waits().len(), 3);
    let sent = app.online(|_| {});
    acknowledge(&mut app, &sent);
    assert_eq!((app.publish(order()), app.fate(first)), (first, Fate::DELIVERED));
    app.offline();
    app.now_ms = 1_000 + 7 * DAY_MS - 1;
    assert_eq!(app.publish(order()), first);
    app.now_ms += 1;
    assert!(app.publish(order()) > first);
}

#[test]
fn a_publish_of_unknown_outcome_is_settled_by_its_key() {
    let mut app = App::new(|_| {});
    let first = app.publish(message().idempotency("order-1"));
    // The commit happened, the answer was lost: whoever publishes again gets the same message.
    let failed = app.engine.take().unwrap().fail();
    let (engine, _) = { failed }.reopen(1_000, 2).unwrap();
    app.engine = Some(engine);
    assert_eq!(app.publish(message().idempotency("order-1")), first);
    assert_eq!(app.waits(), [first]);
}

#[test]
fn at_most_100_000_keys_are_kept_and_the_oldest_goes_first() {
    let mut app = App::new(|_| {});
    let first = app.publish(message().idempotency("first"));
    app.now_ms += 1;
    app.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99998)
         INSERT INTO idem SELECT 'k' || i, 1, {} FROM n",
        1_001 + 7 * DAY_MS
    ));
    app.restart();
    app.publish(message().idempotency("one more"));
    assert_eq!(app.publish(message().idempotency("first")), first);
    app.publish(message().idempotency("two more"));
    assert!(app.publish(message().idempotency("first")) > first, "it was the oldest");
    let connection = rusqlite::Connection::open(app.folder.path().join("store.db")).unwrap();
    let count: i64 = connection.query_row("SELECT count(*) FROM idem", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 100_000);
}

#[test]
fn parked_messages_count_for_the_limit_not_for_a_flush_and_outlive_a_kill() {
    let mut app = limited(OutboxFull::Refuse, 3, 1 << 20);
    app.online(|properties| properties.maximum_qos = Some(1));
    let exactly = || {
        let mut message = message().qos(QoS::ExactlyOnce).supersede("light");
        message.if_unsupported = IfUnsupported::Park;
        message
    };
    let parked = app.publish(exactly());
    assert_eq!(app.settled, [(parked, Fate::Parked(ReasonCode::QosNotSupported))]);
    let flushed = app.ask(|answer| Command::Flush { deadline: Duration::MAX, answer });
    assert_eq!(flushed, Ok(true));
    let settled = app.ask(|answer| Command::Settled { n: parked, answer });
    assert_eq!(settled, Ok(Fate::Parked(ReasonCode::QosNotSupported)));
    let newer = app.publish(exactly());
    assert_eq!(app.fate(parked), app.by(newer), "superseded where it stood");
    app.offline();
    app.publish(message());
    app.options.inflight = 9;
    app.restart();
    app.publish(message());
    assert_eq!(app.try_publish(message()), FULL);
    let reader = Reader::open(&app.options.store).unwrap();
    let rows = reader.outbox(0, 500).unwrap();
    assert_eq!(rows[0].fate, Fate::Parked(ReasonCode::QosNotSupported));
    let depth = reader.status().unwrap().outbox;
    assert_eq!((depth.waiting, depth.in_flight, depth.parked, rows.len()), (2, 0, 1, 3));
    // Taken up by the app: it stands in its lane again, under a new id.
    let again = app.ask(|answer| Command::Unpark { n: newer, answer }).unwrap();
    assert_eq!((app.fate(newer), app.fate(again)), (app.by(again), Fate::Waiting));
    let answer = app.ask(|answer| Command::Unpark { n: newer, answer });
    assert_eq!(answer, Err(Error::NotParked { n: newer }));
    let answer = app.ask(|answer| Command::Unpark { n: 99, answer });
    assert_eq!(answer, Err(Error::NoSuchMessage { n: 99 }));
    app.online(|properties| properties.maximum_qos = Some(1));
    assert_eq!(app.fate(again), Fate::Parked(ReasonCode::QosNotSupported));
    assert_eq!(app.cancel(again), Ok(Cancel::Cancelled));
    assert_eq!(app.fate(again), Fate::Cancelled);
}

#[test]
fn a_flush_does_not_count_a_parked_message_that_ends_later() {
    let mut app = App::new(|_| {});
    app.online(|properties| properties.maximum_qos = Some(1));
    let mut exactly = message().qos(QoS::ExactlyOnce);
    exactly.if_unsupported = IfUnsupported::Park;
    let parked = app.publish(exactly);
    app.offline();
    app.publish(message());
    let (flushed, mut all) = oneshot::channel();
    app.turn(vec![TurnInput::Command(Command::Flush { deadline: Duration::MAX, answer: flushed })]);
    app.cancel(parked).unwrap();
    assert!(all.try_recv().is_err(), "one is waiting still");
}

#[test]
fn a_bad_key_is_refused_and_names_itself() {
    let mut app = App::new(|_| {});
    for (text, bytes) in [(String::new(), 0), ("k".repeat(256), 256)] {
        let key = "supersede";
        assert_eq!(app.try_publish(message().supersede(text.clone())), Err(PublishError::Key { key, bytes }));
        let key = "idempotency";
        assert_eq!(app.try_publish(message().idempotency(text)), Err(PublishError::Key { key, bytes }));
    }
    assert_eq!(app.waits(), [0u64; 0]);
    app.publish(message().supersede("\0".repeat(255)).idempotency("é\0"));
    assert_eq!(app.publish(message().supersede("x").idempotency("é\0")), 1);
}

#[test]
fn both_lanes_count_for_a_flush() {
    let mut app = App::new(|_| {});
    let urgent = app.publish(message().lane(Lane::Urgent));
    assert_eq!(urgent, join_id(1, 1));
    app.publish(message());
    let (flushed, mut all) = oneshot::channel();
    app.turn(vec![TurnInput::Command(Command::Flush { deadline: Duration::MAX, answer: flushed })]);
    let sent = app.online(|_| {});
    app.publish(message().lane(Lane::Urgent));
    acknowledge(&mut app, &sent[..1]);
    assert!(all.try_recv().is_err());
    acknowledge(&mut app, &sent[1..]);
    assert_eq!(all.try_recv().unwrap(), Ok(true));
}

#[test]
fn a_message_in_flight_that_is_set_aside_does_not_come_back_behind_a_newer_one_with_its_key() {
    for lanes in [[Lane::Normal; 2], [Lane::Normal, Lane::Urgent], [Lane::Urgent, Lane::Normal], [Lane::Urgent; 2]] {
        let mut app = App::new(|options| options.inflight = 1);
        app.online(|_| {});
        let mut retained = message().supersede("light").retain(true).lane(lanes[0]);
        retained.if_unsupported = IfUnsupported::Park;
        let (older, other) = (app.publish(retained), app.publish(message()));
        let newer = app.publish(message().supersede("light").lane(lanes[1]));
        assert_eq!((app.fate(older), app.fate(other)), (Fate::InFlight, Fate::Waiting));
        app.offline();
        app.online(|properties| properties.retain_available = Some(false));
        assert_eq!(app.fate(older), app.by(newer), "{lanes:?}");
        assert_eq!(app.settled[0], (older, Fate::Parked(ReasonCode::RetainNotSupported)));
        assert!(app.settled.contains(&(older, app.by(newer))));
        let hot = *app.engine.as_ref().unwrap().session().hot();
        assert_eq!((hot.parked_messages, hot.parked_bytes), (0, 0));
    }
}

#[test]
fn a_message_that_is_set_aside_stays_if_only_an_older_one_has_its_key() {
    for lanes in [[Lane::Normal, Lane::Urgent], [Lane::Urgent, Lane::Normal]] {
        let mut app = App::new(|_| {});
        app.online(|_| {});
        let older = app.publish(message().supersede("light").lane(lanes[0]));
        let mut retained = message().supersede("light").retain(true).lane(lanes[1]);
        retained.if_unsupported = IfUnsupported::Park;
        let newer = app.publish(retained);
        app.offline();
        app.online(|properties| properties.retain_available = Some(false));
        assert_eq!(app.fate(newer), Fate::Parked(ReasonCode::RetainNotSupported), "{lanes:?}");
        assert_eq!(app.fate(older), Fate::InFlight);
    }
}
