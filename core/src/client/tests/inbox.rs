//! The inbox's policies over a real store: what a full inbox drops, whom it tells, and what only repeats.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::sync::oneshot;

use super::engine::{Bench, NOW, done, packet};
use crate::client::command::Command;
use crate::client::consumer::ConsumerSpec;
use crate::client::turn::TurnInput;
use crate::model::consumer::{Lag, Start};
use crate::model::error::{Error, OpenError};
use crate::model::event::{Event, Gap, GapCause};
use crate::model::message::{Message, Position, QoS, RetainHandling, StoreId, Subscription};
use crate::model::options::{InboxFull, Limit};
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::{Input, Now};
use crate::store::reader::{HistoryQuery, Reader};
use crate::wire::packet::{Ack, Packet, PublishPacket};

fn publish(qos: QoS, pid: u16, topic: &str, payload: &str) -> PublishPacket {
    PublishPacket {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        pid,
        payload: bytes::Bytes::copy_from_slice(payload.as_bytes()),
        props: None,
    }
}

fn retained(qos: QoS, pid: u16, topic: &str, payload: &str) -> TurnInput {
    packet(Packet::Publish(PublishPacket { retain: true, ..publish(qos, pid, topic, payload) }))
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

pub(super) fn at(ms: i64) -> Now {
    Now { mono_ms: NOW.mono_ms + ms, wall_ms: NOW.wall_ms + ms, store_ms: NOW.store_ms + ms }
}

pub(super) fn tick() -> Vec<TurnInput> {
    vec![TurnInput::Session(Input::Tick)]
}

impl Bench {
    fn reader(&self) -> Reader {
        Reader::open(&self.folder.path().join("store.db")).unwrap()
    }

    fn inbox(&self) -> Vec<Message> {
        self.reader().inbox(0, 500).unwrap()
    }

    pub(super) fn seqs(&self) -> Vec<u64> {
        self.inbox().iter().map(|message| message.at.seq()).collect()
    }

    pub(super) fn receive(&mut self, pids: std::ops::RangeInclusive<u16>, now: Now) -> (Vec<Packet>, Vec<Event>) {
        let messages = pids.map(|pid| packet(Packet::Publish(publish(QoS::AtLeastOnce, pid, "down/x", "x"))));
        self.turn_at(now, messages.collect())
    }

    pub(super) fn consumer(&mut self, spec: ConsumerSpec) -> Result<u64, Error> {
        let (answer, mut reply) = oneshot::channel();
        self.turn(vec![TurnInput::Command(Command::Consumer { spec, answer })]);
        reply.try_recv().unwrap()
    }

    fn store(&self) -> StoreId {
        StoreId(self.engine.session().row().store_id)
    }

    fn subscribe(&mut self, wish: Subscription) {
        let answer = oneshot::channel().0;
        self.turn(vec![TurnInput::Command(Command::Subscribe { wish, answer })]);
    }

    fn last(&self, topic: &str) -> (String, i64) {
        let value = self.reader().last(Some(&filter(topic)), None, 1).unwrap().values.remove(0);
        (String::from_utf8(value.message.payload.to_vec()).unwrap(), value.heard_ms)
    }
}

pub(super) fn skipped(events: &[Event]) -> Vec<(String, u64, u64, u64)> {
    let skipped = events.iter().filter_map(|event| match event {
        Event::Skipped { consumer, skipped } => {
            Some((consumer.clone(), skipped.messages, skipped.from.seq(), skipped.through.seq()))
        }
        _ => None,
    });
    skipped.collect()
}

fn gaps(events: Vec<Event>) -> Vec<Gap> {
    events.into_iter().filter_map(|event| if let Event::Gap(gap) = event { Some(gap) } else { None }).collect()
}

#[test]
fn p7_drop_oldest_drops_no_more_than_needed_and_tells_the_consumer_and_a_gap() {
    let mut bench = Bench::new(|options| {
        options.inbox_limit = Limit { messages: 5, bytes: 1 << 20 };
        options.inbox_full = InboxFull::DropOldest;
    });
    bench.subscribe(Subscription::new(filter("down/#"), QoS::AtLeastOnce));
    bench.receive(1..=3, at(0));
    bench.turn(vec![done(1)]);
    let (sends, events) = bench.receive(4..=9, at(100));
    let acks: Vec<_> = (4..=9).map(|pid| Packet::PubAck(Ack::ok(pid))).collect();
    assert_eq!(sends, acks, "nothing is withheld");
    assert_eq!(bench.seqs(), [5, 6, 7, 8, 9], "the newest stay");
    assert_eq!(skipped(&events), [("default".to_owned(), 3, 2, 4)], "1 was done");
    let open = bench.reader().gaps().unwrap();
    assert_eq!((open.len(), open[0].cause, open[0].to_ms), (1, GapCause::InboxOverflow, None));
    assert_eq!((&open[0].filters[..], open[0].from_ms), (&[filter("down/#")][..], NOW.wall_ms));

    let (_, events) = bench.receive(10..=11, at(5_000));
    assert_eq!(skipped(&events), [("default".to_owned(), 2, 5, 6)]);
    assert_eq!(bench.reader().gaps().unwrap().len(), 1, "it goes on");
    assert_eq!(gaps(bench.turn_at(at(14_000), tick()).1), []);
    let over = gaps(bench.turn_at(at(15_001), tick()).1);
    assert_eq!((over.len(), over[0].from_ms, over[0].to_ms), (1, NOW.wall_ms, Some(NOW.wall_ms + 100)));
    assert_eq!(bench.reader().gaps().unwrap(), over);
    let status = bench.reader().status().unwrap();
    let sum = status.consumers[0].skipped.unwrap();
    assert_eq!((sum.messages, sum.from.seq(), sum.through.seq()), (5, 2, 6));
    assert_eq!((status.inbox_messages, bench.reader().skipped("default").unwrap()), (5, Some(sum)));
}

#[test]
fn p7_drop_oldest_makes_room_for_qos_0_and_for_a_message_as_large_as_the_limit() {
    let mut bench = Bench::new(|options| {
        options.inbox_limit = Limit { messages: 3, bytes: 1_000 };
        options.inbox_full = InboxFull::DropOldest;
    });
    bench.receive(1..=3, at(0));
    bench.turn(vec![packet(Packet::Publish(publish(QoS::AtMostOnce, 0, "down/x", "0")))]);
    assert_eq!(bench.seqs(), [2, 3, 4]);
    let large = publish(QoS::ExactlyOnce, 9, "down/x", &"l".repeat(5_000));
    assert_eq!(bench.turn(vec![packet(Packet::Publish(large))]), [Packet::PubRec(Ack::ok(9))]);
    assert_eq!(bench.seqs(), [5]);
    assert!(bench.reader().gaps().unwrap().iter().all(|gap| gap.cause == GapCause::InboxOverflow));
}

#[test]
fn an_overflow_that_a_restart_interrupted_is_closed_by_the_next_run() {
    let mut bench = Bench::new(|options| {
        options.inbox_limit = Limit { messages: 2, bytes: 1 << 20 };
        options.inbox_full = InboxFull::DropOldest;
    });
    bench.receive(1..=3, at(0));
    let (engine, _) = bench.engine.fail().reopen(NOW.wall_ms, 2).unwrap();
    let mut bench = Bench { engine, ..bench };
    let (_, events) = bench.turn_at(at(9_000), tick());
    assert_eq!(gaps(events)[0].to_ms, Some(NOW.wall_ms + 9_000));
}

#[test]
fn p4_a_lagging_consumer_is_moved_on_as_its_policy_says_and_told() {
    let mut bench = Bench::new(|_| {});
    let three = NonZeroU64::new(3).unwrap();
    bench.consumer(ConsumerSpec::new("chart").filter(filter("down/#")).lag(Lag::Skip { messages: three })).unwrap();
    let (_, events) = bench.receive(1..=3, at(0));
    assert_eq!(skipped(&events), []);
    let (_, events) = bench.receive(4..=10, at(0));
    assert_eq!(skipped(&events), [("chart".to_owned(), 7, 1, 7)]);
    assert_eq!(bench.reader().page("chart", 0, 99).unwrap().0.len(), 3);
    assert_eq!(bench.reader().page("default", 0, 99).unwrap().0.len(), 10, "others are not concerned");
    // Opened again without a word on lag: as it was.
    assert_eq!(bench.consumer(ConsumerSpec::new("chart")).unwrap(), 7);
    let (_, events) = bench.receive(11..=11, at(0));
    assert_eq!(skipped(&events), [("chart".to_owned(), 1, 8, 8)]);
    let status = bench.reader().status().unwrap();
    assert_eq!(status.consumers[0].lag, Lag::Skip { messages: three });
    assert_eq!(status.consumers[0].skipped.unwrap().messages, 8);
}

#[test]
fn p4_messages_expire_for_a_consumer_that_says_so_and_only_for_it() {
    let mut bench = Bench::new(|_| {});
    bench.consumer(ConsumerSpec::new("alarm").lag(Lag::Expire { after: Duration::from_secs(80) })).unwrap();
    bench.receive(1..=2, at(0));
    bench.receive(3..=3, at(50_000));
    let due = bench.engine.timeout(at(50_000)).unwrap();
    assert!(due <= at(60_000).mono_ms, "looked after every 10 s");
    assert_eq!(skipped(&bench.turn_at(at(79_000), tick()).1), []);
    assert_eq!(skipped(&bench.turn_at(at(90_000), tick()).1), [("alarm".to_owned(), 2, 1, 2)]);
    assert_eq!(bench.reader().page("alarm", 0, 9).unwrap().0.len(), 1);
    assert_eq!(bench.reader().page("default", 0, 9).unwrap().0.len(), 3);
}

#[test]
fn a_consumer_begins_where_it_is_told_to() {
    let mut bench = Bench::new(|_| {});
    bench.receive(1..=4, at(0));
    let store = bench.store();
    let place = |seq| Start::At(Position::new(store, seq));
    for (name, start, cursor) in [("o", Start::Oldest, 0), ("n", Start::Now, 4), ("p", place(3), 2)] {
        assert_eq!(bench.consumer(ConsumerSpec::new(name).start(start)).unwrap(), cursor);
    }
    let (page, _) = bench.reader().page("p", 0, 9).unwrap();
    assert_eq!(page[0].at.seq(), 3);
    for seq in [0, 5] {
        let error = bench.consumer(ConsumerSpec::new("beyond").start(place(seq))).unwrap_err();
        assert!(matches!(error, Error::PositionInvalid { .. }), "{error:?}");
    }
    assert_eq!(bench.consumer(ConsumerSpec::new("n").start(place(1))).unwrap(), 4, "one that exists goes on");
    assert!(bench.reader().status().unwrap().consumers.iter().all(|consumer| consumer.name != "beyond"));
}

#[test]
fn an_exact_consumer_with_other_filters_is_an_error_and_nothing_is_stored() {
    let mut bench = Bench::new(|_| {});
    let spec = |texts: &[&str]| texts.iter().fold(ConsumerSpec::new("c"), |spec, text| spec.filter(filter(text)));
    bench.consumer(spec(&["a", "b"])).unwrap();
    assert_eq!(bench.consumer(spec(&["b", "a"]).exact()), Ok(0), "the order does not count");
    for other in [&["a"][..], &["a", "b", "c"], &[]] {
        let error = bench.consumer(spec(other).exact()).unwrap_err();
        assert_eq!(error, Error::ConsumerDiffers { name: "c".to_owned(), filters: vec![filter("a"), filter("b")] });
    }
    assert_eq!(bench.reader().status().unwrap().consumers[0].filters.len(), 2);
    bench.consumer(spec(&["c"])).unwrap();
    assert_eq!(bench.reader().status().unwrap().consumers[0].filters.len(), 3);
}

#[test]
fn a_limit_below_what_the_store_holds_is_explained() {
    let mut bench = Bench::new(|_| {});
    bench.receive(1..=4, at(0));
    let Bench { folder, engine } = bench;
    let mut options = (*engine.options).clone();
    drop(engine);
    options.inbox_limit = Limit { messages: 3, bytes: 1 << 20 };
    let error = crate::client::turn::Engine::open(options.into(), 0, 1).err().unwrap();
    assert!(matches!(&error, OpenError::Option { option: "inbox_limit", .. }), "{error}");
    assert!(error.to_string().contains("the 4 messages"), "{error}");
    drop(folder);
}

#[test]
fn a_retained_message_appears_the_first_time_and_its_repeat_refreshes_the_age() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.turn_at(at(0), vec![retained(QoS::AtLeastOnce, 1, "door", "open")]).0.len(), 1);
    assert_eq!((bench.seqs(), bench.last("door")), (vec![1], ("open".to_owned(), NOW.wall_ms)));
    // The same again: answered as ever, and only the age changes.
    let (sends, _) = bench.turn_at(at(500), vec![retained(QoS::AtLeastOnce, 2, "door", "open")]);
    assert_eq!(sends, [Packet::PubAck(Ack::ok(2))]);
    assert_eq!((bench.seqs(), bench.last("door")), (vec![1], ("open".to_owned(), NOW.wall_ms + 500)));
    assert_eq!(bench.reader().status().unwrap().inbox_messages, 1, "it is not counted either");
    // Another value, and then the first one anew: both are news. So is one that is not retained.
    bench.turn_at(at(600), vec![retained(QoS::AtLeastOnce, 3, "door", "shut")]);
    bench.turn_at(at(700), vec![retained(QoS::AtLeastOnce, 4, "door", "open")]);
    bench.turn_at(at(800), vec![packet(Packet::Publish(publish(QoS::AtLeastOnce, 5, "door", "open")))]);
    assert_eq!(bench.inbox().len(), 4);
    assert!(bench.inbox().iter().all(|message| !message.replay));
    // Two copies in one turn, by overlapping subscriptions: one is new.
    let twice = vec![retained(QoS::AtLeastOnce, 6, "lamp", "on"), retained(QoS::AtLeastOnce, 7, "lamp", "on")];
    assert_eq!(bench.turn_at(at(900), twice).0.len(), 2);
    assert_eq!(bench.inbox().len(), 5);
    // And the limit is not used up by what was not stored.
    assert_eq!(bench.engine.session().hot().inbox_messages, 5);
}

#[test]
fn p3_a_repeat_of_qos_2_is_released_like_any_other() {
    let mut bench = Bench::new(|_| {});
    for pid in [1, 2] {
        let sends = bench.turn(vec![retained(QoS::ExactlyOnce, pid, "door", "open")]);
        assert_eq!(sends, [Packet::PubRec(Ack::ok(pid))]);
    }
    // A redelivery of the one that was not stored, after a restart.
    let (engine, _) = bench.engine.fail().reopen(NOW.wall_ms, 2).unwrap();
    let mut bench = Bench { engine, ..bench };
    let ack = crate::wire::packet::ConnAck {
        session_present: true,
        reason: crate::model::reason::ReasonCode::Success,
        properties: Default::default(),
    };
    bench.turn(vec![TurnInput::Session(Input::Connect), TurnInput::Session(Input::LinkUp(None))]);
    bench.turn(vec![packet(Packet::ConnAck(Box::new(ack)))]);
    let sends = bench.turn(vec![retained(QoS::ExactlyOnce, 2, "door", "open")]);
    assert_eq!(sends, [Packet::PubRec(Ack::ok(2))]);
    let sends = bench.turn(vec![packet(Packet::PubRel(Ack::ok(2)))]);
    assert!(sends.contains(&Packet::PubComp(Ack::ok(2))), "{sends:?}");
    assert_eq!(bench.seqs(), [1]);
    // The identifier means a new message now.
    bench.turn(vec![packet(Packet::Publish(publish(QoS::ExactlyOnce, 2, "door", "shut")))]);
    assert_eq!(bench.inbox().len(), 2);
}

#[test]
fn a_subscription_that_asks_for_retained_messages_gets_them_again_marked() {
    let mut bench = Bench::new(|_| {});
    let mut wish = Subscription::new(filter("door"), QoS::AtLeastOnce);
    wish.retain_handling = RetainHandling::Always;
    bench.subscribe(wish);
    let mut wish = Subscription::new(filter("bell"), QoS::AtLeastOnce);
    wish.retain_as_published = true;
    bench.subscribe(wish);
    for pid in [1, 2] {
        bench.turn(vec![
            retained(QoS::AtLeastOnce, pid, "door", "open"),
            retained(QoS::AtLeastOnce, pid + 2, "bell", "rings"),
        ]);
    }
    let found: Vec<_> = bench.inbox().into_iter().map(|message| (message.topic.to_string(), message.replay)).collect();
    let expected = [("door", false), ("bell", false), ("door", true), ("bell", false)];
    assert_eq!(
        found,
        expected.map(|(topic, replay)| (topic.to_owned(), replay)),
        "a bell that rings twice rings twice"
    );
    let history = bench.reader().history(&HistoryQuery::new(filter("door")), None, 9).unwrap();
    assert_eq!(history.messages.len(), 2);
}

#[test]
fn a_repeat_of_a_value_whose_message_has_gone_is_delivered() {
    let mut bench = Bench::new(|options| options.retention = Duration::ZERO);
    bench.turn(vec![retained(QoS::AtLeastOnce, 1, "door", "open")]);
    bench.turn(vec![done(1)]);
    bench.turn_at(at(90_000), tick());
    assert_eq!((bench.seqs(), bench.last("door").0), (vec![], "open".to_owned()));
    bench.turn_at(at(90_001), vec![retained(QoS::AtLeastOnce, 2, "door", "open")]);
    let inbox = bench.inbox();
    assert_eq!((inbox.len(), inbox[0].replay), (1, true), "a consumer made since would never have seen it");
}

#[test]
fn a_filter_that_brokers_close_the_link_over_is_not_wished_for() {
    for bad in ["a\nb", "a\u{7f}", "a\u{85}", "\u{fdd0}", "a\u{ffff}", "a\u{1ffff}", "$share/g\r/a"] {
        let wish = Subscription::new(TopicFilter::new(bad).unwrap(), QoS::AtLeastOnce);
        let refused = crate::client::check::subscription(&wish);
        assert!(matches!(refused, Err(Error::Invalid { what: "subscription", .. })), "{bad:?}");
    }
    let good = Subscription::new(TopicFilter::new("a b/\u{1f3e0}/\u{fffd}/#").unwrap(), QoS::AtLeastOnce);
    assert_eq!(crate::client::check::subscription(&good), Ok(()));
}
