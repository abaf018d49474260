//! The ordinals between the oldest unfinished message and the cursor: who is where in its flow.

use std::collections::VecDeque;

use crate::model::message::QoS;
use crate::model::rows::{InFlightRow, split_id};

/// Above this many spare places memory is given back.
const SPARE: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Finished, or never there: a hole.
    Done,
    /// PUBLISH sent (in this session, perhaps on an earlier link).
    Published,
    /// PUBREC has come.
    Released,
}

/// An ordinal between the oldest unfinished and the cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) progress: Progress,
    /// As sent on this link; lower than asked for if downgraded.
    pub(super) sent_qos: QoS,
    pub(super) downgraded: bool,
    pub(super) maybe_dup: bool,
    /// Counted in this link's window.
    pub(super) counted: bool,
    pub(super) size: u64,
}

pub(super) const HOLE: Slot = Slot {
    progress: Progress::Done,
    sent_qos: QoS::AtMostOnce,
    downgraded: false,
    maybe_dup: false,
    counted: false,
    size: 0,
};

/// A run of ordinals, the first one unfinished.
#[derive(Debug)]
pub(super) struct Slots {
    oldest: u64,
    slots: VecDeque<Slot>,
}

impl Slots {
    /// From the lane's rows that were in flight, in order; everything up to `sent_through` counts as sent.
    pub(super) fn new<'r>(in_flight: impl Iterator<Item = &'r InFlightRow>, sent_through: u64) -> Self {
        let mut slots = Self { oldest: sent_through + 1, slots: VecDeque::new() };
        for row in in_flight {
            let progress = if row.released { Progress::Released } else { Progress::Published };
            let (_, ord) = split_id(row.id);
            slots.reach(ord);
            let InFlightRow { qos: sent_qos, downgraded, maybe_dup, size, .. } = *row;
            slots.put(ord, Slot { progress, sent_qos, downgraded, maybe_dup, size, ..HOLE });
        }
        if !slots.is_empty() {
            slots.reach(sent_through);
        }
        slots
    }

    /// The oldest unfinished ordinal, or the next one to be sent.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// Makes places up to `ord`: holes for what is not there.
    pub(super) fn reach(&mut self, ord: u64) {
        if self.slots.is_empty() {
            self.oldest = ord;
        }
        self.slots.resize((ord + 1 - self.oldest) as usize, HOLE);
    }

    /// The place of an ordinal, if it is within the run.
    pub(super) fn get(&self, ord: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(ord.checked_sub(self.oldest)?).ok()?)
    }

    /// Fills the place of an ordinal.
    pub(super) fn put(&mut self, ord: u64, slot: Slot) {
        if let Some(place) = ord.checked_sub(self.oldest).and_then(|index| self.slots.get_mut(index as usize)) {
            *place = slot;
        }
    }

    /// An ordinal is finished; what was finished behind it is forgotten with it.
    pub(super) fn finish(&mut self, ord: u64) -> Option<Slot> {
        let place = self.slots.get_mut(usize::try_from(ord.checked_sub(self.oldest)?).ok()?)?;
        let finished = std::mem::replace(place, HOLE);
        while self.slots.front().is_some_and(|slot| slot.progress == Progress::Done) {
            self.slots.pop_front();
            self.oldest += 1;
        }
        if self.slots.capacity() - self.slots.len() > SPARE {
            self.slots.shrink_to(SPARE / 4);
        }
        Some(finished)
    }

    /// Forgets everything; the next ordinal to be sent is `ord`.
    pub(super) fn clear(&mut self, ord: u64) {
        self.slots.clear();
        self.oldest = ord;
    }
}
