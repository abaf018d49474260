//! What the app says of the outbox of a store that was put back from a copy.

use super::Homing;
use super::command::{Answer, Command, Reply};
use super::turn::{Engine, Outputs};
use crate::model::error::Error;
use crate::session::effect::{Input, Now};
use crate::store::StoreError;

/// A request about a held outbox.
#[derive(Debug)]
pub(crate) enum HeldCommand {
    /// Whether it is held.
    Ask(Answer<Result<bool, Error>>),
    /// It is to be sent.
    Release(Answer<Result<bool, Error>>),
    /// Some of it is to be cancelled; answers whether there is more.
    Discard(Answer<Result<bool, Error>>),
}

impl HeldCommand {
    pub(super) fn promise(self) -> Reply {
        let (Self::Ask(answer) | Self::Release(answer) | Self::Discard(answer)) = self;
        Reply::Flushed(answer, false)
    }
}

impl Engine {
    pub(super) fn held(&mut self, command: HeldCommand, now: Now, out: &mut Outputs) -> Result<(), StoreError> {
        let held = self.session.row().held;
        let (answer, said) = match command {
            HeldCommand::Ask(answer) => (answer, held),
            HeldCommand::Release(answer) => {
                self.step(Input::ReleaseOutbox, now)?;
                (answer, held)
            }
            HeldCommand::Discard(answer) => {
                self.step(Input::DiscardOutbox, now)?;
                (answer, self.session.row().held)
            }
        };
        out.replies.push(Reply::Flushed(answer, said));
        Ok(())
    }
}

impl Homing {
    /// Whether the outbox waits for the app's word: the store was a copy when it was opened (a restored backup, a clone),
    /// and had messages in its outbox. Nothing is sent until [`Homing::release_outbox`] or [`Homing::discard_outbox`];
    /// messages published meanwhile wait behind them. Survives restarts.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn held(&self) -> Result<bool, Error> {
        self.ask(Error::Closed, |answer| Command::Held(HeldCommand::Ask(answer))).await
    }

    /// Sends what was held, after the commit. The original may have sent the same messages: each one's verdict says
    /// `maybe_twice`. False: nothing was held.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Storage`].
    pub async fn release_outbox(&self) -> Result<bool, Error> {
        self.ask(Error::Closed, |answer| Command::Held(HeldCommand::Release(answer))).await
    }

    /// Cancels the messages that came with the copy (verdict `cancelled`; whether the original sent them is not known), and
    /// sends those published since. False: nothing was held. In steps of 1,000 messages, each one commit: dropped or
    /// killed in between, the rest is still held.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Storage`].
    pub async fn discard_outbox(&self) -> Result<bool, Error> {
        let held = self.held().await?;
        while self.ask(Error::Closed, |answer| Command::Held(HeldCommand::Discard(answer))).await? {}
        Ok(held)
    }
}
