//! The client.

use std::sync::Arc;

use homing::{Farewell, Homing, Network, SyncReport};

use crate::cancel::{Canceller, until};
use crate::consumer::{Consumer, ConsumerSettings};
#[cfg(feature = "encryption")]
use crate::error::FfiError;
use crate::error::Result;
use crate::event::EventStream;
use crate::id::StoredId;
use crate::message::{Outgoing, Wish, duration, filter};
use crate::options::Settings;
use crate::reader::Reader;
use crate::state::{CancelResult, LinkState, MessageFate, Trouble};
use crate::status::Counters;
use crate::watch::StateStream;

/// What a catch-up did.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SyncSummary {
    /// Messages that came to their end at the broker.
    pub sent: u64,
    /// Messages stored.
    pub received: u64,
    /// Messages that still wait.
    pub waiting: u64,
    /// Nothing was left to do.
    pub drained: bool,
    /// The broker was reached.
    pub connected: bool,
    /// What was in the way.
    pub trouble: Option<Trouble>,
}

impl From<SyncReport> for SyncSummary {
    fn from(report: SyncReport) -> Self {
        Self {
            sent: report.sent,
            received: report.received,
            waiting: report.waiting,
            drained: report.drained,
            connected: report.connected,
            trouble: report.trouble.map(Trouble::from),
        }
    }
}

/// The client: a handle on the driver of one store.
#[derive(uniffi::Object)]
pub struct Client {
    homing: Homing,
}

#[uniffi::export]
impl Client {
    /// Opens the store, makes no connection before it returns.
    #[uniffi::constructor]
    pub async fn open(settings: Settings) -> Result<Arc<Self>> {
        let homing = Homing::open(settings.translate()?).await?;
        Ok(Arc::new(Self { homing }))
    }

    /// The store's id.
    pub fn store_id(&self) -> Result<String> {
        Ok(self.homing.store_id().to_string())
    }

    /// Accepts messages in one transaction: all or none. Their numbers, in order.
    pub async fn publish_all(&self, messages: Vec<Outgoing>) -> Result<Vec<u64>> {
        let messages = messages.into_iter().map(Outgoing::translate).collect::<Result<_>>()?;
        Ok(self.homing.publish_all(messages).await?.iter().map(homing::MessageId::number).collect())
    }

    /// Accepts one message.
    pub async fn publish(&self, message: Outgoing) -> Result<u64> {
        Ok(self.homing.publish(message.translate()?).await?.number())
    }

    /// What became of a message.
    pub async fn fate(&self, id: StoredId) -> Result<MessageFate> {
        Ok(self.homing.fate(id.message()?).await?.into())
    }

    /// Waits until a message has come to its end.
    pub async fn settled(&self, id: StoredId, cancel: Option<Arc<Canceller>>) -> Result<MessageFate> {
        let id = id.message()?;
        until(cancel, async { Ok(self.homing.settled(id).await?.into()) }).await
    }

    /// Takes back a message that was not sent.
    pub async fn cancel(&self, id: StoredId) -> Result<CancelResult> {
        Ok(self.homing.cancel(id.message()?).await?.into())
    }

    /// Publishes a parked message again, under a new number.
    pub async fn unpark(&self, id: StoredId) -> Result<u64> {
        Ok(self.homing.unpark(id.message()?).await?.number())
    }

    /// Waits until all messages so far have come to their end; false: the deadline came first.
    pub async fn flush(&self, deadline_ms: i64, cancel: Option<Arc<Canceller>>) -> Result<bool> {
        let deadline = duration("deadline", deadline_ms)?;
        until(cancel, async { Ok(self.homing.flush(deadline).await?) }).await
    }

    /// Wishes a subscription; resolves after the commit.
    pub async fn subscribe(&self, wish: Wish) -> Result<()> {
        Ok(self.homing.subscribe(wish.translate()?).await?)
    }

    /// Ends one; resolves after the commit.
    pub async fn unsubscribe(&self, topic_filter: String) -> Result<()> {
        Ok(self.homing.unsubscribe(filter(topic_filter)?).await?)
    }

    /// Opens a durable consumer, or makes it.
    pub async fn consumer(&self, settings: ConsumerSettings) -> Result<Arc<Consumer>> {
        let consumer = self.homing.consumer(settings.translate()?).await?;
        Ok(Consumer::new(consumer, self.homing.store_id()))
    }

    /// Removes one.
    pub async fn remove_consumer(&self, name: String) -> Result<()> {
        Ok(self.homing.remove_consumer(&name).await?)
    }

    /// Wanted: connected.
    pub async fn connect(&self) -> Result<()> {
        Ok(self.homing.connect().await?)
    }

    /// Wanted: not connected.
    pub async fn disconnect(&self, with_will: bool) -> Result<()> {
        let farewell = if with_will { Farewell::WithWill } else { Farewell::KeepSession };
        Ok(self.homing.disconnect(farewell).await?)
    }

    /// The provider has others now.
    pub async fn credentials_changed(&self) -> Result<()> {
        Ok(self.homing.credentials_changed().await?)
    }

    /// One bounded catch-up.
    pub async fn sync(&self, deadline_ms: i64, cancel: Option<Arc<Canceller>>) -> Result<SyncSummary> {
        let deadline = duration("deadline", deadline_ms)?;
        until(cancel, async { Ok(self.homing.sync(deadline).await?.into()) }).await
    }

    /// Lets go of every file, lock and socket.
    pub async fn pause(&self, deadline_ms: i64) -> Result<()> {
        Ok(self.homing.pause(duration("deadline", deadline_ms)?).await?)
    }

    /// Takes them again; true: the store was changed meanwhile.
    pub async fn resume(&self) -> Result<bool> {
        Ok(self.homing.resume().await?.store_changed)
    }

    /// What the platform says of the network.
    pub fn network_changed(&self, online: bool, id: Option<String>) -> Result<()> {
        let network = if online { Network::online() } else { Network::offline() };
        self.homing.network_changed(match id {
            Some(id) => network.id(id),
            None => network,
        });
        Ok(())
    }

    /// Encrypts the store under another key, of 32 bytes.
    pub async fn rekey(&self, key: Vec<u8>) -> Result<()> {
        #[cfg(feature = "encryption")]
        {
            let key = crate::callbacks::key_of(key).map_err(|problem| FfiError::invalid(format!("key: {problem}")))?;
            Ok(self.homing.rekey(key).await?)
        }
        #[cfg(not(feature = "encryption"))]
        {
            drop(key);
            Err(crate::callbacks::no_encryption())
        }
    }

    /// Whether the outbox of a copy waits for the app's word.
    pub async fn held(&self) -> Result<bool> {
        Ok(self.homing.held().await?)
    }

    /// It is to be sent.
    pub async fn release_outbox(&self) -> Result<bool> {
        Ok(self.homing.release_outbox().await?)
    }

    /// It is not.
    pub async fn discard_outbox(&self) -> Result<bool> {
        Ok(self.homing.discard_outbox().await?)
    }

    /// The state now.
    pub fn state(&self) -> Result<LinkState> {
        Ok(self.homing.state().get().into())
    }

    /// The states from now on, in an object that does not keep the client.
    pub fn states(&self) -> Result<Arc<StateStream>> {
        Ok(StateStream::new(self.homing.state()))
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> Result<Arc<EventStream>> {
        Ok(EventStream::new(self.homing.events()))
    }

    /// Counters.
    pub fn counters(&self) -> Result<Counters> {
        Ok(self.homing.metrics().into())
    }

    /// Reads the same store. Blocks while it opens the file.
    pub fn reader(&self) -> Result<Arc<Reader>> {
        Ok(Reader::new(self.homing.reader()?))
    }

    /// Ends the client in order; what waits stays in the store.
    pub async fn shut_down(&self, deadline_ms: i64) -> Result<()> {
        Ok(self.homing.clone().close(duration("deadline", deadline_ms)?).await?)
    }
}
