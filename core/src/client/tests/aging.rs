//! The wall clock jumps: nothing goes for its age until somebody had a day to put the clock right.

use std::time::Duration;

use super::engine::{Bench, NOW, done};
use super::inbox::{at, skipped, tick};
use crate::client::ConsumerSpec;
use crate::model::consumer::Lag;
use crate::model::event::Event;
use crate::session::effect::Now;

const DAY: i64 = 24 * 3_600_000;

/// The wall is `jump_ms` ahead of where it should be.
fn jumped(ms: i64, jump_ms: i64) -> Now {
    Now { wall_ms: NOW.wall_ms + ms + jump_ms, ..at(ms) }
}

fn warned(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Warning { code: "clock_jumped", .. }))
}

#[test]
fn p4_a_jump_of_the_wall_clock_deletes_nothing_for_a_day() {
    let mut bench = Bench::new(|options| options.retention = Duration::from_secs(10 * 86_400));
    bench.consumer(ConsumerSpec::new("alarm").lag(Lag::Expire { after: Duration::from_secs(80) })).unwrap();
    bench.receive(1..=3, at(0));
    bench.turn_at(at(10), (1..=3).map(done).collect());
    let (_, events) = bench.turn_at(jumped(200_000, 40 * DAY), tick());
    assert!(warned(&events));
    assert_eq!((bench.seqs(), skipped(&events)), (vec![1, 2, 3], vec![]));
    let now = jumped(200_000, 40 * DAY);
    assert!(bench.engine.timeout(now).is_some_and(|at| at > now.mono_ms), "a day of turns without a pause");

    // A restart does not forget it.
    let (engine, _) = bench.engine.fail().reopen(NOW.wall_ms, 2).unwrap();
    let mut bench = Bench { engine, ..bench };
    let (_, events) = bench.turn_at(jumped(DAY - 60_000, 40 * DAY), tick());
    assert!(!warned(&events));
    assert_eq!((bench.seqs(), skipped(&events)), (vec![1, 2, 3], vec![]));

    // Nobody has put it right: the wall counts.
    let (_, events) = bench.turn_at(jumped(DAY + 300_000, 40 * DAY), tick());
    assert_eq!(skipped(&events), [("alarm".to_owned(), 3, 1, 3)]);
    bench.turn_at(jumped(DAY + 400_000, 40 * DAY), tick());
    assert_eq!(bench.seqs(), [] as [u64; 0]);
}
