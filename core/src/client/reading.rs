//! A thread with a read-only connection of its own, so that reading a page never delays a turn.

use std::path::PathBuf;
use std::sync::mpsc as std_mpsc;

use tokio::sync::oneshot;

use crate::model::error::{Error, OpenError};
use crate::store::reader::Reader;

type Job = Box<dyn FnOnce(&Reader) + Send>;

/// Hands jobs to the reading thread; it ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    jobs: std_mpsc::SyncSender<Job>,
}

impl Reading {
    /// Starts the thread.
    pub(crate) fn start(reader: Reader, store: PathBuf) -> Result<Self, OpenError> {
        // A job is a page: a caller has at most one on its way, and few callers read at a time.
        let (jobs, queue) = std_mpsc::sync_channel::<Job>(64);
        let spawned = std::thread::Builder::new().name("homing-reader".to_owned()).spawn(move || {
            while let Ok(job) = queue.recv() {
                job(&reader);
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
        let job: Job = Box::new(move |reader| drop(answer.send(read(reader))));
        self.jobs.send(job).map_err(|_| Error::Closed)?;
        reply.await.map_err(|_| Error::Closed)?
    }
}
