//! One bounded catch-up: connect, send the outbox, receive until the broker has nothing more, and go again.

use std::time::Duration;

use super::command::{Answer, Reply};
use super::turn::Engine;
use crate::model::error::Error;
use crate::model::event::{Event, Fate, State};
use crate::model::life::SyncReport;
use crate::session::effect::{Input, Now};
use crate::store::StoreError;

/// What of the deadline is kept for the goodbye and the last commit; a quarter of a short one.
const RESERVE_MS: i64 = 2_000;

/// One catch-up under way.
#[derive(Debug)]
pub(crate) struct Sync {
    answer: Answer<Result<SyncReport, Error>>,
    /// `Now::mono_ms` at which to say goodbye, and at which to answer at the latest.
    stop_ms: i64,
    until_ms: i64,
    /// Connected or trying before: then it stays so.
    stay: bool,
    ending: bool,
    next_seq: u64,
    report: SyncReport,
}

impl Engine {
    /// Begins one.
    pub(super) fn sync(
        &mut self,
        deadline: Duration,
        answer: Answer<Result<SyncReport, Error>>,
        now: Now,
    ) -> Result<(), StoreError> {
        let ms = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4);
        // Beside another one: what was wanted before that one counts.
        let stay = self.syncs.first().map_or_else(|| self.session.is_wanted(), |sync| sync.stay);
        self.syncs.push(Sync {
            answer,
            stop_ms: now.mono_ms + ms - RESERVE_MS.min(ms / 4),
            until_ms: now.mono_ms + ms,
            stay,
            ending: false,
            next_seq: self.session.hot().next_seq,
            report: SyncReport::default(),
        });
        self.session.watch_drain(true);
        self.look_into_mailbox(now.mono_ms);
        self.step(Input::Connect, now)
    }

    /// The app says what it wants of the connection: the syncs under way have no say in it any more.
    pub(super) fn overrule_syncs(&mut self, connected: bool) {
        for sync in &mut self.syncs {
            sync.stay = true;
            sync.ending |= !connected;
        }
    }

    /// Whether the app itself wants to be connected: a sync that will disconnect does not count.
    pub(super) fn is_wanted_by_app(&self) -> bool {
        self.syncs.first().map_or_else(|| self.session.is_wanted(), |sync| sync.stay)
    }

    /// When the next one has to say goodbye or to answer.
    pub(super) fn sync_timeout(&self) -> Option<i64> {
        self.syncs.iter().map(|sync| if sync.ending { sync.until_ms } else { sync.stop_ms }).min()
    }

    /// Before the commit: which of them are done.
    pub(super) fn end_syncs(&mut self, now: Now) -> Result<(), StoreError> {
        if self.syncs.is_empty() {
            return Ok(());
        }
        let drained = self.session.is_drained(now) && !self.mailbox_waits();
        let mut leave = true;
        for sync in &mut self.syncs {
            let idle = self.session.is_idle_until(sync.stop_ms);
            if !sync.ending && (drained || idle || sync.stop_ms <= now.mono_ms || sync.answer.is_closed()) {
                sync.ending = true;
                sync.report.drained = drained;
            }
            leave &= sync.ending && !sync.stay;
        }
        if leave && self.session.is_wanted() {
            self.step(Input::Disconnect { with_will: false }, now)?;
        }
        Ok(())
    }

    /// After the commit: counts, and answers those whose link is gone.
    pub(super) fn count_syncs(&mut self, now: Now, replies: &mut Vec<Reply>) {
        if self.syncs.is_empty() {
            return;
        }
        let sent =
            self.fx.settled.iter().filter(|(_, fate)| matches!(fate, Fate::Delivered { .. } | Fate::Sent)).count();
        let trouble = self.fx.events.iter().rev().find_map(|event| match event {
            Event::State(State::Waiting { why, .. }) => Some(why.clone()),
            Event::State(State::Offline(why)) if *why != crate::model::event::Why::Asked => Some(why.clone()),
            _ => None,
        });
        let (up, down, hot) = (self.session.is_up(), self.session.is_down(), *self.session.hot());
        let mut index = 0;
        while index < self.syncs.len() {
            let sync = &mut self.syncs[index];
            sync.report.sent += sent as u64;
            sync.report.connected |= up;
            if trouble.is_some() {
                sync.report.trouble.clone_from(&trouble);
            }
            if sync.ending && (sync.stay || down || sync.until_ms <= now.mono_ms) {
                let Sync { answer, mut report, next_seq, .. } = self.syncs.remove(index);
                report.received = hot.next_seq.saturating_sub(next_seq);
                report.waiting = hot.lanes.iter().map(|lane| lane.messages).sum();
                replies.push(Reply::Synced(answer, report));
            } else {
                index += 1;
            }
        }
        if self.syncs.is_empty() {
            self.session.watch_drain(false);
        }
    }
}

/// The store has failed: those whose time is over are told so.
pub(super) fn give_up(syncs: &mut Vec<Sync>, now_ms: i64, error: &Error) {
    let mut index = 0;
    while index < syncs.len() {
        if syncs[index].until_ms <= now_ms {
            drop(syncs.remove(index).answer.send(Err(error.clone())));
        } else {
            index += 1;
        }
    }
}

/// All of them end without a report.
pub(super) fn end_all(syncs: &mut Vec<Sync>, error: &Error) {
    syncs.drain(..).for_each(|sync| drop(sync.answer.send(Err(error.clone()))));
}
