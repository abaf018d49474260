//! What the turn does for each command of the app.

use super::command::{Cancel, Command, Reply};
use super::syncing;
use super::turn::{Engine, Outputs};
use crate::model::error::Error;
use crate::model::event::Fate;
use crate::model::life::{Resumed, SyncReport};
use crate::model::writes::Write;
use crate::session::effect::{Input, Now};
use crate::store::{StoreError, StoreErrorKind};

impl Engine {
    pub(super) fn command(&mut self, command: Command, now: Now, out: &mut Outputs) -> Result<(), StoreError> {
        match command {
            Command::Publish { message, answer, .. } => match self.accept(message, now) {
                Ok(Ok(id)) => out.replies.push(Reply::Id(answer, id)),
                Ok(Err(error)) => drop(answer.send(Err(error))),
                Err(error) => {
                    out.replies.push(Reply::Id(answer, 0));
                    return Err(error);
                }
            },
            Command::PublishAll { messages, answer, .. } => match self.accept_all(messages, now) {
                Ok(Ok(ids)) => out.replies.push(Reply::Ids(answer, ids)),
                Ok(Err(error)) => drop(answer.send(Err(error))),
                Err(error) => {
                    out.replies.push(Reply::Ids(answer, Vec::new()));
                    return Err(error);
                }
            },
            Command::Cancel { n, answer } => match self.cancel(n, now)? {
                Some(cancel) => out.replies.push(Reply::Cancelled(answer, cancel)),
                None => drop(answer.send(Err(Error::NoSuchMessage { n }))),
            },
            Command::Unpark { n, answer } => match self.unpark(n, now)? {
                Ok(id) => out.replies.push(Reply::Number(answer, id)),
                Err(error) => drop(answer.send(Err(error))),
            },
            Command::Fate { n, answer } => match self.store.fate(n)? {
                Some(fate) => out.replies.push(Reply::Fate(answer, fate)),
                None => drop(answer.send(Err(Error::NoSuchMessage { n }))),
            },
            Command::Settled { n, answer } => match self.store.fate(n)? {
                Some(fate) if fate.is_final() => out.replies.push(Reply::Fate(answer, fate)),
                Some(_) => self.waiters.wait_for(n, answer),
                None => drop(answer.send(Err(Error::NoSuchMessage { n }))),
            },
            Command::Flush { deadline, answer } => {
                let until = now.mono_ms.saturating_add(i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX));
                let hot = self.session.hot();
                // What was settled in this turn already is not waited for, so it must not be counted down either.
                let settled_now = self.fx.settled.len();
                match hot.outbox_messages() {
                    0 => out.replies.push(Reply::Flushed(answer, true)),
                    left => self.waiters.flush(answer, until, hot.last_ids(), left, settled_now),
                }
            }
            Command::Subscribe { wish, answer } => {
                self.step(Input::Subscribe(wish), now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Unsubscribe { filter, answer } => {
                self.step(Input::Unsubscribe(filter), now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Consumer { spec, answer } => match self.consumer(spec)? {
                Ok(cursor) => out.replies.push(Reply::Number(answer, cursor)),
                Err(error) => drop(answer.send(Err(error))),
            },
            Command::RemoveConsumer { name, answer } => {
                if self.store.consumers().iter().all(|consumer| consumer.name != name) {
                    drop(answer.send(Err(Error::NoSuchConsumer { name })));
                    return Ok(());
                }
                self.store.write(Write::ConsumerRemove { name })?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Done { name, seq, through, answer } => {
                // Through 0 is where every consumer begins.
                if seq == 0 && !through || seq >= self.session.hot().next_seq {
                    drop(
                        answer.send(Err(Error::PositionInvalid { seq, problem: "beyond the messages of this store" })),
                    );
                    return Ok(());
                }
                let written = self.store.write(match through {
                    true => Write::ConsumerDoneThrough { name: name.clone(), seq },
                    false => Write::ConsumerDone { name: name.clone(), seq },
                });
                match written {
                    Ok(()) => out.replies.push(Reply::Done(answer)),
                    Err(error) if error.kind == StoreErrorKind::Refused => {
                        let known = self.store.consumers().iter().any(|consumer| consumer.name == name);
                        drop(answer.send(Err(match known {
                            true => Error::Invalid { what: "done", problem: error.text },
                            false => Error::NoSuchConsumer { name },
                        })));
                    }
                    Err(error) => return Err(error),
                }
            }
            Command::Held(command) => self.held(command, now, out)?,
            Command::Sync { deadline, answer } => self.sync(deadline, answer, now)?,
            Command::Pause { deadline, answer } => {
                out.pausing.push((deadline, answer, self.is_wanted_by_app()));
                syncing::end_all(&mut self.syncs, &Error::Paused);
                self.step(Input::Disconnect { with_will: false }, now)?;
            }
            Command::Resume { answer } if !out.pausing.is_empty() => out.resuming.push(answer),
            Command::Resume { answer } => drop(answer.send(Ok(Resumed::default()))),
            #[cfg(feature = "encryption")]
            Command::Rekey { key, answer } => self.rekey(&key, answer, now, out)?,
            Command::Connect { answer } => {
                self.overrule_syncs(true);
                self.step(Input::Connect, now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::CredentialsChanged { answer } => {
                self.step(Input::CredentialsChanged, now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Disconnect { with_will, answer } => {
                self.overrule_syncs(false);
                self.step(Input::Disconnect { with_will }, now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Close { deadline, answer } => {
                out.ending.push((deadline, answer));
                self.overrule_syncs(false);
                self.step(Input::Disconnect { with_will: false }, now)?;
            }
        }
        Ok(())
    }

    /// A command that cannot be carried out, for the store has failed: it gets the error with all others.
    pub(super) fn promise(command: Command, out: &mut Outputs) {
        out.replies.push(match command {
            Command::Publish { answer, .. } => Reply::Id(answer, 0),
            Command::PublishAll { answer, .. } => Reply::Ids(answer, Vec::new()),
            Command::Fate { answer, .. } | Command::Settled { answer, .. } => Reply::Fate(answer, Fate::Unknown),
            Command::Cancel { answer, .. } => Reply::Cancelled(answer, Cancel::TooLate),
            Command::Unpark { answer, .. } | Command::Consumer { answer, .. } => Reply::Number(answer, 0),
            Command::Flush { answer, .. } => Reply::Flushed(answer, false),
            Command::Held(command) => command.promise(),
            #[cfg(feature = "encryption")]
            Command::Rekey { answer, .. } => Reply::Done(answer),
            Command::Subscribe { answer, .. }
            | Command::Unsubscribe { answer, .. }
            | Command::RemoveConsumer { answer, .. }
            | Command::Done { answer, .. }
            | Command::Connect { answer }
            | Command::CredentialsChanged { answer }
            | Command::Disconnect { answer, .. } => Reply::Done(answer),
            Command::Sync { answer, .. } => Reply::Synced(answer, SyncReport::default()),
            Command::Pause { answer, .. } => Reply::Done(answer),
            Command::Resume { answer } => return drop(answer.send(Ok(Resumed::default()))),
            Command::Close { deadline, answer } => {
                out.ending.push((deadline, answer));
                return;
            }
        });
    }
}
