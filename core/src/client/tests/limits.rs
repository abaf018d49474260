//! The outbox at its limit, and QoS 0 without a connection (P7).

use super::app::*;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::client::command::Command;
use crate::client::turn::{Engine, TurnInput};
use crate::model::error::{OpenError, PublishError};
use crate::model::event::Fate;
use crate::model::message::{IfUnsupported, Lane, QoS};
use crate::model::options::{Limit, OutboxFull, Qos0Offline};
use crate::wire::packet::Packet;

#[test]
fn p7_refuse_stores_nothing_and_a_batch_is_all_or_none() {
    let mut app = limited(OutboxFull::Refuse, 3, 1 << 20);
    app.publish_all(vec![message(), message()]).unwrap();
    let batch = app.publish_all(vec![message(), message().idempotency("key")]);
    assert_eq!(batch, FULL.map(|_| vec![]));
    let last = app.publish(message().idempotency("last"));
    assert_eq!(app.try_publish(message()), FULL);
    assert_eq!(app.publish(message().idempotency("last")), last, "what is known needs no room");
    assert_eq!(app.waits(), [1, 2, 3]);
    app.cancel(1).unwrap();
    app.publish(message());
}

#[test]
fn p7_a_message_that_replaces_another_needs_no_room_for_it() {
    for full in [OutboxFull::Refuse, OutboxFull::DropOldest, OutboxFull::DropNewest] {
        let mut app = limited(full, 3, 1 << 20);
        app.publish_all(vec![message(), message().supersede("light"), message()]).unwrap();
        assert_eq!(app.publish(message().supersede("light")), 4);
        assert_eq!((app.waits(), app.fate(2)), (vec![1, 3, 4], app.by(4)), "{full:?}");
    }
}

#[test]
fn p7_drop_oldest_spares_what_was_sent_and_drops_urgent_ones_last() {
    let mut app = limited(OutboxFull::DropOldest, 3, 1 << 20);
    app.online(|_| {});
    let sent = app.publish(message());
    let urgent = app.publish(message().lane(Lane::Urgent));
    let (second, third) = (app.publish(message()), app.publish(message()));
    assert_eq!((app.fate(second), app.waits()), (Fate::Dropped, vec![sent, third, urgent]));
    let fourth = app.publish(message());
    assert_eq!((app.fate(third), app.waits()), (Fate::Dropped, vec![sent, fourth, urgent]));
    let ids = app.publish_all(vec![message(), message()]).unwrap();
    assert_eq!((app.fate(fourth), app.fate(urgent)), (Fate::Dropped, Fate::Dropped));
    assert_eq!(app.waits(), [sent, ids[0], ids[1]]);
    assert_eq!(app.publish_all(vec![message(), message(), message()]), FULL.map(|_| vec![]));
    assert_eq!(app.waits(), [sent, ids[0], ids[1]], "nothing is dropped for what finds no room");
    assert_eq!(app.settled.iter().filter(|(_, fate)| *fate == Fate::Dropped).count(), 4);
}

#[test]
fn p7_drop_oldest_by_bytes() {
    let mut app = limited(OutboxFull::DropOldest, 1_000, 100);
    let ids: Vec<u64> = (0..10).map(|_| app.publish(message())).collect();
    let mut large = message();
    large.payload = vec![0; 73].into();
    let large = app.publish(large);
    assert_eq!(app.waits(), [ids[8], ids[9], large], "75 bytes need the room of eight");
    let mut huge = message();
    huge.payload = vec![0; 99].into();
    assert_eq!(app.try_publish(huge), Err(PublishError::LimitReached { limit: 100, unit: "bytes" }));
    assert_eq!(app.waits().len(), 3);
}

#[test]
fn p7_drop_newest_accepts_with_an_id_and_the_verdict_at_once() {
    let mut app = limited(OutboxFull::DropNewest, 3, 1 << 20);
    let ids = app.publish_all((0..5).map(|_| message()).collect()).unwrap();
    assert_eq!((ids, app.waits()), (vec![1, 2, 3, 4, 5], vec![1, 2, 3]));
    assert_eq!((app.fate(4), app.fate(5)), (Fate::Dropped, Fate::Dropped));
    assert_eq!(app.settled, [(4, Fate::Dropped), (5, Fate::Dropped)]);
    let (flushed, mut all) = oneshot::channel();
    app.turn(vec![TurnInput::Command(Command::Flush { deadline: Duration::MAX, answer: flushed })]);
    app.publish(message());
    assert!(all.try_recv().is_err(), "a dropped message is not one of those that are waited for");
    app.restart();
    assert_eq!(app.fate(6), Fate::Dropped);
    assert_eq!(payloads(&app.online(|_| {})).len(), 1);
}

#[test]
fn p7_limits_below_what_is_stored_are_explained() {
    let mut app = App::new(|_| {});
    app.publish_all((0..5).map(|_| message()).collect()).unwrap();
    for limit in [Limit { messages: 4, bytes: 1 << 20 }, Limit { messages: 5, bytes: 1 }] {
        let mut options = app.options.clone();
        options.outbox_limit = limit;
        app.engine = None;
        let error = Engine::open(Arc::new(options), 0, 1).err().unwrap();
        assert!(matches!(&error, OpenError::Option { option: "outbox_limit", .. }), "{error}");
        assert!(error.to_string().contains("the 5 messages"), "{error}");
    }
    app.restart();
    assert_eq!(app.waits(), [1, 2, 3, 4, 5]);
}

#[test]
fn p7_qos_0_without_a_connection_waits_or_is_refused_or_dropped_as_asked() {
    let qos0 = || message().qos(QoS::AtMostOnce);
    for policy in [Qos0Offline::Queue, Qos0Offline::Refuse, Qos0Offline::Drop] {
        let mut app = App::new(|options| options.qos0_offline = policy);
        let waiting = app.publish(message());
        match policy {
            Qos0Offline::Refuse => {
                assert_eq!(app.try_publish(qos0()), Err(PublishError::Offline));
                assert_eq!(app.publish_all(vec![message(), qos0()]), Err(PublishError::Offline));
                assert_eq!(app.waits(), [waiting]);
            }
            _ => {
                let id = app.publish(qos0());
                let fate = if policy == Qos0Offline::Queue { Fate::Waiting } else { Fate::Dropped };
                assert_eq!(app.fate(id), fate);
            }
        }
        app.online(|_| {});
        let id = app.publish(qos0());
        assert_eq!(app.fate(id), Fate::Sent, "{policy:?}");
    }
}

#[test]
fn p9_a_downgraded_message_goes_again_as_it_went_also_behind_a_kill() {
    let mut app = App::new(|_| {});
    app.online(|broker| broker.maximum_qos = Some(1));
    let ids = [Lane::Normal, Lane::Urgent].map(|lane| {
        let mut willing = message().qos(QoS::ExactlyOnce).lane(lane);
        willing.if_unsupported = IfUnsupported::Downgrade;
        app.publish(willing)
    });
    app.restart();
    // The broker takes QoS 2 now, and may have the first ones.
    let sends = app.online(|_| {});
    let went = |packet: &Packet| match packet {
        Packet::Publish(publish) => Some((publish.qos, publish.dup)),
        _ => None,
    };
    assert_eq!(sends.iter().filter_map(went).collect::<Vec<_>>(), [(QoS::AtLeastOnce, true); 2]);
    acknowledge(&mut app, &sends);
    for id in ids {
        assert_eq!(app.fate(id), Fate::Delivered { maybe_twice: false, maybe_lost: false, downgraded: true });
    }
}
