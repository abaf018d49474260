//! Turns on a disk that is simulated to be full: what is refused, what is withheld, what goes on.

use tokio::sync::oneshot;

use super::engine::{Bench, NOW, packet};
use crate::client::command::Command;
use crate::client::turn::TurnInput;
use crate::model::error::{NoRoom, PublishError};
use crate::model::event::{Event, Storage};
use crate::model::message::{Publish, QoS};
use crate::model::options::Options;
use crate::model::topic::TopicName;
use crate::session::effect::{Input, Now};
use crate::wire::packet::{Ack, Packet, PublishPacket};

fn later(ms: i64) -> Now {
    Now { mono_ms: NOW.mono_ms + ms, ..NOW }
}

fn message(pid: u16) -> TurnInput {
    packet(Packet::Publish(PublishPacket {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TopicName::new("down").unwrap(),
        pid,
        payload: bytes::Bytes::from(vec![b'x'; 1_000]),
        props: None,
    }))
}

type Id = oneshot::Receiver<Result<u64, PublishError>>;

fn publish() -> (TurnInput, Id) {
    let message = Publish::new(TopicName::new("up").unwrap(), vec![b'x'; 1_000]);
    let message = crate::client::check::publish(message, &Options::new("unused")).unwrap();
    let _room = std::sync::Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
    let (answer, id) = oneshot::channel();
    (TurnInput::Command(Command::Publish { message, _room, answer }), id)
}

fn warnings(events: &[Event]) -> Vec<&'static str> {
    let code = |event: &Event| match event {
        Event::Warning { code, .. } => Some(*code),
        _ => None,
    };
    events.iter().filter_map(code).collect()
}

#[test]
fn p10_on_a_full_disk_publishes_fail_acks_are_withheld_and_progress_goes_on() {
    let mut bench = Bench::new(|_| {});
    let (first, mut id) = publish();
    let sends = bench.turn(vec![first]);
    let [Packet::Publish(PublishPacket { pid, .. })] = sends[..] else { panic!("{sends:?}") };
    assert_eq!(id.try_recv().unwrap(), Ok(1));
    bench.engine.store.simulate_free(100 << 10);

    let (second, mut refused) = publish();
    let (sends, events) = bench.turn_at(NOW, vec![message(7), second]);
    assert_eq!(sends, [], "nothing acknowledged that is not stored");
    assert_eq!(refused.try_recv().unwrap(), Err(PublishError::StorageFull { why: NoRoom::Disk }));
    assert_eq!(warnings(&events), ["storage_full"]);
    assert_eq!(bench.engine.metrics().storage, Storage::Full);
    assert_eq!(bench.engine.store.hot().inbox_messages, 0);

    // What is in flight comes to its end, and nobody is warned twice.
    let (_, events) = bench.turn_at(later(1_000), vec![packet(Packet::PubAck(Ack::ok(pid)))]);
    assert_eq!(warnings(&events), [""; 0]);
    assert_eq!(bench.engine.session().hot().outbox_messages(), 0);

    // Room is looked for once a second, and what waited goes on by itself.
    bench.engine.store.simulate_free(1 << 30);
    assert_eq!(bench.turn_at(later(1_500), vec![TurnInput::Session(Input::Tick)]), (vec![], vec![]));
    assert_eq!(bench.engine.timeout(later(1_500)), Some(later(2_000).mono_ms));
    let (sends, events) = bench.turn_at(later(2_000), vec![TurnInput::Session(Input::Tick)]);
    assert_eq!(sends, [Packet::PubAck(Ack::ok(7))]);
    assert_eq!(warnings(&events), ["storage_ok"]);
    assert_eq!(bench.engine.store.hot().inbox_messages, 1);
    let (third, mut id) = publish();
    bench.turn_at(later(2_001), vec![third]);
    assert_eq!(id.try_recv().unwrap(), Ok(2));
}

#[test]
fn p10_a_turn_takes_in_what_its_room_allows_and_the_next_one_goes_on() {
    let mut bench = Bench::new(|_| {});
    // Room for some hundreds of them, twice written.
    bench.engine.store.simulate_free((256 << 10) + (1 << 20));
    let (sends, _) = bench.turn_at(NOW, (1..=1_000).map(message).collect());
    let stored = sends.len();
    assert!((100..600).contains(&stored), "{stored} fit");
    assert_eq!(bench.engine.store.hot().inbox_messages, stored as u64);
    assert_eq!(bench.engine.timeout(NOW), Some(NOW.mono_ms), "the rest is looked at at once");
    bench.engine.store.simulate_free(1 << 30);
    let (sends, events) = bench.turn_at(NOW, vec![TurnInput::Session(Input::Tick)]);
    assert_eq!(stored + sends.len(), 1_000);
    assert_eq!(warnings(&events), [""; 0], "that was no shortage");
}

#[test]
fn shortages_at_the_edge_are_told_once_a_minute() {
    let mut bench = Bench::new(|_| {});
    let (mut told, mut pid) = (Vec::new(), 0);
    for second in 0..130 {
        let full = second % 4 < 2;
        bench.engine.store.simulate_free(if full { 100 << 10 } else { 1 << 30 });
        pid += 1;
        let (_, events) = bench.turn_at(later(second * 1_000), vec![message(pid)]);
        told.extend(warnings(&events).into_iter().map(|code| (second, code)));
        let storage = bench.engine.metrics().storage;
        assert_eq!(storage, if full { Storage::Full } else { Storage::Ok }, "{second}: whoever asks is told the truth");
    }
    let codes: Vec<&str> = told.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, ["storage_full", "storage_ok"].repeat(3), "{told:?}");
    // One that stays is told when the minute is over.
    bench.engine.store.simulate_free(100 << 10);
    let mut at = None;
    for second in 130..200 {
        let (_, events) = bench.turn_at(later(second * 1_000), vec![message(1_000)]);
        at = at.or_else(|| warnings(&events).contains(&"storage_full").then_some(second));
    }
    assert!(at.is_some_and(|at| at >= 180), "{at:?} after {told:?}");
}
