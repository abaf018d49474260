//! Who waits for the end of which message.

use std::collections::HashMap;

use super::command::{Answer, Reply};
use crate::model::error::Error;
use crate::model::event::Fate;
use crate::model::rows::split_id;

#[derive(Debug)]
struct Flush {
    answer: Answer<Result<bool, Error>>,
    /// `Now::mono_ms` at which the caller gives up.
    until: i64,
    /// The last id that counts, by lane.
    through: [u64; 2],
    left: u64,
    /// Settled entries of the first turn that were counted before this wait began.
    skip: usize,
}

impl Flush {
    fn covers(&self, n: u64) -> bool {
        self.through.get(split_id(n).0).is_some_and(|through| n <= *through)
    }
}

/// All waits. Those whose caller has gone are dropped when their turn comes, or when many have piled up.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    messages: HashMap<u64, Vec<Answer<Result<Fate, Error>>>>,
    flushes: Vec<Flush>,
    sweep_at: usize,
}

impl Waiters {
    /// For the end of one message.
    pub(crate) fn wait_for(&mut self, n: u64, answer: Answer<Result<Fate, Error>>) {
        let same = self.messages.entry(n).or_default();
        // An app that asks again and again, and gives up each time, leaves nothing behind.
        same.retain(|answer| !answer.is_closed());
        same.push(answer);
        if self.messages.len() > self.sweep_at.max(1024) {
            self.messages.retain(|_, answers| {
                answers.retain(|answer| !answer.is_closed());
                !answers.is_empty()
            });
            self.sweep_at = 2 * self.messages.len();
        }
    }

    /// For the end of the `left` messages with an id up to `through` in their lane.
    pub(crate) fn flush(
        &mut self,
        answer: Answer<Result<bool, Error>>,
        until: i64,
        through: [u64; 2],
        left: u64,
        skip: usize,
    ) {
        self.flushes.retain(|flush| !flush.answer.is_closed());
        self.flushes.push(Flush { answer, until, through, left, skip });
    }

    /// After a failed commit: answers what the rows say, and counts anew what is left.
    pub(crate) fn ask_again(&mut self, mut fate: impl FnMut(u64) -> Option<Fate>, through: [u64; 2], left: u64) {
        let ended = |n: &u64| fate(*n).filter(Fate::is_final).map(|fate| (*n, fate));
        let ended: Vec<_> = self.messages.keys().filter_map(ended).collect();
        for (n, fate) in ended {
            for answer in self.messages.remove(&n).unwrap_or_default() {
                Reply::Fate(answer, fate.clone()).committed();
            }
        }
        for flush in &mut self.flushes {
            (flush.through, flush.left, flush.skip) = (through, left, 0);
        }
    }

    /// Whoever waits is told why it goes no further.
    pub(crate) fn end(&mut self, error: &Error) {
        let messages = self.messages.drain().flat_map(|(_, answers)| answers);
        messages.for_each(|answer| drop(answer.send(Err(error.clone()))));
        self.flushes.drain(..).for_each(|flush| drop(flush.answer.send(Err(error.clone()))));
    }

    /// How many wait for a message.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.messages.values().map(Vec::len).sum()
    }

    /// When the first caller gives up.
    pub(crate) fn deadline(&self) -> Option<i64> {
        self.flushes.iter().map(|flush| flush.until).min()
    }

    /// A turn is committed: messages have come to their end, and time has passed.
    pub(crate) fn settled(&mut self, settled: &[(u64, Fate)], now_ms: i64, replies: &mut Vec<Reply>) {
        if !self.messages.is_empty() {
            for (n, fate) in settled {
                let answers = self.messages.remove(n).unwrap_or_default();
                replies.extend(answers.into_iter().map(|answer| Reply::Fate(answer, fate.clone())));
            }
        }
        let mut index = 0;
        while index < self.flushes.len() {
            let flush = &mut self.flushes[index];
            let skip = std::mem::take(&mut flush.skip);
            let ended = settled[skip..].iter().filter(|(n, _)| flush.covers(*n)).count() as u64;
            flush.left = flush.left.saturating_sub(ended);
            if flush.left == 0 || flush.until <= now_ms {
                let Flush { answer, left, .. } = self.flushes.swap_remove(index);
                replies.push(Reply::Flushed(answer, left == 0));
            } else {
                index += 1;
            }
        }
    }
}
