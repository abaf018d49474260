//! Every write of a turn, on real files: seen in the same turn, gone without a commit, there after one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::fmt::Debug;

use bytes::Bytes;
use homing::internals::rows::{Hot, OpenGap, Outcome, ReceivedQos2, SubscriptionRow};
use homing::internals::writes::Write;
use homing::store::Store;
use homing::store::reader::Reader;
use homing::{Fate, GapCause, IfUnsupported, Properties, QoS, ReasonCode, RetainHandling, Subscription};
use store_common::*;
use tempfile::TempDir;

fn everything(store: &mut Store) -> impl Debug + PartialEq + use<> {
    let fates: Vec<_> = (1..10).map(|id| store.fate(id).unwrap()).collect();
    (
        (store.load_outbox(0, u64::MAX >> 1, 1_000, usize::MAX).unwrap(), store.in_flight([3, 0]).unwrap(), fates),
        (store.released().unwrap(), store.received_qos2().unwrap(), store.expired([0, 0], 50, 10).unwrap()),
        (store.session(), store.subscriptions().unwrap(), store.open_gaps().unwrap(), store.consumers()),
    )
}

fn props() -> Properties {
    let mut props = Properties::default();
    props.payload_is_utf8 = true;
    props.content_type = Some("text/plain".into());
    props.response_topic = Some(topic("answers"));
    props.correlation_data = Some(Bytes::from_static(&[0, 1, 255]));
    props.user = vec![("a".into(), "b".into()), ("a".into(), String::new())];
    props.subscription_ids = vec![7, 268_435_455];
    props.expiry_s = Some(60);
    props
}

fn prepared(folder: &TempDir) -> (Store, Hot) {
    let mut store = open(folder);
    let mut hot = store.hot();
    for id in 1..6 {
        let mut row = outbox_row(id, QoS::ExactlyOnce);
        row.expires_ms = Some(id as i64 * 20);
        store.write(Write::OutboxInsert(row)).unwrap();
    }
    for seq in 1..6 {
        store.write(Write::InboxInsert(inbox_row(seq, "home/hall"))).unwrap();
    }
    for write in [
        Write::Release { id: 2, release: 1 },
        Write::ReceivedQos2 { pid: 77, content: 9 },
        Write::GapOpen { filter: filter("open/#"), cause: GapCause::SessionLost, from_ms: 5, after_seq: 3 },
        Write::Subscription(SubscriptionRow {
            wish: Subscription::new(filter("old/#"), QoS::AtMostOnce),
            wanted: false,
            granted: None,
        }),
        Write::ConsumerPut { name: "second".into(), filters: vec![], cursor: 2 },
    ] {
        store.write(write).unwrap();
    }
    hot.lanes[0].next_ord = 10;
    hot.lanes[0].sent_through = 3;
    hot.next_seq = 6;
    store.commit(&hot).unwrap();
    (store, hot)
}

/// One of each, all of which change something visible.
fn every_write(store: &Store) -> Vec<Write> {
    let mut row = outbox_row(6, QoS::AtMostOnce);
    (row.retain, row.if_unsupported, row.maybe_dup) = (true, IfUnsupported::Downgrade, true);
    (row.payload, row.supersede) = (Bytes::new(), Some("light".to_owned()));
    row.props = Some(Box::new(props()));
    let mut wish = Subscription::new(filter("$share/g/a/+"), QoS::ExactlyOnce);
    (wish.retain_as_published, wish.retain_handling) = (true, RetainHandling::Never);
    wish.id = std::num::NonZeroU32::new(9);
    let mut session = store.session();
    session.client_id = "assigned".into();
    (session.broker, session.protocol, session.established) = (Some("mqtt://host:1883".into()), Some(5), true);
    (session.session_epoch, session.pid_salt, session.expiry_granted_s) = (3, 12_345, Some(u32::MAX));
    (session.session_present, session.last_connect_ms) = (Some(false), Some(99));
    let name = || "default".to_owned();
    vec![
        Write::OutboxInsert(row),
        Write::OutboxFinish { id: 2, verdict: None, at_ms: 1 },
        Write::OutboxFinish { id: 4, verdict: Some(Outcome::Expired), at_ms: 1 },
        Write::Release { id: 1, release: 0 },
        Write::ReceivedQos2 { pid: 5, content: 9 },
        Write::ForgetQos2(77),
        Write::SessionLost { sent_through: [3, 0] },
        Write::Session(Box::new(session)),
        Write::Subscription(SubscriptionRow { wish, wanted: true, granted: Some((QoS::AtLeastOnce, 3)) }),
        Write::SubscriptionGone(filter("old/#")),
        Write::GapOpen { filter: filter("a"), cause: GapCause::TooLarge, from_ms: 1, after_seq: 2 },
        Write::GapClose { filter: filter("open/#"), cause: GapCause::SessionLost, to_ms: 8 },
        Write::ConsumerPut { name: "third".into(), filters: vec![filter("a\n/#"), filter("b")], cursor: 4 },
        Write::ConsumerRemove { name: "second".into() },
        Write::ConsumerDoneThrough { name: name(), seq: 2 },
    ]
}

#[test]
fn every_write_is_seen_at_once_lost_without_commit_and_kept_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = prepared(&folder);
    let count = every_write(&store).len();
    let before = everything(&mut store);
    for index in 0..count {
        let write = every_write(&store).swap_remove(index);
        let name = format!("{write:?}");
        let turn = store.hot().turn;
        store.write(write.clone()).unwrap();
        let after = everything(&mut store);
        assert_ne!(after, before, "not seen in its turn: {name}");
        store = store.reopen().unwrap();
        assert_eq!(everything(&mut store), before, "not lost without commit: {name}");
        assert_eq!(store.hot().turn, turn);

        store.write(write).unwrap();
        let (killed, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = killed_copy(&path(&folder), &closed);
        let mut copy = open_with(&start, homing::Durability::PowerLoss).unwrap();
        copy.write(every_write(&store).swap_remove(index)).unwrap();
        assert!(copy.commit(&hot).unwrap());
        let copied = killed_copy(&start, &killed);
        copy.close().unwrap();
        for path in [start, copied] {
            let mut copy = open_with(&path, homing::Durability::PowerLoss).unwrap();
            assert_eq!(everything(&mut copy), after, "not kept: {name}");
            assert_eq!(copy.hot().turn, turn + 1);
        }
        store = store.reopen().unwrap();
    }
}

#[test]
fn rows_come_back_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let hot = store.hot();
    let Write::OutboxInsert(row) = every_write(&store).swap_remove(0) else { unreachable!() };
    store.write(Write::OutboxInsert(row.clone())).unwrap();
    let mut received = inbox_row(1, "$SYS/x");
    (received.qos, received.dup, received.retain) = (QoS::ExactlyOnce, true, true);
    received.props = Some(Box::new(props()));
    store.write(Write::InboxInsert(received.clone())).unwrap();
    let mut plain = inbox_row(2, "a");
    plain.props = Some(Box::default());
    store.write(Write::InboxInsert(plain)).unwrap();
    let session = every_write(&store).swap_remove(7);
    store.write(session.clone()).unwrap();
    assert_eq!(store.load_outbox(0, 9, 1, 0).unwrap(), (vec![row.clone()], true));
    assert_eq!(store.in_flight([9, 0]).unwrap()[0].size, row.size());
    store.commit(&hot).unwrap();
    let messages = Reader::open(&path(&folder)).unwrap().inbox(0, 10).unwrap();
    assert_eq!(messages.len(), 2);
    let first = &messages[0];
    assert_eq!((&first.topic, &first.payload, first.qos), (&received.topic, &received.payload, received.qos));
    assert_eq!((first.retained, first.dup, first.received_ms), (true, true, received.received_ms));
    assert_eq!((&first.properties, first.at.seq()), (&props(), 1));
    assert_eq!(messages[1].properties, Properties::default());
    let store = store.reopen().unwrap();
    assert_eq!(Write::Session(Box::new(store.session())), session);
}

#[test]
fn a_turn_without_writes_commits_only_if_counters_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    (hot.clock_ms, hot.wall_ms, hot.last_contact_ms) = (1, 2, 3);
    assert!(!store.commit(&hot).unwrap());
    hot.lanes[0].messages = 1;
    assert!(store.commit(&hot).unwrap());
    assert_eq!((store.hot().turn, store.hot().wall_ms), (1, 2));
    hot.turn = 400;
    assert!(!store.commit(&hot).unwrap(), "the turn is the store's own business");
    store.write(Write::Driver { connection: "waiting", metrics: "{}".into(), at_ms: 1 }).unwrap();
    assert!(store.commit(&hot).unwrap());
    assert_eq!(store.reopen().unwrap().hot().turn, 2);
}

#[test]
fn a_qos_0_message_that_ends_in_its_turn_never_touches_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    // A row would fail here.
    let raw = rusqlite::Connection::open(path(&folder)).unwrap();
    let refuse = "CREATE TRIGGER none BEFORE INSERT ON outbox WHEN new.id < 50 BEGIN SELECT raise(ABORT, 'no'); END";
    raw.execute_batch(refuse).unwrap();
    for id in 1..50 {
        store.write(Write::OutboxInsert(outbox_row(id, QoS::AtMostOnce))).unwrap();
        store.write(Write::OutboxFinish { id, verdict: Some(Outcome::Sent), at_ms: 1 }).unwrap();
    }
    store.write(Write::OutboxInsert(outbox_row(50, QoS::AtMostOnce))).unwrap();
    (hot.lanes[0].next_ord, hot.lanes[0].sent_through) = (51, 49);
    store.commit(&hot).unwrap();
    let mut store = store.reopen().unwrap();
    assert_eq!(store.load_outbox(0, 99, 99, 9999).unwrap().0, [outbox_row(50, QoS::AtMostOnce)]);
    assert_eq!((store.fate(49).unwrap(), store.fate(50).unwrap()), (Some(Fate::Sent), Some(Fate::Waiting)));
}

#[test]
fn ends_of_scattered_messages_leave_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    for id in 1..=200 {
        store.write(Write::OutboxInsert(outbox_row(id, QoS::AtLeastOnce))).unwrap();
    }
    (hot.lanes[0].next_ord, hot.lanes[0].sent_through) = (201, 200);
    store.commit(&hot).unwrap();
    let gone = |id: u64| id.is_multiple_of(3) || (40..90).contains(&id);
    for id in (1..=200).rev().filter(|id| gone(*id)) {
        store.write(Write::OutboxFinish { id, verdict: None, at_ms: 1 }).unwrap();
    }
    store.commit(&hot).unwrap();
    let left: Vec<u64> = store.in_flight([200, 0]).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, (1..=200).filter(|id| !gone(*id)).collect::<Vec<_>>());
    assert_eq!((store.fate(3).unwrap(), store.fate(4).unwrap()), (Some(Fate::DELIVERED), Some(Fate::InFlight)));
}

#[test]
fn p3_p8_a_lost_session_forgets_pids_and_releases_and_marks_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = prepared(&folder);
    store.write(Write::Release { id: 1, release: 2 }).unwrap();
    store.write(Write::ReceivedQos2 { pid: 78, content: 9 }).unwrap();
    store.write(Write::SessionLost { sent_through: [3, 0] }).unwrap();
    store.write(Write::ReceivedQos2 { pid: 79, content: 9 }).unwrap();
    store.write(Write::Release { id: 3, release: 3 }).unwrap();
    store.commit(&hot).unwrap();
    let mut store = store.reopen().unwrap();
    assert_eq!(store.received_qos2().unwrap(), [ReceivedQos2 { pid: 79, content: 9, completed: false }]);
    assert_eq!(store.released().unwrap(), [3]);
    let (rows, _) = store.load_outbox(0, 9, 9, 9999).unwrap();
    assert_eq!(rows.iter().map(|row| row.maybe_dup).collect::<Vec<_>>(), [true, true, true, false, false]);
    assert_eq!(store.expired([0, 0], 1_000, 9).unwrap().0.iter().map(|row| row.0).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn released_messages_come_in_the_order_of_their_pubrecs() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = prepared(&folder);
    for (release, id) in [(2, 5), (3, 1), (4, 3)] {
        store.write(Write::Release { id, release }).unwrap();
    }
    store.write(Write::Release { id: 5, release: 9 }).unwrap();
    assert_eq!(store.released().unwrap(), [2, 5, 1, 3], "a second PUBREC keeps the first place");
    store.write(Write::OutboxFinish { id: 1, verdict: None, at_ms: 0 }).unwrap();
    store.commit(&hot).unwrap();
    assert_eq!(store.reopen().unwrap().released().unwrap(), [2, 5, 3]);
}

#[test]
fn a_load_keeps_its_bounds_and_gives_at_least_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = prepared(&folder);
    let ids = |(rows, complete): (Vec<homing::internals::rows::OutboxRow>, bool)| {
        (rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), complete)
    };
    let size = outbox_row(1, QoS::AtMostOnce).size() as usize;
    assert_eq!(ids(store.load_outbox(0, 99, 99, 9999).unwrap()), (vec![1, 2, 3, 4, 5], true));
    assert_eq!(ids(store.load_outbox(2, 4, 99, 9999).unwrap()), (vec![3, 4], true));
    assert_eq!(ids(store.load_outbox(0, 99, 2, 9999).unwrap()), (vec![1, 2], false));
    assert_eq!(ids(store.load_outbox(3, 99, 2, 9999).unwrap()), (vec![4, 5], true));
    assert_eq!(ids(store.load_outbox(0, 99, 99, 0).unwrap()), (vec![1], false));
    assert_eq!(ids(store.load_outbox(0, 99, 99, 2 * size).unwrap()), (vec![1, 2], false));
    assert_eq!(ids(store.load_outbox(5, 99, 99, 9999).unwrap()), (vec![], true));
}

#[test]
fn expired_rows_come_in_order_with_the_next_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = prepared(&folder);
    let size = outbox_row(1, QoS::AtMostOnce).size();
    assert_eq!(store.expired([1, 0], 60, 9).unwrap(), (vec![(2, size), (3, size)], Some(80)));
    assert_eq!(store.expired([1, 0], 60, 1).unwrap(), (vec![(2, size)], Some(60)));
    assert_eq!(store.expired([3, 0], 1_000, 9).unwrap(), (vec![(4, size), (5, size)], None));
    assert_eq!(store.expired([0, 0], 0, 9).unwrap(), (vec![], Some(20)));
    assert_eq!(store.expired([5, 0], 0, 9).unwrap(), (vec![], None));
}

#[test]
fn an_open_gap_stays_as_it_is_and_opens_anew_once_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, hot) = prepared(&folder);
    let open = |from_ms, cause| Write::GapOpen { filter: filter("open/#"), cause, from_ms, after_seq: 9 };
    store.write(open(50, GapCause::SessionLost)).unwrap();
    store.write(open(60, GapCause::TooLarge)).unwrap();
    let gap = |from_ms, cause, after_seq| OpenGap { filter: filter("open/#"), cause, from_ms, after_seq };
    let first = gap(5, GapCause::SessionLost, 3);
    assert_eq!(store.open_gaps().unwrap(), [first, gap(60, GapCause::TooLarge, 9)]);
    store.write(Write::GapClose { filter: filter("open/#"), cause: GapCause::SessionLost, to_ms: 70 }).unwrap();
    store.write(open(80, GapCause::SessionLost)).unwrap();
    store.commit(&hot).unwrap();
    let left = [gap(60, GapCause::TooLarge, 9), gap(80, GapCause::SessionLost, 9)];
    assert_eq!(store.reopen().unwrap().open_gaps().unwrap(), left, "the other cause stays open");
}

#[test]
fn p9_every_outcome_comes_back_as_its_fate() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let delivered = |maybe_twice, maybe_lost, downgraded| {
        (
            Outcome::Delivered { maybe_twice, maybe_lost, downgraded },
            Fate::Delivered { maybe_twice, maybe_lost, downgraded },
        )
    };
    let outcomes = [
        (Outcome::Sent, Fate::Sent),
        (Outcome::Expired, Fate::Expired),
        (Outcome::Unknown, Fate::Unknown),
        (Outcome::Refused(ReasonCode::NotAuthorized), Fate::Refused(ReasonCode::NotAuthorized)),
        (Outcome::Refused(ReasonCode::Other(0xee)), Fate::Refused(ReasonCode::Other(0xee))),
        delivered(true, false, false),
        delivered(false, true, false),
        delivered(false, false, true),
        delivered(true, true, true),
        (Outcome::Delivered { maybe_twice: false, maybe_lost: false, downgraded: false }, Fate::DELIVERED),
    ];
    for (id, (outcome, _)) in (1..).zip(&outcomes) {
        store.write(Write::OutboxInsert(outbox_row(id, QoS::AtLeastOnce))).unwrap();
        store.write(Write::OutboxFinish { id, verdict: Some(*outcome), at_ms: 1 }).unwrap();
    }
    hot.lanes[0].next_ord = outcomes.len() as u64 + 1;
    store.commit(&hot).unwrap();
    for (id, (_, fate)) in (1..).zip(outcomes) {
        assert_eq!(store.fate(id).unwrap(), Some(fate), "{id}");
    }
}

#[test]
fn p9_pruned_verdicts_are_forgotten_never_taken_for_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let count = homing::store::MAX_VERDICTS + 10;
    for id in 1..=count {
        store.write(Write::OutboxFinish { id, verdict: Some(Outcome::Expired), at_ms: 1 }).unwrap();
    }
    hot.lanes[0].next_ord = count + 1;
    store.commit(&hot).unwrap();
    let floor = store.hot().lanes[0].verdict_floor;
    assert!(floor > 10 && floor <= 2_000, "{floor}");
    // The driver's own copy knows nothing of the new floor.
    hot.lanes[0].messages = 1;
    store.commit(&hot).unwrap();
    let mut store = store.reopen().unwrap();
    assert_eq!(store.hot().lanes[0].verdict_floor, floor);
    assert_eq!(store.fate(floor - 1).unwrap(), Some(Fate::Forgotten));
    assert_eq!(store.fate(floor).unwrap(), Some(Fate::Expired));
    assert_eq!(store.fate(count).unwrap(), Some(Fate::Expired));
    assert_eq!(store.fate(count + 1).unwrap(), None);
}

#[test]
fn the_log_stays_short_and_is_emptied_when_idle() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut hot = store.hot();
    let log = folder.path().join("test.homing-wal");
    for turn in 0..60 {
        for n in 1..=50 {
            let mut row = outbox_row(turn * 50 + n, QoS::AtLeastOnce);
            row.payload = Bytes::from(vec![1; 4_000]);
            store.write(Write::OutboxInsert(row)).unwrap();
        }
        hot.lanes[0].next_ord += 50;
        store.commit(&hot).unwrap();
        store.maintain(false).unwrap();
        assert!(log.metadata().unwrap().len() < 6 << 20);
    }
    store.maintain(true).unwrap();
    assert_eq!(log.metadata().unwrap().len(), 0);
}
