//! The state of the connection, for any number of listeners.

use std::sync::Arc;

use homing::StateWatch;
use tokio::sync::Mutex;

use crate::cancel::{Canceller, until};
use crate::error::Result;
use crate::state::LinkState;

/// One listener's place: it sees the state as it is, then every change that it was there for; what it was too slow for is
/// left out, the newest never. It does not keep the client.
#[derive(Debug, uniffi::Object)]
pub struct StateStream(Mutex<Watching>);

#[derive(Debug)]
struct Watching {
    state: StateWatch,
    begun: bool,
}

impl StateStream {
    pub(crate) fn new(state: StateWatch) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Watching { state, begun: false })))
    }
}

#[uniffi::export]
impl StateStream {
    /// The state as it is at the first call, then the next one; None: the client is gone.
    pub async fn next(&self, cancel: Option<Arc<Canceller>>) -> Result<Option<LinkState>> {
        let wait = async {
            let mut watching = self.0.lock().await;
            if !watching.begun {
                watching.begun = true;
                return Ok(Some(watching.state.get().into()));
            }
            Ok(watching.state.changed().await.map(LinkState::from))
        };
        until(cancel, wait).await
    }
}
