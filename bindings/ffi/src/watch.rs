//! The state of the connection, for any number of listeners.

use std::sync::Arc;

use homing::{State, StateWatch};
use tokio::sync::Mutex;

use crate::cancel::{Canceller, until};
use crate::error::Result;
use crate::state::LinkState;

/// One listener's place: it sees the state as it is, then every change that it was there for; what it was too slow for is
/// left out, the newest never. It does not keep the client.
#[derive(Debug, uniffi::Object)]
pub struct StateStream {
    /// For the places of others.
    fresh: StateWatch,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    watch: StateWatch,
    /// What was given last; None: nothing yet.
    given: Option<State>,
}

impl StateStream {
    pub(crate) fn new(fresh: StateWatch) -> Arc<Self> {
        let place = Mutex::new(Place { watch: fresh.clone(), given: None });
        Arc::new(Self { fresh, place })
    }
}

#[uniffi::export]
impl StateStream {
    /// The state as it is at the first call, then the next one; None: the client is gone.
    pub async fn next(&self, cancel: Option<Arc<Canceller>>) -> Result<Option<LinkState>> {
        let wait = async {
            let mut place = self.place.lock().await;
            // The watch counts the state that is given first as a change that it has not seen.
            let next = loop {
                let next = match place.given {
                    None => place.watch.get(),
                    Some(_) => match place.watch.changed().await {
                        Some(next) => next,
                        None => return Ok(None),
                    },
                };
                if place.given.as_ref() != Some(&next) {
                    break next;
                }
            };
            place.given = Some(next.clone());
            Ok(Some(next.into()))
        };
        until(cancel, wait).await
    }

    /// The state now; it does not move the place.
    pub fn now(&self) -> Result<LinkState> {
        Ok(self.fresh.get().into())
    }

    /// Another listener's place, that begins with the state as it is; also once the client is gone.
    pub fn again(&self) -> Result<Arc<Self>> {
        Ok(Self::new(self.fresh.clone()))
    }
}
