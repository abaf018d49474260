//! What the handle asks of the driver, and the answers that wait for the commit.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::consumer::ConsumerSpec;
use super::copied::HeldCommand;
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::Fate;
use crate::model::life::{Resumed, SyncReport};
use crate::model::message::Subscription;
use crate::model::rows::OutboxRow;
use crate::model::topic::TopicFilter;

/// Sends an answer; that nobody waits for it any more is no error.
pub(crate) type Answer<T> = oneshot::Sender<T>;

/// A message on its way into the store.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Its id names the lane only; `expires_ms` is the time to live.
    pub(crate) row: OutboxRow,
    /// Idempotency.
    pub(crate) key: Option<String>,
}

/// What became of the wish to take a message back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancel {
    /// It will not be sent; its verdict is `Fate::Cancelled`.
    Cancelled,
    /// It was sent, or may have been: the broker may have it.
    TooLate,
    /// It had come to its end before.
    Settled(Fate),
}

/// An answer without a value.
pub(crate) type Done = Answer<Result<(), Error>>;

/// One request.
#[derive(Debug)]
pub(crate) enum Command {
    /// One message; by far the most common. Its room among the waiting bytes is free again when the turn is done.
    Publish {
        message: Outgoing,
        _room: OwnedSemaphorePermit,
        answer: Answer<Result<u64, PublishError>>,
    },
    /// Several in one transaction, all or none.
    PublishAll {
        messages: Vec<Outgoing>,
        _room: OwnedSemaphorePermit,
        answer: Answer<Result<Vec<u64>, PublishError>>,
    },
    Cancel {
        n: u64,
        answer: Answer<Result<Cancel, Error>>,
    },
    /// Answers with the new id.
    Unpark {
        n: u64,
        answer: Answer<Result<u64, Error>>,
    },
    Fate {
        n: u64,
        answer: Answer<Result<Fate, Error>>,
    },
    Settled {
        n: u64,
        answer: Answer<Result<Fate, Error>>,
    },
    /// Answers whether all was settled before the deadline.
    Flush {
        deadline: Duration,
        answer: Answer<Result<bool, Error>>,
    },
    Subscribe {
        wish: Subscription,
        answer: Answer<Result<(), Error>>,
    },
    Unsubscribe {
        filter: TopicFilter,
        answer: Answer<Result<(), Error>>,
    },
    /// Answers with the cursor.
    Consumer {
        spec: ConsumerSpec,
        answer: Answer<Result<u64, Error>>,
    },
    RemoveConsumer {
        name: String,
        answer: Answer<Result<(), Error>>,
    },
    Done {
        name: String,
        seq: u64,
        through: bool,
        answer: Answer<Result<(), Error>>,
    },
    Held(HeldCommand),
    #[cfg(feature = "encryption")]
    Rekey {
        key: crate::model::key::StoreKey,
        answer: Answer<Result<(), Error>>,
    },
    Connect {
        answer: Answer<Result<(), Error>>,
    },
    CredentialsChanged {
        answer: Done,
    },
    Disconnect {
        with_will: bool,
        answer: Answer<Result<(), Error>>,
    },
    Sync {
        deadline: Duration,
        answer: Answer<Result<SyncReport, Error>>,
    },
    /// Disconnects and closes the store; the driver waits for `Resume`.
    Pause {
        deadline: Duration,
        answer: Answer<Result<(), Error>>,
    },
    Resume {
        answer: Answer<Result<Resumed, OpenError>>,
    },
    /// Disconnects, closes the store, ends the driver.
    Close {
        deadline: Duration,
        answer: Answer<Result<(), Error>>,
    },
}

/// An answer that leaves after the commit.
#[derive(Debug)]
pub(crate) enum Reply {
    Id(Answer<Result<u64, PublishError>>, u64),
    Ids(Answer<Result<Vec<u64>, PublishError>>, Vec<u64>),
    Fate(Answer<Result<Fate, Error>>, Fate),
    Cancelled(Answer<Result<Cancel, Error>>, Cancel),
    /// A cursor, or an id.
    Number(Answer<Result<u64, Error>>, u64),
    Flushed(Answer<Result<bool, Error>>, bool),
    Done(Answer<Result<(), Error>>),
    Synced(Answer<Result<SyncReport, Error>>, SyncReport),
}

impl Reply {
    /// The commit has happened.
    pub(crate) fn committed(self) {
        // A caller that has gone away has dropped its end: the message stays published all the same.
        match self {
            Self::Id(answer, id) => drop(answer.send(Ok(id))),
            Self::Ids(answer, ids) => drop(answer.send(Ok(ids))),
            Self::Fate(answer, fate) => drop(answer.send(Ok(fate))),
            Self::Cancelled(answer, cancel) => drop(answer.send(Ok(cancel))),
            Self::Number(answer, number) => drop(answer.send(Ok(number))),
            Self::Flushed(answer, all) => drop(answer.send(Ok(all))),
            Self::Done(answer) => drop(answer.send(Ok(()))),
            Self::Synced(answer, report) => drop(answer.send(Ok(report))),
        }
    }

    /// The commit has failed.
    pub(crate) fn failed(self, publish: &PublishError, other: &Error) {
        match self {
            Self::Id(answer, _) => drop(answer.send(Err(publish.clone()))),
            Self::Ids(answer, _) => drop(answer.send(Err(publish.clone()))),
            Self::Fate(answer, _) => drop(answer.send(Err(other.clone()))),
            Self::Cancelled(answer, _) => drop(answer.send(Err(other.clone()))),
            Self::Number(answer, _) => drop(answer.send(Err(other.clone()))),
            Self::Flushed(answer, _) => drop(answer.send(Err(other.clone()))),
            Self::Done(answer) => drop(answer.send(Err(other.clone()))),
            Self::Synced(answer, _) => drop(answer.send(Err(other.clone()))),
        }
    }
}
