//! A panic in the driver is a bug of ours; the app's messages outlive it. The store is opened again as after a failed commit,
//! and a message that was at hand at two of them is set aside, so that it cannot stop the others for ever.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::command::Reply;
use super::driver::Driver;
use super::recover::REOPEN_LIMIT;
use super::turn::{Engine, TurnInput};
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::Event;
use crate::store::{StoreError, StoreErrorKind};

/// What an app is told. What the panic said is not repeated: it may quote a message (P12).
const TEXT: &str = "a panic in the driver, a bug; the store was opened again";

/// The panics of this client.
#[derive(Debug, Default)]
pub(super) struct Panics {
    count: u32,
    /// Messages that were at hand.
    once: BTreeSet<u64>,
    twice: BTreeSet<u64>,
}

impl Panics {
    /// Another one. Says whether the message that was at hand is to be set aside.
    fn met(&mut self, at_hand: Option<u64>) -> bool {
        self.count = self.count.saturating_add(1);
        at_hand.is_some_and(|id| !self.once.insert(id) && self.twice.insert(id))
    }

    /// Messages that are to be set aside.
    pub(super) fn twice(&self) -> &BTreeSet<u64> {
        &self.twice
    }

    /// A bug that comes again and again must not keep a broker busy.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(100).saturating_mul(1 << self.count.min(16)).min(REOPEN_LIMIT)
    }
}

/// What it means that the driver lives and gives no answer: it has panicked over the question.
pub(super) trait Unanswered {
    fn unanswered(self) -> Self;
}

impl Unanswered for PublishError {
    fn unanswered(self) -> Self {
        Self::Unknown
    }
}

impl Unanswered for Error {
    fn unanswered(self) -> Self {
        Self::Storage { detail: TEXT.to_owned() }
    }
}

impl Unanswered for OpenError {
    fn unanswered(self) -> Self {
        self
    }
}

/// Runs it to its end; None: it has panicked.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

impl Driver {
    /// What stands in memory is not believed any more, whatever it is. Whoever waits for an answer has it undecided.
    pub(super) async fn recover_from_panic(&mut self) -> bool {
        let sending = self.sending.take();
        if let Some(engine) = &mut self.engine {
            let at_hand = engine.session.at_hand().or_else(|| engine.session.sent_as(sending?));
            if engine.panics.met(at_hand)
                && let Some(id) = at_hand
            {
                let text =
                    format!("message {id} was at hand at two panics; it is set aside until the app takes it up again");
                self.fanout.events(&mut vec![Event::Warning { code: "poison", text }]);
            }
        }
        self.fanout.events(&mut vec![Event::Warning { code: "internal_error", text: TEXT.to_owned() }]);
        for input in std::mem::take(&mut self.inputs) {
            if let TurnInput::Command(command) = input {
                Engine::promise(command, &mut self.out);
            }
        }
        let other = Error::Storage { detail: TEXT.to_owned() };
        self.out.replies.drain(..).for_each(|reply: Reply| reply.failed(&PublishError::Unknown, &other));
        self.out.forget();
        self.recover(StoreError { kind: StoreErrorKind::Other, text: TEXT.to_owned() }).await
    }
}
