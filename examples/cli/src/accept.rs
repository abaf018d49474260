//! Publishing many independent messages: one commit for all that are ready, and a bad one does not spoil its neighbours.

use homing::{Homing, MessageId, Publish, PublishError};

/// One result a message, in order. The core's `publish_all` is all or none: what it refuses is halved until the bad
/// ones stand alone.
pub(crate) async fn each(homing: &Homing, messages: Vec<Publish>) -> Vec<Result<MessageId, PublishError>> {
    let mut results = Vec::with_capacity(messages.len());
    let mut parts = vec![messages];
    while let Some(mut part) = parts.pop() {
        match homing.publish_all(part.clone()).await {
            Ok(ids) => results.extend(ids.into_iter().map(Ok)),
            // `Unknown` may have been accepted: trying again could double it.
            Err(error) if part.len() <= 1 || matches!(error, PublishError::Unknown | PublishError::Closed) => {
                results.extend(part.iter().map(|_| Err(error.clone())));
            }
            Err(_) => {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
        }
    }
    results
}
