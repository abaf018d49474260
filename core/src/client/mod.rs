//! The handle: cheap to clone, safe to drop at any moment. Only this room knows all others.

mod aging;
mod check;
mod clock;
mod command;
mod consumer;
mod copied;
mod driver;
mod failed;
mod fanout;
mod glance;
mod life;
mod locked;
mod mailbox;
mod mend;
mod outgoing;
mod panics;
mod pausing;
mod profile;
mod reading;
mod recover;
#[cfg(feature = "encryption")]
mod rekey;
mod room;
mod serve;
mod syncing;
#[cfg(test)]
mod tests;
mod traffic;
mod turn;
mod upkeep;
mod waiters;
mod wake;
mod watches;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use clock::Clock;
pub use command::Cancel;
use command::{Answer, Command};
pub use consumer::{Consumer, ConsumerSpec, Progress};
use driver::Driver;
use fanout::{Fanout, Listeners};
pub use mailbox::Mailbox;
use panics::Unanswered;
use turn::Engine;
pub use watches::{Events, StateWatch};

use crate::model::consumer::Start;
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::{Fate, Metrics, State, Why};
use crate::model::life::Network;
use crate::model::message::{MessageId, Publish, StoreId, Subscription};
use crate::model::options::Options;
use crate::model::topic::TopicFilter;

/// Commands that may wait for the driver; a caller beyond it waits.
const COMMANDS: usize = 4096;
/// Bytes of messages that may wait for the driver, in KiB.
const WAITING_KIB: usize = 32 << 10;

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

/// The client. Clone it freely; dropping the last clone is as safe as a kill, [`Homing::close`] is polite.
#[derive(Clone)]
pub struct Homing {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    listeners: Listeners,
    options: Arc<Options>,
    store: StoreId,
    reading: Arc<Mutex<reading::Slot>>,
    network: Arc<watch::Sender<Option<Network>>>,
}

impl std::fmt::Debug for Homing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Homing").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Homing {
    /// Opens the store (made if missing), takes its driver lock, and connects in the background unless
    /// `options.connect` is false. Makes no connection before it returns.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let options = profile::apply(options)?;
        check::options(&options)?;
        let options = Arc::new(options);
        let (opened, open) = oneshot::channel();
        let unavailable = |detail: String| OpenError::StoreUnavailable { path: options.store.clone(), detail };
        let (theirs, reading) = (Arc::clone(&options), Arc::default());
        let (network, hints) = watch::channel(None);
        let outside = (hints, Arc::clone(&reading));
        let spawned =
            std::thread::Builder::new().name("homing-driver".to_owned()).spawn(move || drive(theirs, opened, outside));
        if let Err(error) = spawned {
            return Err(unavailable(format!("no thread could be started: {error}")));
        }
        let ended = || unavailable("the driver ended while it was opening the store".to_owned());
        let (commands, listeners, store) = open.await.map_err(|_| ended())??;
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        Ok(Self { commands, room, listeners, options, store, reading, network: Arc::new(network) })
    }

    /// The store's id.
    pub fn store_id(&self) -> StoreId {
        self.store
    }

    async fn ask<T, E>(&self, closed: E, command: impl FnOnce(Answer<Result<T, E>>) -> Command) -> Result<T, E>
    where
        E: Clone + Unanswered,
    {
        ask(&self.commands, closed, command).await
    }

    /// Accepts a message. Resolves after the commit (P1): from then on it reaches the broker, or gets a recorded
    /// verdict, whatever happens to this process. Dropping the future never cancels the message. Waits while many
    /// messages wait for their commit.
    ///
    /// ```
    /// # use homing::{Homing, Options, Publish, TopicName};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let mut options = Options::new(folder.path().join("home.db"));
    /// # options.connect = false;
    /// # let client = Homing::open(options).await?;
    /// let on = Publish::new(TopicName::new("home/light/set")?, "on").ttl(std::time::Duration::from_secs(60));
    /// let off = Publish::new(TopicName::new("home/light/set")?, "off");
    /// let (on, off) = (client.publish(on).await?, client.publish(off).await?);
    /// assert!(on < off, "ids rise in publish order");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`]; the message is not stored then, except where the variant says otherwise.
    pub async fn publish(&self, message: Publish) -> Result<MessageId, PublishError> {
        let message = check::publish(message, &self.options)?;
        let _room = self.room(message.row.size()).await?;
        let n = self.ask(PublishError::Closed, |answer| Command::Publish { message, _room, answer }).await?;
        Ok(MessageId::new(self.store, n))
    }

    /// Accepts several messages in one transaction: all or none. Ids come in the order of the messages. Supersede and
    /// idempotency keys count within the batch too.
    ///
    /// # Errors
    /// [`PublishError`] of the first message that is refused; none is stored then.
    pub async fn publish_all(&self, messages: Vec<Publish>) -> Result<Vec<MessageId>, PublishError> {
        let messages = messages.into_iter().map(|message| check::publish(message, &self.options));
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        let _room = self.room(messages.iter().map(|message| message.row.size()).sum()).await?;
        let ids = self.ask(PublishError::Closed, |answer| Command::PublishAll { messages, _room, answer }).await?;
        Ok(ids.into_iter().map(|n| MessageId::new(self.store, n)).collect())
    }

    async fn room(&self, bytes: u64) -> Result<tokio::sync::OwnedSemaphorePermit, PublishError> {
        let kib = usize::try_from(bytes / 1024 + 1).unwrap_or(WAITING_KIB).min(WAITING_KIB);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| PublishError::Closed)
    }

    fn number(&self, id: MessageId) -> Option<u64> {
        (id.store() == self.store).then_some(id.number())
    }

    /// What became of a message (P9); works for every id that this store ever gave.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`] for an id that was never given.
    pub async fn fate(&self, id: MessageId) -> Result<Fate, Error> {
        let Some(n) = self.number(id) else { return Ok(Fate::OtherStore) };
        self.ask(Error::Closed, |answer| Command::Fate { n, answer }).await
    }

    /// Waits until a message has come to its end. Cancel-safe; after a restart just ask again.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`] for an id that was never given.
    pub async fn settled(&self, id: MessageId) -> Result<Fate, Error> {
        let Some(n) = self.number(id) else { return Ok(Fate::OtherStore) };
        self.ask(Error::Closed, |answer| Command::Settled { n, answer }).await
    }

    /// Takes a message back that was not sent yet (it is waiting or parked); its verdict is `Cancelled`, and whoever waits
    /// for it is told. Once this has answered [`Cancel::Cancelled`] it is never sent, also after a kill.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`] for an id that was never given by this store.
    pub async fn cancel(&self, id: MessageId) -> Result<Cancel, Error> {
        let Some(n) = self.number(id) else { return Ok(Cancel::Settled(Fate::OtherStore)) };
        self.ask(Error::Closed, |answer| Command::Cancel { n, answer }).await
    }

    /// Publishes a message again that was set aside ([`Fate::Parked`]): the old id gets the verdict `Superseded` by the
    /// new one, which is returned. If its time to live is over it has expired instead, and keeps its id.
    ///
    /// # Errors
    /// [`Error::NotParked`]; [`Error::NoSuchMessage`] for an id that was never given by this store.
    pub async fn unpark(&self, id: MessageId) -> Result<MessageId, Error> {
        let n = self.number(id).ok_or(Error::NoSuchMessage { n: id.number() })?;
        let new = self.ask(Error::Closed, |answer| Command::Unpark { n, answer }).await?;
        Ok(MessageId::new(self.store, new))
    }

    /// Waits until every message accepted so far has come to its end (true), or `deadline` has passed (false). What is
    /// parked is not waited for.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn flush(&self, deadline: Duration) -> Result<bool, Error> {
        self.ask(Error::Closed, |answer| Command::Flush { deadline, answer }).await
    }

    /// Records a durable wish; true after the commit. The broker's grant is an event, also after each reconnect.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a filter with control characters, and for options that contradict it.
    pub async fn subscribe(&self, wish: Subscription) -> Result<(), Error> {
        check::subscription(&wish)?;
        profile::subscription(&wish, &self.options.profile)?;
        self.ask(Error::Closed, |answer| Command::Subscribe { wish, answer }).await
    }

    /// Ends a wish; true after the commit. Messages may still come until the broker has answered.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Storage`].
    pub async fn unsubscribe(&self, filter: TopicFilter) -> Result<(), Error> {
        self.ask(Error::Closed, |answer| Command::Unsubscribe { filter, answer }).await
    }

    /// Opens a durable consumer, and makes it if there is none of that name. A new one starts at the oldest message
    /// that is kept, unless the spec says otherwise; filters named for an existing one are added to what it wants, unless
    /// it is to be exact.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or over 255 bytes, or a lag policy out of its range;
    /// [`Error::PositionInvalid`] to begin at a position of another store or beyond the end; [`Error::ConsumerDiffers`].
    /// Nothing is stored then.
    pub async fn consumer(&self, spec: ConsumerSpec) -> Result<Consumer, Error> {
        check::consumer_name(&spec.name)?;
        spec.lag.map_or(Ok(()), check::lag)?;
        if let Start::At(at) = spec.start
            && at.store() != self.store
        {
            return Err(Error::PositionInvalid { seq: at.seq(), problem: "of another store" });
        }
        let name = spec.name.clone();
        let given = self.ask(Error::Closed, |answer| Command::Consumer { spec, answer }).await?;
        let (store, last_seq, commands) = (self.store, self.listeners.last_seq.clone(), self.commands.clone());
        let paused = self.listeners.paused.clone();
        let progress = Progress { name, store, commands };
        Ok(Consumer { progress, given, reading: self.reading()?, last_seq, paused })
    }

    /// Removes a consumer: nothing is kept for it any more.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`].
    pub async fn remove_consumer(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(Error::Closed, |answer| Command::RemoveConsumer { name, answer }).await
    }

    /// Wanted: connected. Tries at once, also after a take-over or refused credentials.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn connect(&self) -> Result<(), Error> {
        self.ask(Error::Closed, |answer| Command::Connect { answer }).await
    }

    /// The provider of credentials ([`CredentialsProvider`](crate::CredentialsProvider)) has others than it gave last: a wait
    /// for the next attempt is cut short (attempts keep a second between them), and on a link that stands they are put in use
    /// as if the last ones were about to expire, at most every 5 s. Does nothing with static credentials.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Paused`].
    pub async fn credentials_changed(&self) -> Result<(), Error> {
        self.ask(Error::Closed, |answer| Command::CredentialsChanged { answer }).await
    }

    /// Wanted: not connected. The session stays at the broker as long as its session expiry says.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn disconnect(&self, farewell: Farewell) -> Result<(), Error> {
        let with_will = farewell == Farewell::WithWill;
        self.ask(Error::Closed, |answer| Command::Disconnect { with_will, answer }).await
    }

    /// DISCONNECT if connected, the session is kept; then the store is closed and its lock is free. What was not sent
    /// stays in the store. The goodbye takes at most `deadline`.
    ///
    /// # Errors
    /// [`Error::Storage`] if the last commit failed: as after a kill, nothing accepted is lost.
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        self.ask(Error::Closed, |answer| Command::Close { deadline, answer }).await
    }

    /// The newest connection state; conflated.
    pub fn state(&self) -> StateWatch {
        StateWatch::new(self.listeners.state.clone())
    }

    /// Everything that happens from now on, behind warnings that came before anybody listened. Bounded: a slow reader gets
    /// [`Event::Missed`](crate::Event::Missed).
    pub fn events(&self) -> Events {
        self.listeners.events()
    }

    /// Counters since the client was opened.
    pub fn metrics(&self) -> Metrics {
        self.listeners.metrics()
    }
}

/// Asks the driver. One that lives and gives no answer has panicked over the question.
async fn ask<T, E>(
    commands: &mpsc::Sender<Command>,
    closed: E,
    command: impl FnOnce(Answer<Result<T, E>>) -> Command,
) -> Result<T, E>
where
    E: Clone + Unanswered,
{
    let (answer, reply) = oneshot::channel();
    if commands.send(command(answer)).await.is_err() {
        return Err(closed);
    }
    reply.await.unwrap_or_else(|_| Err(if commands.is_closed() { closed } else { closed.unanswered() }))
}

type Opened = (mpsc::Sender<Command>, Listeners, StoreId);

/// Hints of the platform, and the thread that reads.
type Outside = (watch::Receiver<Option<Network>>, Arc<Mutex<reading::Slot>>);

/// The driver's thread.
fn drive(options: Arc<Options>, opened: oneshot::Sender<Result<Opened, OpenError>>, (network, reading): Outside) {
    let seed = fastrand::u64(..);
    let engine = match Engine::open(Arc::clone(&options), clock::wall_ms(), seed) {
        Ok(engine) => engine,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error =
                OpenError::StoreUnavailable { path: options.store.clone(), detail: format!("no event loop: {error}") };
            return drop(opened.send(Err(error)));
        }
    };
    let hot = *engine.session().hot();
    let stored = (hot.turn > 0).then_some(&hot);
    let longest_ms = i64::try_from(options.retention.as_millis() / 2).unwrap_or(i64::MAX);
    let clock = Clock::new(stored, longest_ms);
    let store = StoreId(engine.session().row().store_id);
    let (commands, queue) = mpsc::channel(COMMANDS);
    let (fanout, listeners) = Fanout::new(store, State::Offline(Why::Asked), hot.next_seq - 1, options.max_packet);
    // What is in the store is known before the first turn.
    fanout.metrics(engine.metrics());
    if opened.send(Ok((commands, listeners, store))).is_ok() {
        runtime.block_on(Driver::new(engine, options, clock, queue, fanout, network, reading).run());
    }
}
