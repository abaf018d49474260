//! The handle: cheap to clone, safe to drop at any moment. (Skeleton: bodies follow.)

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::{Event, Fate, Metrics, State};
use crate::model::message::{Message, MessageId, Position, Publish, StoreId, Subscription};
use crate::model::options::Options;
use crate::model::topic::TopicFilter;
pub use crate::store::reader::{OutboxEntry, Reader};

/// How to say goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Farewell {
    /// DISCONNECT, the session is kept, the will is not published (default).
    #[default]
    KeepSession,
    /// The broker publishes the will (MQTT 5: reason 0x04; 3.1.1: the link is just closed).
    WithWill,
}

/// Which messages a durable consumer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerSpec {
    /// 1 to 255 bytes.
    pub name: String,
    /// Empty: every message. For an existing consumer: added to what it wants.
    pub filters: Vec<TopicFilter>,
}

impl ConsumerSpec {
    /// By name, wanting every message.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), filters: Vec::new() }
    }
    /// Wanting also this.
    #[must_use]
    pub fn filter(mut self, filter: TopicFilter) -> Self {
        self.filters.push(filter);
        self
    }
}

/// The client.
#[derive(Clone)]
pub struct Homing {}

impl Homing {
    /// Takes the driver lock, opens the rows; connects in the background (unless `options.connect` is false).
    pub async fn open(_options: Options) -> Result<Self, OpenError> {
        todo!()
    }
    /// The store's id.
    pub fn store_id(&self) -> StoreId {
        todo!()
    }
    /// Resolves after COMMIT (P1); dropping the future never cancels the message.
    pub async fn publish(&self, _message: Publish) -> Result<MessageId, PublishError> {
        todo!()
    }
    /// One transaction: all or none.
    pub async fn publish_all(&self, _messages: Vec<Publish>) -> Result<Vec<MessageId>, PublishError> {
        todo!()
    }
    /// P9. Works at once after the id was given.
    pub async fn fate(&self, _id: MessageId) -> Result<Fate, Error> {
        todo!()
    }
    /// Waits for the end; cancel-safe.
    pub async fn settled(&self, _id: MessageId) -> Result<Fate, Error> {
        todo!()
    }
    /// Waits until every message accepted so far has come to its end (true) or the deadline has passed (false).
    pub async fn flush(&self, _deadline: Duration) -> Result<bool, Error> {
        todo!()
    }
    /// A durable wish, true after COMMIT; the grant is an event.
    pub async fn subscribe(&self, _wish: Subscription) -> Result<(), Error> {
        todo!()
    }
    /// The wish ends; durable after COMMIT.
    pub async fn unsubscribe(&self, _filter: TopicFilter) -> Result<(), Error> {
        todo!()
    }
    /// Opens, or makes, a durable consumer. A new one starts at the oldest message kept.
    pub async fn consumer(&self, _spec: ConsumerSpec) -> Result<Consumer, Error> {
        todo!()
    }
    /// Removes a consumer and its marks.
    pub async fn remove_consumer(&self, _name: &str) -> Result<(), Error> {
        todo!()
    }
    /// Wanted: connected.
    pub async fn connect(&self) -> Result<(), Error> {
        todo!()
    }
    /// Wanted: not connected.
    pub async fn disconnect(&self, _farewell: Farewell) -> Result<(), Error> {
        todo!()
    }
    /// DISCONNECT if connected, session kept; then the store is closed and the lock is free. At most `deadline` long.
    pub async fn close(self, _deadline: Duration) -> Result<(), Error> {
        todo!()
    }
    /// The newest connection state; conflated.
    pub fn state(&self) -> StateWatch {
        todo!()
    }
    /// Everything that happens from now on; bounded: a slow reader gets [`Event::Missed`].
    pub fn events(&self) -> Events {
        todo!()
    }
    /// Counters since open.
    pub fn metrics(&self) -> Metrics {
        todo!()
    }
    /// Reads the same store, with connections of its own.
    pub fn reader(&self) -> Reader {
        todo!()
    }
}

/// The newest state.
#[derive(Clone)]
pub struct StateWatch {}
impl StateWatch {
    /// Now.
    pub fn get(&self) -> State {
        todo!()
    }
    /// Waits for the next change; None: the client is gone.
    pub async fn changed(&mut self) -> Option<State> {
        todo!()
    }
}

/// A stream of events.
pub struct Events {}
impl Events {
    /// The next event; None: the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        todo!()
    }
}

/// A durable consumer: rows after a cursor.
pub struct Consumer {}
impl Consumer {
    /// Up to `max` messages after those already given by this handle; waits for at least one. Cancel-safe: a dropped
    /// call has taken nothing.
    pub async fn next(&mut self, _max: NonZeroUsize) -> Result<Vec<Message>, Error> {
        todo!()
    }
    /// Done with one, in any order. Resolves after COMMIT.
    pub async fn done(&self, _at: Position) -> Result<(), Error> {
        todo!()
    }
    /// Done with this one and all before. Resolves after COMMIT.
    pub async fn done_through(&self, _at: Position) -> Result<(), Error> {
        todo!()
    }
}
