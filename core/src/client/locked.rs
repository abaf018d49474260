//! Another program holds the store's write lock (a backup, a curious tool): the turn waits, with nothing decided, sent or
//! read, for as long as it takes. Whoever has set a deadline is answered by then.

use std::time::Duration;

use tokio::time::Instant;

use super::command::{Command, Reply};
use super::driver::{Driver, LONGEST_GOODBYE, TURN_INPUTS};
use super::syncing;
use super::turn::{Engine, TurnInput};
use crate::model::error::{Error, PublishError};
use crate::model::event::Event;
use crate::session::effect::{Input, Now};
use crate::store::{StoreError, StoreErrorKind};

/// How long one try takes; on Windows a lock is given back late.
pub(super) const PATIENCE: Duration = Duration::from_millis(if cfg!(windows) { 2_000 } else { 250 });
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// When the app is told.
const TELL_AFTER: Duration = Duration::from_secs(5);
/// The last commit of a client waits so long, if its deadline allows.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn is_locked(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::Busy
}

/// One such wait.
pub(super) struct Wait {
    since: Instant,
    told: bool,
    /// By when each of the driver's inputs has to be answered.
    due: Vec<Option<Instant>>,
}

impl Wait {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), told: false, due: Vec::new() }
    }
}

impl Engine {
    /// The last commit before `until` takes what time is left.
    pub(super) fn be_patient(&mut self, until: Instant) -> Result<(), StoreError> {
        let left = until.saturating_duration_since(Instant::now());
        self.store.set_patience(left.clamp(PATIENCE, LAST_PATIENCE))
    }

    /// Those whose time is over while nothing can be committed.
    fn give_up_waits(&mut self, now: Now, error: &Error) -> Vec<Reply> {
        syncing::give_up(&mut self.syncs, now.mono_ms, error);
        let mut replies = Vec::new();
        self.waiters.settled(&[], now.mono_ms, &mut replies);
        replies
    }
}

impl Driver {
    /// Between two tries of a turn. Some: the client was paused (and goes on), or has ended (false).
    pub(super) async fn wait_for_lock(&mut self, wait: &mut Wait) -> Option<bool> {
        let held = Error::Storage { detail: "another program holds the store's write lock".to_owned() };
        while self.inputs.len() < TURN_INPUTS
            && let Ok(command) = self.commands.try_recv()
        {
            self.inputs.push(TurnInput::Command(command));
        }
        let now = Instant::now();
        let new = self.inputs[wait.due.len().min(self.inputs.len())..].iter();
        wait.due.extend(new.map(|input| deadline(input).map(|limit| now + limit.min(LONGEST_GOODBYE))));
        if !wait.told && now - wait.since >= TELL_AFTER {
            wait.told = true;
            let text = "another program holds the store's write lock; nothing is accepted, sent or acknowledged until it lets \
                        go (a backup, or a tool with a transaction open)";
            self.fanout.events(&mut vec![Event::Warning { code: "store_busy", text: text.to_owned() }]);
        }
        let moment = self.clock.now();
        let replies = self.engine.as_mut().map(|engine| {
            engine.heard(moment);
            engine.give_up_waits(moment, &held)
        });
        replies.into_iter().flatten().for_each(Reply::committed);
        if self.closing.as_ref().is_some_and(|(at, _)| *at <= now) {
            return Some(self.end_locked(&held).await);
        }
        if self.pausing.as_ref().is_some_and(|(at, ..)| *at <= now) {
            self.refuse_while_pausing();
            return Some(self.pause().await);
        }
        while let Some(index) = wait.due.iter().position(|due| due.is_some_and(|at| at <= now)) {
            wait.due.remove(index);
            match self.inputs.remove(index) {
                TurnInput::Command(Command::Flush { answer, .. }) => drop(answer.send(Ok(false))),
                TurnInput::Command(Command::Sync { answer, .. }) => drop(answer.send(Err(held.clone()))),
                TurnInput::Command(Command::Close { answer, .. }) => {
                    self.out.ending.push((Duration::ZERO, answer));
                    return Some(self.end_locked(&held).await);
                }
                TurnInput::Command(Command::Pause { answer, .. }) => {
                    let wanted = self.engine.as_ref().is_some_and(Engine::is_wanted_by_app);
                    self.out.pausing.push((Duration::ZERO, answer, wanted));
                    self.refuse_while_pausing();
                    return Some(self.pause().await);
                }
                _ => {}
            }
        }
        if self.commands.is_closed() && wait.told {
            // No handle is left: as after a kill.
            return Some(false);
        }
        if self.inputs.is_empty() {
            // All were answered; the turn that is tried again is one of no inputs.
            self.inputs.push(TurnInput::Session(Input::Tick));
            wait.due.push(None);
        }
        tokio::time::sleep(PAUSE).await;
        None
    }

    /// The goodbye's time is over: nothing accepted is lost, and what was not accepted is told so.
    async fn end_locked(&mut self, held: &Error) -> bool {
        let refused = PublishError::Storage { detail: held.to_string() };
        for input in self.inputs.drain(..) {
            if let TurnInput::Command(command) = input {
                Engine::promise(command, &mut self.out);
            }
        }
        self.out.replies.drain(..).for_each(|reply| reply.failed(&refused, held));
        self.finish().await;
        false
    }
}

/// How long a command may wait for its answer.
fn deadline(input: &TurnInput) -> Option<Duration> {
    match input {
        TurnInput::Command(
            Command::Flush { deadline, .. }
            | Command::Sync { deadline, .. }
            | Command::Pause { deadline, .. }
            | Command::Close { deadline, .. },
        ) => Some(*deadline),
        _ => None,
    }
}
