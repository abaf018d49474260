//! Another key for an encrypted store, while it is driven.

use super::Homing;
use super::command::{Command, Reply};
use super::turn::{Engine, Outputs};
use crate::model::error::Error;
use crate::model::key::StoreKey;
use crate::session::effect::Now;
use crate::store::StoreError;

impl Engine {
    pub(super) fn rekey(
        &mut self,
        key: &StoreKey,
        answer: super::command::Answer<Result<(), Error>>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), StoreError> {
        out.replies.push(Reply::Done(answer));
        // It is a transaction of its own: what this turn has done so far is committed before it. Nothing was sent yet.
        self.stamp(now);
        if self.store.commit(self.session.hot())? {
            self.session.hot_mut().turn = self.store.hot().turn;
        }
        self.store.rekey(key)
    }
}

impl Homing {
    /// Encrypts the store under another key: every page is written anew, in one transaction. The `KeyProvider` has to give
    /// the new key from the moment this returns; readers opened before have to be opened again. Keep the old key until
    /// then: after a kill in between, the store is whole under one of the two.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a store that is not encrypted; [`Error::Storage`], [`Error::Closed`].
    pub async fn rekey(&self, key: StoreKey) -> Result<(), Error> {
        if self.options.key.is_none() {
            let problem = "the store is not encrypted; a plain one cannot be encrypted in place".to_owned();
            return Err(Error::Invalid { what: "rekey", problem });
        }
        self.ask(Error::Closed, |answer| Command::Rekey { key, answer }).await?;
        // The reading thread's connection has the old key.
        let reading = self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner).reading.clone();
        if let Some(reading) = reading {
            reading.open_again();
        }
        Ok(())
    }
}
