//! The count at the end: what was accepted against what stands in the inboxes on disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use homing::{QoS, Reader};
use serde_json::{Value, json};

use super::device::number;
use crate::exit::Failure;

/// One kind of message, from those who accepted it to the inbox where it belongs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    /// A message that stands behind a newer one of its kind.
    pub(super) out_of_order: u64,
}

impl Count {
    /// `arrived`: numbers in the order of the inbox. What arrived without ever being reported as accepted (its process
    /// was killed between the commit and the report) counts as neither sent nor received.
    fn new(accepted: &HashSet<u64>, arrived: impl Iterator<Item = u64>) -> Self {
        let mut count = Self { sent: accepted.len() as u64, ..Self::default() };
        let mut seen = HashSet::new();
        let mut newest = None;
        for number in arrived {
            if !seen.insert(number) {
                count.duplicated += 1;
                continue;
            }
            count.received += u64::from(accepted.contains(&number));
            count.out_of_order += u64::from(newest > Some(number));
            newest = newest.max(Some(number));
        }
        count.lost = count.sent - count.received;
        count
    }
}

/// The result of the demo.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) once: Count,
    pub(super) at_least_once: Count,
    pub(super) commands: Count,
    pub(super) gaps: u64,
    /// Messages that the app was shown a second time, with the position it had already seen.
    pub(super) shown_again: u64,
    pub(super) kills: u64,
    pub(super) seconds: f64,
}

/// Where to count, and what was promised.
pub(super) struct Evidence<'a> {
    pub(super) phone: &'a Path,
    pub(super) house: &'a Path,
    pub(super) readings: &'a HashSet<u64>,
    /// By number.
    pub(super) qualities: &'a [QoS],
    pub(super) commands: &'a HashSet<u64>,
}

impl Outcome {
    pub(super) fn count(evidence: &Evidence<'_>) -> Result<Self, Failure> {
        let (readings, phone_gaps) = inbox(evidence.phone)?;
        let (commands, house_gaps) = inbox(evidence.house)?;
        let quality: HashMap<u64, QoS> = (0..).zip(evidence.qualities.iter().copied()).collect();
        let of = |wanted: QoS| {
            let is = |number: &u64| quality.get(number) == Some(&wanted);
            let accepted = evidence.readings.iter().copied().filter(is).collect();
            Count::new(&accepted, readings.iter().copied().filter(is))
        };
        Ok(Self {
            once: of(QoS::ExactlyOnce),
            at_least_once: of(QoS::AtLeastOnce),
            commands: Count::new(evidence.commands, commands.iter().copied()),
            gaps: phone_gaps + house_gaps,
            shown_again: 0,
            kills: 0,
            seconds: 0.0,
        })
    }

    fn counts(&self) -> [&Count; 3] {
        [&self.once, &self.at_least_once, &self.commands]
    }

    pub(super) fn lost(&self) -> u64 {
        self.counts().iter().map(|count| count.lost).sum()
    }

    /// QoS 2 only: QoS 1 may arrive twice by definition.
    pub(super) const fn duplicates(&self) -> u64 {
        self.once.duplicated + self.commands.duplicated
    }

    pub(super) fn passed(&self) -> bool {
        self.lost() == 0 && self.duplicates() == 0
    }

    pub(super) fn json(&self) -> Value {
        let sum = |field: fn(&Count) -> u64| self.counts().into_iter().map(field).sum::<u64>();
        json!({
            "step": "table",
            "sent": sum(|count| count.sent),
            "received": sum(|count| count.received),
            "lost": self.lost(),
            "duplicates": self.duplicates(),
            "duplicates_qos1": self.at_least_once.duplicated,
            "out_of_order": sum(|count| count.out_of_order),
            "gaps": self.gaps,
            "kills": self.kills,
            "shown_again": self.shown_again,
            "seconds": (self.seconds * 10.0).round() / 10.0,
        })
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["", "sent", "received", "lost", "duplicated", "gaps"]);
        let rows = [
            ("readings, QoS 2", &self.once),
            ("readings, QoS 1 (may double)", &self.at_least_once),
            ("commands, QoS 2", &self.commands),
        ];
        for (name, count) in rows {
            let numbers = [count.sent, count.received, count.lost, count.duplicated].map(|number| number.to_string());
            table.add_row([name.to_owned()].into_iter().chain(numbers).chain([String::new()]));
        }
        let sum = self.counts().iter().fold((0, 0), |sum, count| (sum.0 + count.sent, sum.1 + count.received));
        let all = [sum.0, sum.1, self.lost(), self.duplicates(), self.gaps].map(|number| number.to_string());
        table.add_row(["all (doubles: QoS 2)".to_owned()].into_iter().chain(all));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// The numbers in an inbox, in order, and the number of recorded gaps.
fn inbox(store: &Path) -> Result<(Vec<u64>, u64), Failure> {
    let reader = Reader::open(store)?;
    let mut numbers = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.inbox(after, 500)?;
        let Some(last) = page.last() else { break };
        after = last.at.seq();
        numbers.extend(page.iter().filter_map(|message| std::str::from_utf8(&message.payload).ok().and_then(number)));
    }
    Ok((numbers, reader.gaps()?.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_losses_doubles_and_order() {
        let accepted = HashSet::from([0, 1, 2, 3]);
        let count = Count::new(&accepted, [0, 2, 1, 2, 9].into_iter());
        assert_eq!(count, Count { sent: 4, received: 3, lost: 1, duplicated: 1, out_of_order: 1 });
    }
}
