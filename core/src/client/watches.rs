//! What an app watches: the newest state, and the stream of events.

use tokio::sync::{broadcast, watch};

use crate::model::event::{Event, State};

/// The newest state of the connection.
#[derive(Debug, Clone)]
pub struct StateWatch(watch::Receiver<State>);

impl StateWatch {
    pub(super) fn new(state: watch::Receiver<State>) -> Self {
        Self(state)
    }

    /// Now.
    pub fn get(&self) -> State {
        self.0.borrow().clone()
    }

    /// Waits for a change that this watch has not seen; None: the client is gone. Cancel-safe.
    pub async fn changed(&mut self) -> Option<State> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    unheard: std::vec::IntoIter<Event>,
    events: Option<broadcast::Receiver<Event>>,
}

impl Events {
    pub(super) fn new(unheard: Vec<Event>, events: Option<broadcast::Receiver<Event>>) -> Self {
        Self { unheard: unheard.into_iter(), events }
    }

    /// The next event; None: the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.unheard.next() {
            return Some(event);
        }
        match self.events.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
