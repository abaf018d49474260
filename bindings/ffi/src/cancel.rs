//! An end to a wait: Kotlin drops the future of a cancelled coroutine, a cancelled task of Swift never reaches Rust.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{FfiError, Result};

/// Ends the waits that it was given to, once and for all. Waits that were cancelled have taken nothing.
#[derive(Debug, uniffi::Object)]
pub struct Canceller(watch::Sender<bool>);

#[uniffi::export]
impl Canceller {
    /// One that has not been used.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(false)))
    }

    /// Ends them, now and later.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

/// The wait's outcome, or an error `Cancelled`; a canceller that was used before lets nothing begin.
pub(crate) async fn until<T>(cancel: Option<Arc<Canceller>>, wait: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(cancel) = cancel else { return wait.await };
    let mut told = cancel.0.subscribe();
    let mut wait = std::pin::pin!(wait);
    let mut cancelled = std::pin::pin!(told.wait_for(|told| *told));
    std::future::poll_fn(move |context| {
        // The sender lives in `cancel`, so the only way for this to end is a cancellation.
        if cancelled.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(Err(FfiError::cancelled()));
        }
        wait.as_mut().poll(context)
    })
    .await
}
