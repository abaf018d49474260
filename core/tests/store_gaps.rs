//! Recorded gaps are bounded (P7).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use homing::GapCause;
use homing::internals::writes::Write;
use homing::store::MAX_GAPS;
use homing::store::reader::Reader;
use store_common::*;

#[test]
fn p7_gaps_are_bounded_and_the_oldest_closed_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let hot = store.hot();
    let note = |n: u64, bytes| {
        let mut gap = Reader::open(&path(&folder)).unwrap().gaps().unwrap().remove(0);
        (gap.filters, gap.cause, gap.to_ms) = (vec![filter("a"), filter("b")], GapCause::TooLarge, Some(n as i64));
        (gap.from_ms, gap.bytes) = (n as i64, bytes);
        gap
    };
    let cause = GapCause::SessionLost;
    store.write(Write::GapOpen { filter: filter("open/#"), cause, from_ms: 1, after_seq: 0 }).unwrap();
    store.commit(&hot).unwrap();
    let template = note(0, Some(70_000));
    for n in 0..MAX_GAPS {
        let mut gap = template.clone();
        (gap.from_ms, gap.to_ms) = (n as i64, Some(n as i64));
        store.write(Write::GapNote(gap)).unwrap();
        if n % 1_000 == 0 {
            store.commit(&hot).unwrap();
        }
    }
    store.commit(&hot).unwrap();
    let gaps = Reader::open(&path(&folder)).unwrap().gaps().unwrap();
    let rows: usize = gaps.iter().map(|gap| gap.filters.len()).sum();
    assert!(rows as u64 <= MAX_GAPS, "{rows}");
    assert_eq!((gaps[0].cause, gaps[0].to_ms), (GapCause::SessionLost, None), "an open one stays");
    let newest = gaps.last().unwrap();
    assert_eq!((newest.from_ms, newest.bytes, newest.filters.len()), (MAX_GAPS as i64 - 1, Some(70_000), 2));
}
