//! What the turn does for each command of the app.

use super::command::{Command, Reply};
use super::syncing;
use super::turn::{Engine, Outputs};
use crate::model::error::{Error, PublishError};
use crate::model::event::Fate;
use crate::model::life::{Resumed, SyncReport};
use crate::model::rows::OutboxRow;
use crate::model::topic::TopicFilter;
use crate::model::writes::Write;
use crate::session::effect::{Input, Now};
use crate::store::{StoreError, StoreErrorKind};

impl Engine {
    pub(super) fn publish(&mut self, mut row: OutboxRow, now: Now) -> Result<u64, StoreError> {
        let id = self.session.hot().lanes[0].next_ord;
        // The handle hands in a time to live; the store clock is known only here.
        row.expires_ms = row.expires_ms.map(|ttl| now.store_ms.saturating_add(ttl));
        self.step(Input::Publish(row), now)?;
        Ok(id)
    }

    pub(super) fn outbox_room(&self, rows: &[OutboxRow]) -> Result<(), PublishError> {
        let (lane, limit) = (&self.session.hot().lanes[0], self.options.outbox_limit);
        if lane.messages + rows.len() as u64 > limit.messages {
            return Err(PublishError::LimitReached { limit: limit.messages, unit: "messages" });
        }
        if lane.bytes + rows.iter().map(OutboxRow::size).sum::<u64>() > limit.bytes {
            return Err(PublishError::LimitReached { limit: limit.bytes, unit: "bytes" });
        }
        Ok(())
    }

    pub(super) fn command(&mut self, command: Command, now: Now, out: &mut Outputs) -> Result<(), StoreError> {
        match command {
            Command::Publish { row, answer, .. } => {
                if let Err(error) = self.outbox_room(std::slice::from_ref(&row)) {
                    drop(answer.send(Err(error)));
                    return Ok(());
                }
                let result = self.publish(row, now);
                out.replies.push(Reply::Id(answer, result.as_ref().copied().unwrap_or(0)));
                result?;
            }
            Command::PublishAll { rows, answer, .. } => {
                if let Err(error) = self.outbox_room(&rows) {
                    drop(answer.send(Err(error)));
                    return Ok(());
                }
                let ids: Result<Vec<u64>, StoreError> = rows.into_iter().map(|row| self.publish(row, now)).collect();
                let (ids, failed) = match ids {
                    Ok(ids) => (ids, None),
                    Err(error) => (Vec::new(), Some(error)),
                };
                out.replies.push(Reply::Ids(answer, ids));
                failed.map_or(Ok(()), Err)?;
            }
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
                let lane = self.session.hot().lanes[0];
                // What was settled in this turn already is not waited for, so it must not be counted down either.
                let settled_now = self.fx.settled.len();
                match lane.messages {
                    0 => out.replies.push(Reply::Flushed(answer, true)),
                    left => self.waiters.flush(answer, until, lane.next_ord - 1, left, settled_now),
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
            Command::Consumer { name, filters, answer } => {
                let cursor = self.consumer(name, filters)?;
                out.replies.push(Reply::Cursor(answer, cursor));
            }
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
                        drop(answer.send(Err(Error::Invalid { what: "done", problem: error.text })));
                    }
                    Err(error) => return Err(error),
                }
            }
            Command::Sync { deadline, answer } => self.sync(deadline, answer, now)?,
            Command::Pause { deadline, answer } => {
                out.pausing = Some((deadline, answer, self.is_wanted_by_app()));
                syncing::end_all(&mut self.syncs, &Error::Paused);
                self.step(Input::Disconnect { with_will: false }, now)?;
            }
            Command::Resume { answer } => drop(answer.send(Ok(Resumed::default()))),
            Command::Connect { answer } => {
                self.overrule_syncs(true);
                self.step(Input::Connect, now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Disconnect { with_will, answer } => {
                self.overrule_syncs(false);
                self.step(Input::Disconnect { with_will }, now)?;
                out.replies.push(Reply::Done(answer));
            }
            Command::Close { deadline, answer } => {
                out.ending = Some((deadline, answer));
                self.overrule_syncs(false);
                self.step(Input::Disconnect { with_will: false }, now)?;
            }
        }
        Ok(())
    }

    fn consumer(&mut self, name: String, filters: Vec<TopicFilter>) -> Result<u64, StoreError> {
        let existing = self.store.consumers().into_iter().find(|consumer| consumer.name == name);
        let Some(existing) = existing else {
            self.store.write(Write::ConsumerPut { name, filters, cursor: 0 })?;
            return Ok(0);
        };
        // Filters widen what a consumer wants; one that wants everything (no filters) cannot be widened.
        let mut union = existing.filters.clone();
        union.extend(filters.into_iter().filter(|filter| !existing.filters.contains(filter)));
        if !existing.filters.is_empty() && union.len() > existing.filters.len() {
            self.store.write(Write::ConsumerPut { name, filters: union, cursor: existing.cursor })?;
        }
        Ok(existing.cursor)
    }

    /// A command that cannot be carried out, for the store has failed: it gets the error with all others.
    pub(super) fn promise(command: Command, out: &mut Outputs) {
        out.replies.push(match command {
            Command::Publish { answer, .. } => Reply::Id(answer, 0),
            Command::PublishAll { answer, .. } => Reply::Ids(answer, Vec::new()),
            Command::Fate { answer, .. } | Command::Settled { answer, .. } => Reply::Fate(answer, Fate::Unknown),
            Command::Consumer { answer, .. } => Reply::Cursor(answer, 0),
            Command::Flush { answer, .. } => Reply::Flushed(answer, false),
            Command::Subscribe { answer, .. }
            | Command::Unsubscribe { answer, .. }
            | Command::RemoveConsumer { answer, .. }
            | Command::Done { answer, .. }
            | Command::Connect { answer }
            | Command::Disconnect { answer, .. } => Reply::Done(answer),
            Command::Sync { answer, .. } => Reply::Synced(answer, SyncReport::default()),
            Command::Pause { answer, .. } => Reply::Done(answer),
            Command::Resume { answer } => return drop(answer.send(Ok(Resumed::default()))),
            Command::Close { deadline, answer } => {
                out.ending = Some((deadline, answer));
                return;
            }
        });
    }
}
