//! Paused: the driver's thread waits with nothing open. Resuming is opening: the session is rebuilt from its rows.

use super::clock::wall_ms;
use super::command::Command;
use super::driver::{Driver, Slot};
use super::failed::Failed;
use super::turn::{Engine, Outputs, TurnInput};
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::{Event, State, Why};
use crate::model::life::Resumed;
use crate::session::effect::Input;

impl Driver {
    /// On the way to a pause: whoever asks for something gets `Paused`, rather than a commit behind the app's back.
    pub(super) fn refuse_while_pausing(&mut self) {
        self.take_endings();
        let Some((_, _, wanted)) = self.pausing else { return };
        let mut kept = Vec::with_capacity(self.inputs.len());
        for input in self.inputs.drain(..) {
            match input {
                TurnInput::Command(command @ Command::Close { .. }) => kept.push(TurnInput::Command(command)),
                TurnInput::Command(Command::Resume { answer }) => self.resuming.push(answer),
                TurnInput::Command(Command::Pause { deadline, answer }) => {
                    self.out.pausing.push((deadline, answer, wanted));
                }
                TurnInput::Command(command) => refuse(command),
                input => kept.push(input),
            }
        }
        self.inputs = kept;
    }

    /// Closes everything and waits. False: the client is closed, or no handle is left.
    pub(super) async fn pause(&mut self) -> bool {
        self.take_endings();
        let Some((until, pauses, wanted)) = self.pausing.take() else { return true };
        self.keep_counters();
        self.slot = Slot::None;
        self.stop_listening();
        self.fanout.paused(true);
        self.park_reading(true).await;
        self.glance_farewell();
        let Some(mut engine) = self.engine.take() else { return false };
        if let Err(error) = engine.be_patient(until) {
            tracing::warn!(%error, "the last commit waits no longer than others");
        }
        let (mut resting, done) = engine.rest(self.clock.now(), wanted);
        let done = done.map_err(|error| {
            tracing::error!(%error, "the store could not be closed in order before a pause");
            Error::Storage { detail: error.text }
        });
        let left = std::mem::take(&mut self.inputs);
        self.out = Outputs::default();
        self.fanout.events(&mut vec![Event::State(State::Paused)]);
        pauses.into_iter().for_each(|answer| drop(answer.send(done.clone())));
        // All others were refused before; what the session was to be told is told by the rows.
        let mut closed = false;
        for input in left {
            if let TurnInput::Command(Command::Close { answer, .. }) = input {
                drop(answer.send(Ok(())));
                closed = true;
            }
        }
        if closed {
            return false;
        }
        loop {
            let command = if self.resuming.is_empty() {
                match self.commands.recv().await {
                    Some(command) => command,
                    None => return false,
                }
            } else {
                Command::Resume { answer: self.resuming.remove(0) }
            };
            match command {
                Command::Resume { answer } => match self.reopen(&mut resting) {
                    Ok((engine, resumed)) => {
                        self.clock.at_least(engine.session().hot().clock_ms);
                        self.engine = Some(engine);
                        self.listen();
                        self.park_reading(false).await;
                        self.fanout.paused(false);
                        self.fanout.events(&mut vec![Event::State(State::Offline(Why::Asked))]);
                        drop(answer.send(Ok(resumed)));
                        self.resumed(resumed);
                        self.inputs.push(TurnInput::Session(Input::Tick));
                        return true;
                    }
                    Err(error) => drop(answer.send(Err(error))),
                },
                Command::Pause { answer, .. } => drop(answer.send(Ok(()))),
                Command::Close { answer, .. } => {
                    drop(answer.send(Ok(())));
                    return false;
                }
                command => refuse(command),
            }
        }
    }

    /// Whoever else waited for it: the client is not paused.
    pub(super) fn resumed(&mut self, resumed: Resumed) {
        self.resuming.drain(..).for_each(|answer| drop(answer.send(Ok(resumed))));
    }

    fn reopen(&self, resting: &mut Failed) -> Result<(Engine, Resumed), OpenError> {
        let path = resting.path().to_owned();
        let unavailable = |detail: &str| OpenError::StoreUnavailable { path: path.clone(), detail: detail.to_owned() };
        if !path.exists() {
            return Err(unavailable("its file has vanished; put it back"));
        }
        let (engine, store_changed) = resting.reopen(wall_ms(), fastrand::u64(..))?;
        if engine.session().row().store_id != self.fanout.store().0 {
            return Err(unavailable("another store stands in its place; close this client and open it anew"));
        }
        Ok((engine, Resumed { store_changed }))
    }

    /// The client ends: its files are closed before anybody is told so, whoever still has a handle.
    pub(super) async fn end_reading(&self) {
        let reading = {
            let mut slot = self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            slot.refused = Some(Error::Closed);
            slot.reading.take()
        };
        if let Some(reading) = reading {
            reading.end().await;
        }
    }

    async fn park_reading(&self, park: bool) {
        let reading = {
            let mut slot = self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            slot.refused = park.then_some(Error::Paused);
            slot.reading.clone()
        };
        match reading {
            Some(reading) if park => reading.park().await,
            Some(reading) => reading.unpark().await,
            None => {}
        }
    }
}

/// Says `Paused` to whoever asked.
fn refuse(command: Command) {
    let mut out = Outputs::default();
    Engine::promise(command, &mut out);
    out.replies.drain(..).for_each(|reply| reply.failed(&PublishError::Paused, &Error::Paused));
    for (_, answer) in out.ending {
        drop(answer.send(Err(Error::Paused)));
    }
}
