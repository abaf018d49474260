//! An inbox that drops its oldest, at its edges: what a link that ends, a receive maximum and a large message do to it (P7).

use super::engine::{Bench, NOW, done, packet};
use crate::client::turn::TurnInput;
use crate::model::event::{Event, Why};
use crate::model::message::QoS;
use crate::model::options::{InboxFull, Limit};
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::{Input, Now};
use crate::store::reader::Reader;
use crate::wire::packet::{Ack, Packet, PublishPacket};

fn publish(qos: QoS, pid: u16, bytes: usize) -> TurnInput {
    packet(Packet::Publish(PublishPacket {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new("down").unwrap(),
        pid,
        payload: vec![b'x'; bytes].into(),
        props: None,
    }))
}

fn full(limit: Limit, policy: InboxFull) -> Bench {
    let few = limit.messages.min(1_000);
    let mut bench = Bench::new(|options| (options.inbox_limit, options.inbox_full) = (limit, policy));
    bench.turn((0..few).map(|_| publish(QoS::AtMostOnce, 0, 1)).collect());
    bench
}

fn seqs(bench: &Bench) -> Vec<u64> {
    let reader = Reader::open(&bench.folder.path().join("store.db")).unwrap();
    reader.inbox(0, 500).unwrap().iter().map(|message| message.at.seq()).collect()
}

#[test]
fn p7_what_waits_for_room_in_a_turn_outlives_a_link_that_ends_in_it() {
    let mut bench = full(Limit { messages: 5, bytes: 1 << 20 }, InboxFull::DropOldest);
    // Nobody sends QoS 0 again.
    bench.turn(vec![
        publish(QoS::AtMostOnce, 0, 1),
        publish(QoS::AtLeastOnce, 7, 1),
        publish(QoS::AtMostOnce, 0, 1),
        TurnInput::Session(Input::LinkDown(Why::Closed)),
    ]);
    assert_eq!(seqs(&bench), [3, 4, 5, 6, 7], "both of QoS 0; the other one comes again");
}

#[test]
fn qos_0_messages_that_wait_for_room_are_none_of_the_receive_maximum() {
    let mut bench = full(Limit { messages: 1_000, bytes: 1 << 20 }, InboxFull::DropOldest);
    let mut inputs: Vec<_> = (0..1_500).map(|_| publish(QoS::AtMostOnce, 0, 1)).collect();
    inputs.push(publish(QoS::AtLeastOnce, 1, 1));
    let (sends, events) = bench.turn_at(NOW, inputs);
    assert_eq!(sends, [Packet::PubAck(Ack::ok(1))]);
    let blamed = events.iter().any(|event| matches!(event, Event::Warning { code: "protocol_violation", .. }));
    assert!(!blamed, "{events:?}");
    assert_eq!(seqs(&bench)[..2], [1_502, 1_503]);
}

#[test]
fn p7_a_message_larger_than_what_may_wait_in_memory_gets_in() {
    let mut bench = full(Limit { messages: 5, bytes: 12 << 20 }, InboxFull::DropOldest);
    bench.turn(vec![publish(QoS::AtLeastOnce, 1, 5 << 20)]);
    let sends = bench.turn(vec![publish(QoS::AtLeastOnce, 2, 9 << 20)]);
    assert_eq!(sends, [Packet::PubAck(Ack::ok(2))]);
    assert_eq!(seqs(&bench), [7]);
}

#[test]
fn room_for_a_large_message_among_many_small_ones_is_made_turn_after_turn() {
    for policy in [InboxFull::DropOldest, InboxFull::Pause] {
        let mut bench = full(Limit { messages: 100_000, bytes: 50_000 }, policy);
        bench.turn((0..8_900).map(|_| publish(QoS::AtMostOnce, 0, 1)).collect());
        if policy == InboxFull::Pause {
            bench.turn(vec![done(9_900)]);
        }
        let mut sends = bench.turn(vec![publish(QoS::AtLeastOnce, 1, 40_000)]);
        let mut turns = 0;
        // The broker waits for the acknowledgement, the app for the message.
        while sends.is_empty() && bench.engine.timeout(NOW).is_some_and(|at| at <= NOW.mono_ms) && turns < 20 {
            sends = bench.turn(vec![TurnInput::Session(Input::Tick)]);
            turns += 1;
        }
        assert_eq!(sends, [Packet::PubAck(Ack::ok(1))], "{policy:?} after {turns} turns");
        let later = Now { mono_ms: NOW.mono_ms + 1, ..NOW };
        bench.turn_at(later, vec![TurnInput::Session(Input::Tick)]);
        assert!(bench.engine.timeout(later).is_none_or(|at| at > later.mono_ms), "and then there is rest");
    }
}

#[test]
fn p7_a_gap_names_only_what_a_consumer_still_wanted() {
    let mut bench = Bench::new(|options| {
        options.inbox_limit = Limit { messages: 4, bytes: 1 << 20 };
        options.inbox_full = InboxFull::DropOldest;
        options.first_consumer_filters = vec![TopicFilter::new("down").unwrap()];
    });
    let other = packet(Packet::Publish(PublishPacket {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new("other").unwrap(),
        pid: 0,
        payload: bytes::Bytes::new(),
        props: None,
    }));
    let mut inputs = vec![publish(QoS::AtMostOnce, 0, 1), other];
    inputs.extend((0..4).map(|_| publish(QoS::AtMostOnce, 0, 1)));
    bench.turn(inputs);
    assert_eq!(seqs(&bench), [3, 4, 5, 6]);
    let gaps = Reader::open(&bench.folder.path().join("store.db")).unwrap().gaps().unwrap();
    let filters: Vec<_> = gaps.iter().flat_map(|gap| gap.filters.iter().map(TopicFilter::as_str)).collect();
    assert_eq!(filters, ["down"], "nobody wanted the other one");
}
