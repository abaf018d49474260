//! After a failed commit: the way on is the way in. The file is opened again and the session rebuilt from its rows.

use std::time::Duration;

use super::clock::wall_ms;
use super::command::Reply;
use super::driver::{Driver, Slot};
use super::failed::Failed;
use super::room::publish_error;
use super::turn::{Engine, TurnInput};
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::{Event, State, Why};
use crate::model::life::Resumed;
use crate::session::effect::Input;
use crate::store::{SetAside, StoreError, StoreErrorKind};

/// Pauses between attempts to open a store that has failed: 100 ms, doubled up to this.
pub(super) const REOPEN_LIMIT: Duration = Duration::from_secs(10);

impl Driver {
    /// The commit failed: nothing of the turn was sent. Close everything, open the file again, go on from its rows.
    pub(super) async fn recover(&mut self, error: StoreError) -> bool {
        tracing::error!(error = %error, "commit failed; the store is opened again");
        self.keep_counters();
        self.slot = Slot::None;
        if let Some(glance) = &mut self.glance {
            glance.close();
        }
        self.fanout.events(&mut vec![Event::State(State::Offline(Why::Store(error.text.clone())))]);
        self.take_endings();
        let mut replies = std::mem::take(&mut self.out.replies);
        let Some(mut failed) = self.engine.take().map(Engine::fail) else { return false };
        let mut pause = failed.pause();
        let other = Error::Storage { detail: error.text.clone() };
        // Once may be the handle; a second time it is the file.
        let corrupt = |again: &OpenError| matches!(again, OpenError::StoreCorrupt { .. } | OpenError::NotAStore { .. });
        let mut damaged = error.kind == StoreErrorKind::Corrupt && failed.count_damage() > 1;
        loop {
            if damaged {
                return self.give_up(failed, replies, other).await;
            }
            match failed.reopen(wall_ms(), fastrand::u64(..)) {
                Ok((engine, true)) => {
                    self.fanout.settled(&mut self.out.settled);
                    replies.drain(..).for_each(Reply::committed);
                    self.engine = Some(engine);
                    break;
                }
                Ok((engine, false)) => {
                    self.out.settled.clear();
                    replies.drain(..).for_each(|reply| reply.failed(&publish_error(&error), &other));
                    self.engine = Some(engine);
                    break;
                }
                Err(again) => {
                    // Whether it happened cannot be read now: callers are told so, rather than left to wait.
                    replies.drain(..).for_each(|reply| reply.failed(&PublishError::Unknown, &other));
                    tracing::error!(error = %again, "the store cannot be opened again yet");
                    damaged = corrupt(&again) && failed.count_damage() > 1;
                }
            }
            failed.give_up(self.clock.now().mono_ms, &other);
            // Nobody is left to wait while there is no store, and whoever wants to close may.
            while let Ok(command) = self.commands.try_recv() {
                Engine::promise(command, &mut self.out);
            }
            let unavailable = PublishError::Storage { detail: error.text.clone() };
            self.out.replies.drain(..).for_each(|reply| reply.failed(&unavailable, &other));
            self.take_endings();
            if self.closing.is_some() {
                failed.end_all(&Error::Closed);
                self.closing_failed(&other).await;
                return false;
            }
            if let Some((_, answers, _)) = self.pausing.take() {
                answers.into_iter().for_each(|answer| drop(answer.send(Err(other.clone()))));
                // There is no pause to come back from.
                self.resumed(Resumed::default());
            }
            if self.commands.is_closed() {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(REOPEN_LIMIT);
        }
        // A full disk fails every commit: a pause keeps the loop from running hot.
        tokio::time::sleep(pause).await;
        let ending = self.closing.is_some() || self.pausing.is_some();
        self.inputs.push(TurnInput::Session(if ending { Input::Disconnect { with_will: false } } else { Input::Tick }));
        true
    }

    /// The file is damaged. It is set aside at once, and this client ends: the new store is another one, with other ids.
    async fn give_up(&mut self, mut failed: Failed, mut replies: Vec<Reply>, other: Error) -> bool {
        replies.drain(..).for_each(|reply| reply.failed(&PublishError::Unknown, &other));
        failed.end_all(&other);
        match failed.set_aside(wall_ms()) {
            Ok(aside) => self.fanout.events(&mut aside.iter().map(store_damaged).collect()),
            Err(error) => tracing::error!(%error, "the damaged store cannot be set aside yet; the next client does"),
        }
        self.closing_failed(&other).await;
        false
    }

    /// Whoever wants to close the client is told what went wrong.
    async fn closing_failed(&mut self, error: &Error) {
        self.end_reading().await;
        for answer in self.closing.take().into_iter().flat_map(|(_, answers)| answers) {
            drop(answer.send(Err(error.clone())));
        }
    }
}

/// After a failed checkpoint: whether the handle may not be used again. A full disk or somebody's lock is tried again.
pub(super) fn leaves_doubt(error: &StoreError) -> bool {
    tracing::warn!(%error, "checkpoint failed");
    !matches!(error.kind, StoreErrorKind::Full | StoreErrorKind::Busy)
}

/// What an app is told of a damaged file.
pub(super) fn store_damaged(aside: &SetAside) -> Event {
    let text = format!(
        "the store's file was damaged; it was set aside as {}, and {} rows were saved into a new store; what was sent may be \
         sent twice, and what was received meanwhile may be missing (gaps say where)",
        aside.name,
        aside.saved.rows()
    );
    Event::Warning { code: "store_damaged", text }
}
