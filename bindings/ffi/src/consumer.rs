//! A durable place in the inbox.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use homing::{ConsumerSpec, Lag, Position, Progress, Start, StoreId};
use tokio::sync::Mutex;

use crate::cancel::{Canceller, until};
use crate::error::{FfiError, Result};
use crate::id::StoredId;
use crate::message::{ReceivedMessage, duration, filters};

/// What happens when a consumer falls behind.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum LagPolicy {
    /// The broker has to wait.
    Pause,
    /// Older ones are skipped.
    Skip {
        /// About so many stay.
        messages: u64,
    },
    /// What is older is skipped.
    Expire {
        /// In milliseconds.
        after_ms: i64,
    },
}

impl LagPolicy {
    fn translate(self) -> Result<Lag> {
        Ok(match self {
            Self::Pause => Lag::Pause,
            Self::Skip { messages } => {
                let none = || FfiError::invalid("lag: 0 messages may stay; 1 to 100000 are taken");
                Lag::Skip { messages: NonZeroU64::new(messages).ok_or_else(none)? }
            }
            Self::Expire { after_ms } => Lag::Expire { after: duration("lag", after_ms)? },
        })
    }
}

impl From<Lag> for LagPolicy {
    fn from(lag: Lag) -> Self {
        match lag {
            Lag::Pause => Self::Pause,
            Lag::Skip { messages } => Self::Skip { messages: messages.get() },
            Lag::Expire { after } => Self::Expire { after_ms: i64::try_from(after.as_millis()).unwrap_or(i64::MAX) },
            _ => Self::Pause,
        }
    }
}

/// Where a new consumer begins.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum StartAt {
    /// With the oldest message.
    Oldest,
    /// With the next one.
    Now,
    /// With this message, or the first one behind it that is still kept.
    At {
        /// Of the same store.
        position: StoredId,
    },
}

/// Which messages a durable consumer wants.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ConsumerSettings {
    /// 1 to 255 bytes.
    pub name: String,
    /// Empty: every message.
    pub filters: Vec<String>,
    /// Where a new one begins.
    pub start: StartAt,
    /// None: what it has, or pause.
    pub lag: Option<LagPolicy>,
    /// Other filters are an error.
    pub exact: bool,
}

impl ConsumerSettings {
    pub(crate) fn translate(self) -> Result<ConsumerSpec> {
        let mut spec = ConsumerSpec::new(self.name);
        spec.filters = filters(self.filters)?;
        spec.start = match self.start {
            StartAt::Oldest => Start::Oldest,
            StartAt::Now => Start::Now,
            StartAt::At { position } => Start::At(position.position()?),
        };
        spec.lag = self.lag.map(LagPolicy::translate).transpose()?;
        spec.exact = self.exact;
        Ok(spec)
    }
}

/// An open place in the inbox.
#[derive(Debug, uniffi::Object)]
pub struct Consumer {
    reading: Mutex<homing::Consumer>,
    progress: Progress,
    store: StoreId,
}

impl Consumer {
    pub(crate) fn new(consumer: homing::Consumer, store: StoreId) -> Arc<Self> {
        let progress = consumer.progress();
        Arc::new(Self { reading: Mutex::new(consumer), progress, store })
    }
}

#[uniffi::export]
impl Consumer {
    /// Up to `max` messages after those already given; waits until there is at least one. One call at a time: a second one
    /// waits for the first.
    pub async fn next(&self, max: u32, cancel: Option<Arc<Canceller>>) -> Result<Vec<ReceivedMessage>> {
        let none = || FfiError::invalid("max: 0 messages; 1 or more are taken");
        let max = usize::try_from(max).ok().and_then(NonZeroUsize::new).ok_or_else(none)?;
        let wait = async {
            let messages = self.reading.lock().await.next(max).await?;
            Ok(messages.into_iter().map(ReceivedMessage::from).collect())
        };
        until(cancel, wait).await
    }

    /// Done with one message; resolves after the commit.
    pub async fn done(&self, seq: u64) -> Result<()> {
        Ok(self.progress.done(Position::new(self.store, seq)).await?)
    }

    /// Done with this message and all before; resolves after the commit.
    pub async fn done_through(&self, seq: u64) -> Result<()> {
        Ok(self.progress.done_through(Position::new(self.store, seq)).await?)
    }
}
