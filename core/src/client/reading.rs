//! A thread with a read-only connection of its own, so that reading a page never delays a turn. While the client is paused
//! the connection is closed.

use std::sync::{Arc, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Homing;
use crate::model::error::{Error, OpenError};
use crate::model::options::Options;
use crate::store::reader::Reader;

type Read = Box<dyn FnOnce(Result<&Reader, Error>) + Send>;

enum Job {
    Read(Read),
    /// Close the connection; says when it is closed.
    Park(oneshot::Sender<()>),
    Unpark,
    /// Close the connection for good.
    End(oneshot::Sender<()>),
}

/// The thread that client and driver share, once it is needed.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(super) reading: Option<Reading>,
    /// Why none may be started: the client is paused, or closed.
    pub(super) refused: Option<Error>,
}

impl Homing {
    /// Reads the same store with a connection of its own. Drop it before [`Homing::pause`]: it holds a lock of SQLite's.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Paused`] while the client is.
    pub fn reader(&self) -> Result<Reader, OpenError> {
        if *self.listeners.paused.borrow() {
            return Err(OpenError::Paused);
        }
        open_reader(&self.options)
    }

    pub(super) fn reading(&self) -> Result<Reading, Error> {
        let mut slot = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match (&slot.reading, &slot.refused) {
            (Some(reading), _) => Ok(reading.clone()),
            (None, Some(refused)) => Err(refused.clone()),
            (None, None) => {
                let started = Reading::start(Arc::clone(&self.options));
                let started = started.map_err(|error| Error::Storage { detail: error.to_string() })?;
                Ok(slot.reading.insert(started).clone())
            }
        }
    }
}

/// A connection of its own, with the key of an encrypted store.
pub(super) fn open_reader(options: &Options) -> Result<Reader, OpenError> {
    #[cfg(feature = "encryption")]
    return Reader::unlocked(&options.store, &crate::store::Unlock::new(options.key.clone()));
    #[cfg(not(feature = "encryption"))]
    Reader::open(&options.store)
}

/// Hands jobs to the reading thread; it ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    jobs: std_mpsc::SyncSender<Job>,
}

impl Reading {
    /// Starts the thread.
    pub(crate) fn start(options: Arc<Options>) -> Result<Self, OpenError> {
        let reader = open_reader(&options)?;
        let store = options.store.clone();
        // A job is a page: a caller has at most one on its way, and few callers read at a time.
        let (jobs, queue) = std_mpsc::sync_channel::<Job>(64);
        let spawned = std::thread::Builder::new().name("homing-reader".to_owned()).spawn(move || {
            let (mut reader, mut parked) = (Some(reader), false);
            while let Ok(job) = queue.recv() {
                match job {
                    Job::Read(read) if parked => read(Err(Error::Paused)),
                    Job::Read(read) => {
                        let opened = match reader.take() {
                            Some(reader) => Ok(reader),
                            None => open_reader(&options).map_err(|error| Error::Storage { detail: error.to_string() }),
                        };
                        match opened {
                            Ok(opened) => read(Ok(reader.insert(opened))),
                            Err(error) => read(Err(error)),
                        }
                    }
                    Job::Park(closed) => {
                        (reader, parked) = (None, true);
                        // Whoever asked may have given up waiting.
                        let _ = closed.send(());
                    }
                    Job::Unpark => parked = false,
                    Job::End(closed) => {
                        drop(reader.take());
                        let _ = closed.send(());
                        return;
                    }
                }
            }
        });
        match spawned {
            Ok(_) => Ok(Self { jobs }),
            Err(error) => {
                Err(OpenError::StoreUnavailable { path: store, detail: format!("no thread could be started: {error}") })
            }
        }
    }

    /// Runs a read on the thread.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, reply) = oneshot::channel();
        // A caller that has given up does not want the page any more.
        let read: Read = Box::new(move |reader| drop(answer.send(reader.and_then(read))));
        self.jobs.send(Job::Read(read)).map_err(|_| Error::Closed)?;
        reply.await.map_err(|_| Error::Closed)?
    }

    /// Closes the connection; reads get `Paused` until `unpark`.
    pub(crate) async fn park(&self) {
        let (closed, done) = oneshot::channel();
        if self.hand_in(Job::Park(closed)).await {
            // No answer: the thread has ended, and its connection with it.
            drop(done.await);
        }
    }

    /// Closes the connection and ends the thread, whoever still has a clone: reads get `Closed`.
    pub(crate) async fn end(&self) {
        let (closed, done) = oneshot::channel();
        if self.hand_in(Job::End(closed)).await {
            drop(done.await);
        }
    }

    /// Reads open the store again.
    pub(crate) async fn unpark(&self) {
        self.hand_in(Job::Unpark).await;
    }

    /// The next read opens the store again: with another key.
    #[cfg(feature = "encryption")]
    pub(crate) fn open_again(&self) {
        let (closed, _) = oneshot::channel();
        // A thread that has ended holds no connection.
        let _ = self.jobs.send(Job::Park(closed)).and_then(|()| self.jobs.send(Job::Unpark));
    }

    /// Without blocking the thread it is called on, however many pages are asked for.
    async fn hand_in(&self, mut job: Job) -> bool {
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => return true,
                Err(std_mpsc::TrySendError::Full(back)) => job = back,
                Err(std_mpsc::TrySendError::Disconnected(_)) => return false,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
