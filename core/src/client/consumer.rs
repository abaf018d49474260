//! Durable consumers: rows after a cursor. Nothing of a message travels by channel, so nothing can be lost in one (P4).

use std::num::NonZeroUsize;

use tokio::sync::{mpsc, watch};

use super::ask;
use super::command::Command;
use super::reading::Reading;
use crate::model::consumer::{Lag, Skipped, Start};
use crate::model::error::Error;
use crate::model::message::{Message, Position, StoreId};
use crate::model::topic::TopicFilter;

/// Which messages a durable consumer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerSpec {
    /// 1 to 255 bytes.
    pub name: String,
    /// Empty: every message. For an existing consumer: added to what it wants, unless `exact`.
    pub filters: Vec<TopicFilter>,
    /// Where a new one begins; an existing one goes on where it is.
    pub start: Start,
    /// What happens when it falls behind. None: an existing one keeps its policy, a new one has `Lag::Pause`.
    pub lag: Option<Lag>,
    /// An existing consumer with other filters is an error instead of being widened.
    pub exact: bool,
}

impl ConsumerSpec {
    /// By name, wanting every message.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), filters: Vec::new(), start: Start::default(), lag: None, exact: false }
    }
    /// Wanting also this.
    #[must_use]
    pub fn filter(mut self, filter: TopicFilter) -> Self {
        self.filters.push(filter);
        self
    }
    /// A new one begins here.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }
    /// It may fall behind so far.
    #[must_use]
    pub fn lag(mut self, lag: Lag) -> Self {
        self.lag = Some(lag);
        self
    }
    /// With these filters or not at all.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }
}

/// A durable consumer: an open place in the inbox.
///
/// After a restart, or when opened again, it begins with the first message that is not done (P4).
///
/// ```no_run
/// # use std::num::NonZeroUsize;
/// # use homing::{ConsumerSpec, Homing, Message, TopicFilter};
/// # fn draw(_: &Message) {}
/// # async fn chart(client: &Homing) -> Result<(), Box<dyn std::error::Error>> {
/// let wanted = ConsumerSpec::new("chart").filter(TopicFilter::new("home/+/temperature")?);
/// let mut consumer = client.consumer(wanted).await?;
/// let most = NonZeroUsize::MIN.saturating_add(99);
/// loop {
///     let messages = consumer.next(most).await?;
///     messages.iter().for_each(draw);
///     if let Some(last) = messages.last() {
///         consumer.done_through(last.at).await?; // one commit for the whole page
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    pub(super) progress: Progress,
    /// Rows up to here were given by this handle, or are nothing it wants.
    pub(super) given: u64,
    pub(super) reading: Reading,
    pub(super) last_seq: watch::Receiver<u64>,
    pub(super) paused: watch::Receiver<bool>,
}

/// The other half of a [`Consumer`]: says what is done, from another task while the consumer itself waits for messages.
#[derive(Debug, Clone)]
pub struct Progress {
    pub(super) name: String,
    pub(super) store: StoreId,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Consumer {
    /// Up to `max` messages after those already given by this handle; waits until there is at least one. A call gives
    /// at most 500 messages and about 4 MiB.
    ///
    /// While the client is paused it waits, and goes on once it is resumed.
    ///
    /// Cancel-safe: a dropped call has taken nothing. A kill changes nothing: what is not done comes again.
    ///
    /// # Errors
    /// [`Error::Closed`] once the client is closed, [`Error::Storage`] if the store cannot be read.
    pub async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Message>, Error> {
        loop {
            let last = *self.last_seq.borrow_and_update();
            if last > self.given {
                let (name, after) = (self.progress.name.clone(), self.given);
                let page = self.reading.ask(move |reader| reader.page(&name, after, max.get())).await;
                if page == Err(Error::Paused) {
                    self.paused.wait_for(|paused| !paused).await.map_err(|_| Error::Closed)?;
                    continue;
                }
                let (messages, through) = page?;
                let moved = through > self.given;
                self.given = self.given.max(through);
                if !messages.is_empty() {
                    return Ok(messages);
                }
                if moved {
                    continue;
                }
            }
            self.last_seq.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Done with one message, in any order; resolves after the commit.
    ///
    /// # Errors
    /// As [`Progress::done`].
    pub async fn done(&self, at: Position) -> Result<(), Error> {
        self.progress.done(at).await
    }

    /// Done with this message and all before; resolves after the commit. Never goes back.
    ///
    /// # Errors
    /// As [`Progress::done_through`].
    pub async fn done_through(&self, at: Position) -> Result<(), Error> {
        self.progress.done_through(at).await
    }

    /// What says that messages are done, apart from this place: cheap to clone, and good for other tasks.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// All that this consumer was moved over before it was done with it, since it was made; None: nothing. Kept in the
    /// store, so a restart does not forget it. Each time is told by [`Event::Skipped`](crate::Event::Skipped) as well.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`] if it was removed; [`Error::Closed`], [`Error::Storage`].
    pub async fn skipped(&self) -> Result<Option<Skipped>, Error> {
        let name = self.progress.name.clone();
        self.reading.ask(move |reader| reader.skipped(&name)).await
    }
}

impl Progress {
    /// Done with one message, in any order; resolves after the commit.
    ///
    /// # Errors
    /// [`Error::PositionInvalid`] for a position of another store or beyond the end; [`Error::NoSuchConsumer`] once it was
    /// removed.
    pub async fn done(&self, at: Position) -> Result<(), Error> {
        self.mark(at, false).await
    }

    /// Done with this message and all before; resolves after the commit. Never goes back.
    ///
    /// # Errors
    /// As [`Progress::done`].
    pub async fn done_through(&self, at: Position) -> Result<(), Error> {
        self.mark(at, true).await
    }

    async fn mark(&self, at: Position, through: bool) -> Result<(), Error> {
        if at.store() != self.store {
            return Err(Error::PositionInvalid { seq: at.seq(), problem: "of another store" });
        }
        let (name, seq) = (self.name.clone(), at.seq());
        ask(&self.commands, Error::Closed, |answer| Command::Done { name, seq, through, answer }).await
    }
}
