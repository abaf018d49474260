//! What becomes of a message that is handed in: keys, policies at the limits, the lane; and what the app takes back.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::command::{Cancel, Outgoing};
use super::turn::Engine;
use crate::model::error::{Error, PublishError};
use crate::model::event::Fate;
use crate::model::message::{MessageId, QoS, StoreId};
use crate::model::options::{OutboxFull, Qos0Offline};
use crate::model::rows::{OutboxRow, join_id, split_id};
use crate::model::writes::Write;
use crate::session::effect::{Input, Now};
use crate::store::{Need, StoreError};

/// How long an idempotency key is kept, on the store clock.
const KEY_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Rows that a message takes the place of, id and size.
#[derive(Debug, Default)]
struct Replaced {
    waiting: Vec<(u64, u64)>,
    parked: Vec<(u64, u64)>,
}

impl Replaced {
    fn need(&self) -> Need {
        let all = || self.waiting.iter().chain(&self.parked);
        Need { messages: all().count() as u64, bytes: all().map(|(_, size)| size).sum() }
    }
}

impl Engine {
    /// One message. The outer error: the turn is lost.
    pub(super) fn accept(&mut self, message: Outgoing, now: Now) -> Result<Result<u64, PublishError>, StoreError> {
        match self.admit(std::slice::from_ref(&message), now)? {
            Ok(()) => self.take(message, now).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Several messages: all or none.
    pub(super) fn accept_all(
        &mut self,
        messages: Vec<Outgoing>,
        now: Now,
    ) -> Result<Result<Vec<u64>, PublishError>, StoreError> {
        match self.admit(&messages, now)? {
            Ok(()) => messages.into_iter().map(|message| self.take(message, now)).collect::<Result<_, _>>().map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Whether these messages may come in; makes room for them if the policy says so. Nothing is changed otherwise.
    fn admit(&mut self, messages: &[Outgoing], now: Now) -> Result<Result<(), PublishError>, StoreError> {
        let known = self.known(messages, now)?;
        let new = || messages.iter().zip(0..).filter(|(_, index)| !known.contains(index)).map(|(message, _)| message);
        let away = !self.session.is_up();
        if away
            && self.options.qos0_offline == Qos0Offline::Refuse
            && new().any(|message| message.row.qos == QoS::AtMostOnce)
        {
            return Ok(Err(PublishError::Offline));
        }
        if let Err(why) = self.take_room(new()) {
            return Ok(Err(PublishError::StorageFull { why }));
        }
        let stored = || new().filter(|message| !self.is_dropped_offline(&message.row));
        let coming =
            Need { messages: stored().count() as u64, bytes: stored().map(|message| message.row.size()).sum() };
        let over = self.over(coming);
        if over == Need::default() || self.options.outbox_full == OutboxFull::DropNewest {
            return Ok(Ok(()));
        }
        // Only now what is replaced matters: mostly there is room.
        let keys: Vec<String> = stored().filter_map(|message| message.row.supersede.clone()).collect();
        let mut replaced = HashMap::new();
        for key in keys {
            let Replaced { waiting, parked } = self.replaced(&key)?;
            replaced.extend(waiting.into_iter().chain(parked));
        }
        let left = Need {
            messages: over.messages.saturating_sub(replaced.len() as u64),
            bytes: over.bytes.saturating_sub(replaced.values().sum()),
        };
        if left == Need::default() {
            return Ok(Ok(()));
        }
        let limit = self.options.outbox_limit;
        let refusal = match left.messages {
            0 => PublishError::LimitReached { limit: limit.bytes, unit: "bytes" },
            _ => PublishError::LimitReached { limit: limit.messages, unit: "messages" },
        };
        // What can never fit drops nobody.
        if self.options.outbox_full == OutboxFull::Refuse
            || coming.messages > limit.messages
            || coming.bytes > limit.bytes
        {
            return Ok(Err(refusal));
        }
        let spared: Vec<u64> = replaced.into_keys().collect();
        let sent_through = self.session.hot().sent_through();
        match self.store.oldest_waiting(sent_through, left, &spared)? {
            Some(rows) => self.step(Input::Withdraw { rows, fate: Fate::Dropped }, now).map(Ok),
            None => Ok(Err(refusal)),
        }
    }

    /// Messages whose idempotency key already stands for one, by their place: of an earlier call, or of this one.
    fn known(&mut self, messages: &[Outgoing], now: Now) -> Result<HashSet<usize>, StoreError> {
        let mut known = HashSet::new();
        let mut seen = HashSet::new();
        for (index, message) in messages.iter().enumerate() {
            let Some(key) = &message.key else { continue };
            if !seen.insert(key) || self.store.idempotency(key, now.store_ms)?.is_some() {
                known.insert(index);
            }
        }
        Ok(known)
    }

    /// By how much the outbox would be over its limit.
    fn over(&self, coming: Need) -> Need {
        let (hot, limit) = (self.session.hot(), self.options.outbox_limit);
        let bytes: u64 = hot.lanes.iter().map(|lane| lane.bytes).sum();
        let messages = hot.outbox_messages() + hot.parked_messages + coming.messages;
        let bytes = bytes + hot.parked_bytes + coming.bytes;
        // A limit that shrank below what is stored is no reason to drop what nobody makes room for.
        if coming == Need::default() {
            return Need::default();
        }
        Need { messages: messages.saturating_sub(limit.messages), bytes: bytes.saturating_sub(limit.bytes) }
    }

    fn is_dropped_offline(&self, row: &OutboxRow) -> bool {
        row.qos == QoS::AtMostOnce && self.options.qos0_offline == Qos0Offline::Drop && !self.session.is_up()
    }

    fn replaced(&mut self, key: &str) -> Result<Replaced, StoreError> {
        let hot = self.session.hot();
        let (sent_through, any_parked) = (hot.sent_through(), hot.parked_messages > 0);
        let (waiting, parked) = self.store.superseded(key, sent_through, any_parked)?;
        Ok(Replaced { waiting, parked })
    }

    /// Takes a message that was admitted.
    fn take(&mut self, message: Outgoing, now: Now) -> Result<u64, StoreError> {
        let Outgoing { mut row, key } = message;
        if let Some(key) = &key
            && let Some(id) = self.store.idempotency(key, now.store_ms)?
        {
            return Ok(id);
        }
        let (lane, _) = split_id(row.id);
        let id = join_id(lane, self.session.hot().lanes[lane].next_ord);
        let replaced = match &row.supersede {
            Some(key) => self.replaced(key)?,
            None => Replaced::default(),
        };
        if self.is_dropped_offline(&row) || self.is_newest_dropped(&row, &replaced) {
            self.step(Input::PublishDropped { lane }, now)?;
        } else {
            let fate = Fate::Superseded(MessageId::new(StoreId(self.session.row().store_id), id));
            let Replaced { waiting, parked } = replaced;
            if !waiting.is_empty() {
                self.step(Input::Withdraw { rows: waiting, fate: fate.clone() }, now)?;
            }
            for (id, size) in parked {
                self.step(Input::EndParked { id, size, fate: fate.clone() }, now)?;
            }
            // The handle hands in a time to live; the store clock is known only here.
            row.expires_ms = row.expires_ms.map(|ttl| now.store_ms.saturating_add(ttl));
            self.step(Input::Publish(row), now)?;
        }
        if let Some(key) = key {
            let life_ms = i64::try_from(KEY_LIFE.as_millis()).unwrap_or(i64::MAX);
            let (now_ms, until_ms) = (now.store_ms, now.store_ms.saturating_add(life_ms));
            self.store.write(Write::Idempotency { key, id, now_ms, until_ms })?;
        }
        Ok(id)
    }

    fn is_newest_dropped(&self, row: &OutboxRow, replaced: &Replaced) -> bool {
        let (over, freed) = (self.over(Need { messages: 1, bytes: row.size() }), replaced.need());
        self.options.outbox_full == OutboxFull::DropNewest
            && (over.messages > freed.messages || over.bytes > freed.bytes)
    }

    /// Takes a message back, if it was never sent. None: an id that was never given.
    pub(super) fn cancel(&mut self, n: u64, now: Now) -> Result<Option<Cancel>, StoreError> {
        if let Some((size, maybe_dup)) = self.store.waiting(n)? {
            if maybe_dup || self.session.hot().is_in_flight(n) {
                return Ok(Some(Cancel::TooLate));
            }
            self.step(Input::Withdraw { rows: vec![(n, size)], fate: Fate::Cancelled }, now)?;
            return Ok(Some(Cancel::Cancelled));
        }
        if let Some(row) = self.store.parked(n)? {
            self.step(Input::EndParked { id: n, size: row.size(), fate: Fate::Cancelled }, now)?;
            return Ok(Some(Cancel::Cancelled));
        }
        Ok(self.store.fate(n)?.map(Cancel::Settled))
    }

    /// Writes what the session has decided. What was in flight until it was set aside may have been replaced meanwhile: then
    /// it is not to come back behind the newer message.
    pub(super) fn write_all(&mut self, now: Now) -> Result<(), StoreError> {
        let mut parked = Vec::new();
        for write in self.fx.writes.drain(..) {
            if let Write::Park { id, maybe_dup: true, .. } = &write {
                parked.extend(self.store.replaceable(*id)?);
            }
            self.store.write(write)?;
        }
        if parked.is_empty() {
            return Ok(());
        }
        let store = StoreId(self.session.row().store_id);
        for older in parked {
            let sent_through = self.session.hot().sent_through();
            if let Some(by) = self.store.newer(&older, sent_through)? {
                let (id, size, fate) = (older.id, older.size, Fate::Superseded(MessageId::new(store, by)));
                self.session.handle(Input::EndParked { id, size, fate }, now, &mut self.fx);
            }
        }
        for write in self.fx.writes.drain(..) {
            self.store.write(write)?;
        }
        Ok(())
    }

    /// Publishes a message again that was set aside: its new id.
    pub(super) fn unpark(&mut self, n: u64, now: Now) -> Result<Result<u64, Error>, StoreError> {
        let Some(row) = self.store.parked(n)? else {
            let given = self.store.fate(n)?.is_some();
            return Ok(Err(if given { Error::NotParked { n } } else { Error::NoSuchMessage { n } }));
        };
        let (lane, _) = split_id(n);
        let expired = row.expires_ms.is_some_and(|at| at <= now.store_ms) && !row.maybe_dup;
        let id = join_id(lane, self.session.hot().lanes[lane].next_ord);
        self.step(Input::Unpark(row), now)?;
        // It has ended as expired, and has no other id.
        Ok(Ok(if expired { n } else { id }))
    }
}
