//! Which accepted messages still wait for their verdict: as ranges of ids, so that a long outbox costs no memory.

use std::collections::{BTreeMap, BTreeSet};

use homing::{Fate, MessageId, Reader};

use crate::exit::Failure;

/// Rows of the outbox that one read takes.
const PAGE: usize = 500;

#[derive(Default)]
pub(crate) struct Verdicts {
    /// First and last id of each range.
    pending: BTreeMap<u64, u64>,
    /// The first id of this run: verdicts of earlier ones are news too, and are told as they come.
    first: Option<u64>,
    /// Told as parked: that may change.
    parked: BTreeSet<u64>,
}

impl Verdicts {
    pub(crate) fn accepted(&mut self, id: u64) {
        self.first.get_or_insert(id);
        match self.pending.range_mut(..id).next_back() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => {
                self.pending.insert(id, id);
            }
        }
    }

    /// Whether this end is news.
    pub(crate) fn settled(&mut self, id: u64, fate: &Fate) -> bool {
        if self.parked.remove(&id) {
            if let Fate::Superseded(by) = fate {
                // It goes out under this id now.
                self.accepted(by.number());
            }
            return true;
        }
        let news = self.ended(id) || self.first.is_none_or(|first| id < first);
        if news && matches!(fate, Fate::Parked(_)) {
            self.parked.insert(id);
        }
        news
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// After missed events: tells every end that was not told, from the rows. Only what this run accepted is known.
    pub(crate) fn catch_up(
        &mut self,
        reader: &Reader,
        mut tell: impl FnMut(u64, &Fate) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some((&first, _)) = self.pending.first_key_value() else { return Ok(()) };
        let mut after = first - 1;
        loop {
            let rows = reader.outbox(after, PAGE)?;
            let full = rows.len() == PAGE;
            let through = rows.last().filter(|_| full).map_or(u64::MAX, |row| row.id.number());
            // What is parked has its verdict, though it has a row.
            let rows: Vec<u64> = rows.iter().filter(|row| !row.fate.is_final()).map(|row| row.id.number()).collect();
            for id in self.missing(after, through, &rows) {
                let fate = reader.fate(MessageId::new(reader.store_id(), id))?;
                if fate.is_final() && self.ended(id) {
                    if matches!(fate, Fate::Parked(_)) {
                        self.parked.insert(id);
                    }
                    tell(id, &fate)?;
                }
            }
            if !full {
                return Ok(());
            }
            after = through;
        }
    }

    /// Pending ids with `after < id <= through` that are not among these rows.
    fn missing(&self, after: u64, through: u64, rows: &[u64]) -> Vec<u64> {
        let begin = self.pending.range(..=after).next_back().map_or(0, |(first, _)| *first);
        let ranges = self.pending.range(begin..).take_while(|(first, _)| **first <= through);
        ranges
            .flat_map(|(first, last)| (*first).max(after + 1)..=(*last).min(through))
            .filter(|id| rows.binary_search(id).is_err())
            .collect()
    }

    /// Whether this run accepted it and had not been told its end.
    pub(crate) fn ended(&mut self, id: u64) -> bool {
        let Some((&first, &last)) = self.pending.range(..=id).next_back() else { return false };
        if last < id {
            return false;
        }
        self.pending.remove(&first);
        if first < id {
            self.pending.insert(first, id - 1);
        }
        if id < last {
            self.pending.insert(id + 1, last);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(verdicts: &Verdicts) -> Vec<(u64, u64)> {
        verdicts.pending.iter().map(|(first, last)| (*first, *last)).collect()
    }

    #[test]
    fn neighbours_are_one_range_and_split_when_one_ends() {
        let mut verdicts = Verdicts::default();
        (1..=5).chain([9]).for_each(|id| verdicts.accepted(id));
        assert_eq!(ranges(&verdicts), [(1, 5), (9, 9)]);
        assert!(
            verdicts.settled(3, &Fate::DELIVERED)
                && verdicts.settled(1, &Fate::DELIVERED)
                && verdicts.settled(9, &Fate::DELIVERED)
        );
        assert_eq!(ranges(&verdicts), [(2, 2), (4, 5)]);
        assert!(
            verdicts.settled(2, &Fate::DELIVERED)
                && verdicts.settled(4, &Fate::DELIVERED)
                && verdicts.settled(5, &Fate::DELIVERED)
        );
        assert!(verdicts.is_empty());
    }

    #[test]
    fn an_end_is_told_once_and_ends_of_earlier_runs_are_told() {
        let mut verdicts = Verdicts::default();
        assert!(verdicts.settled(7, &Fate::DELIVERED), "nothing accepted yet: of an earlier run");
        verdicts.accepted(10);
        assert!(verdicts.settled(9, &Fate::DELIVERED));
        assert!(verdicts.settled(10, &Fate::DELIVERED));
        assert!(!verdicts.settled(10, &Fate::DELIVERED));
        assert!(!verdicts.settled(11, &Fate::DELIVERED));
    }

    #[test]
    fn a_parked_message_is_followed_to_its_end() {
        let mut verdicts = Verdicts::default();
        (10..=12).for_each(|id| verdicts.accepted(id));
        let parked = Fate::Parked(homing::ReasonCode::QosNotSupported);
        assert!(verdicts.settled(10, &parked) && verdicts.settled(11, &parked) && verdicts.settled(12, &parked));
        assert!(verdicts.is_empty());
        let by = MessageId::new(homing::StoreId([0; 16]), 20);
        assert!(verdicts.settled(11, &Fate::Superseded(by)) && verdicts.settled(20, &Fate::DELIVERED));
        assert!(verdicts.settled(12, &Fate::Cancelled) && !verdicts.settled(12, &Fate::Cancelled));
    }

    #[test]
    fn missing_are_those_without_a_row_within_the_page() {
        let mut verdicts = Verdicts::default();
        (1..=10).chain(20..=22).for_each(|id| verdicts.accepted(id));
        assert_eq!(verdicts.missing(0, 8, &[2, 4, 8]), [1, 3, 5, 6, 7]);
        assert_eq!(verdicts.missing(8, u64::MAX, &[21]), [9, 10, 20, 22]);
        assert_eq!(verdicts.missing(15, 19, &[]), [0u64; 0]);
    }

    #[tokio::test]
    async fn what_the_stream_dropped_is_told_from_the_rows_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = homing::Options::new(folder.path().join("s.db"));
        options.connect = false;
        let homing = homing::Homing::open(options).await.unwrap();
        let message = |ttl| {
            let mut message = homing::Publish::new("a".parse().unwrap(), "x");
            message.ttl = ttl;
            message
        };
        let ttl = |n: u64| n.is_multiple_of(3).then_some(std::time::Duration::from_millis(1));
        // More than a page, so that its border is crossed.
        let ids = homing.publish_all((0..1200).map(|n| message(ttl(n))).collect()).await.unwrap();
        let mut verdicts = Verdicts::default();
        ids.iter().for_each(|id| verdicts.accepted(id.number()));
        let expired: Vec<u64> = ids.iter().step_by(3).map(MessageId::number).collect();
        for id in ids.iter().step_by(3) {
            assert_eq!(homing.settled(*id).await.unwrap(), Fate::Expired);
        }
        let reader = homing.reader().unwrap();
        for expected in [expired, Vec::new()] {
            let mut told = Vec::new();
            verdicts
                .catch_up(&reader, |id, fate| {
                    told.push((id, fate.clone()));
                    Ok(())
                })
                .unwrap();
            assert_eq!(told, expected.into_iter().map(|id| (id, Fate::Expired)).collect::<Vec<_>>());
        }
        assert!(!verdicts.is_empty());
    }
}
