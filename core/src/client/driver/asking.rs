//! Asks the provider of credentials: on a thread of its own, one question at a time, so that one that blocks, hangs or panics
//! costs an attempt to connect and nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::Task;
use crate::model::broker_url::{BrokerUrl, Scheme};
use crate::model::credentials::{
    BoxFuture, Credentials, CredentialsError, CredentialsProvider, CredentialsRequest, CredentialsSource, WhyAsked,
};
use crate::session::effect::{Answer, Question};

/// How long a provider may take for the credentials of a link; the link's own limit counts too.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take for a step of an exchange: less than the session waits for the whole step.
const STEP_LIMIT: Duration = Duration::from_secs(15);

/// Where credentials come from.
#[derive(Clone)]
pub(super) struct Asker {
    source: Option<CredentialsSource>,
    /// Held by the thread that asks: the next question waits for its end.
    busy: Arc<Semaphore>,
}

impl Asker {
    pub(super) fn new(source: Option<CredentialsSource>) -> Self {
        Self { source, busy: Arc::new(Semaphore::new(1)) }
    }

    /// Credentials for a link to `broker`.
    pub(super) async fn credentials(
        &self,
        why: WhyAsked,
        broker: &BrokerUrl,
    ) -> Result<Option<Box<Credentials>>, CredentialsError> {
        let provider = match &self.source {
            None => return Ok(None),
            Some(CredentialsSource::Static(credentials)) => return Ok(Some(Box::new(credentials.clone()))),
            Some(CredentialsSource::Provider(provider)) => Arc::clone(provider),
        };
        let host = if broker.scheme() == Scheme::Unix { broker.path() } else { broker.host() };
        let request = CredentialsRequest { why, host: host.to_owned(), port: broker.port() };
        let given = self.ask(provider, ASK_LIMIT, |provider| provider.credentials(request)).await?;
        given.check().map_err(CredentialsError::Invalid)?;
        Ok(Some(Box::new(given)))
    }

    /// The answer to a question of the session about a link to `broker`.
    pub(super) fn answer(&self, question: Question, broker: Option<BrokerUrl>) -> Task<Answer> {
        let asker = self.clone();
        Box::pin(async move {
            let step = |error| match &question {
                Question::Fresh(_) => Answer::Fresh(Err(error)),
                Question::Step(_) => Answer::Step(Err(error)),
                Question::Proof(_) => Answer::Proof(Err(error)),
            };
            let (Some(CredentialsSource::Provider(provider)), Some(broker)) = (&asker.source, broker) else {
                return step(CredentialsError::NoExchange);
            };
            let provider = Arc::clone(provider);
            match question {
                Question::Fresh(why) => {
                    let given = asker.credentials(why, &broker).await;
                    Answer::Fresh(given.and_then(|given| given.ok_or(CredentialsError::NoExchange)))
                }
                Question::Step(challenge) => {
                    let data = asker.ask(provider, STEP_LIMIT, |provider| provider.continue_exchange(challenge)).await;
                    let fits = data.and_then(|data| match &data {
                        Some(long) if long.as_bytes().len() > crate::model::topic::MAX_STRING_BYTES => {
                            Err(CredentialsError::Invalid("authentication data of at most 65535 bytes"))
                        }
                        _ => Ok(data),
                    });
                    Answer::Step(fits)
                }
                Question::Proof(challenge) => {
                    Answer::Proof(asker.ask(provider, STEP_LIMIT, |provider| provider.finish_exchange(challenge)).await)
                }
            }
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        provider: Arc<dyn CredentialsProvider>,
        limit: Duration,
        call: impl FnOnce(&dyn CredentialsProvider) -> BoxFuture<'_, Result<T, CredentialsError>> + Send + 'static,
    ) -> Result<T, CredentialsError> {
        let answered = async {
            let Ok(permit) = Arc::clone(&self.busy).acquire_owned().await else {
                return Err(CredentialsError::Panicked);
            };
            let (answer, reply) = oneshot::channel();
            let thread = std::thread::Builder::new().name("homing-credentials".to_owned());
            let asked = thread.spawn(move || {
                let _permit = permit;
                on_this_thread(provider, answer, call);
            });
            match asked {
                // A thread that panics drops its end.
                Ok(_) => reply.await.unwrap_or(Err(CredentialsError::Panicked)),
                Err(_) => Err(CredentialsError::Panicked),
            }
        };
        timeout(limit, answered).await.unwrap_or(Err(CredentialsError::TimedOut))
    }
}

/// Runs the provider's future to its end, or until nobody waits for it any more.
fn on_this_thread<T>(
    provider: Arc<dyn CredentialsProvider>,
    mut answer: oneshot::Sender<Result<T, CredentialsError>>,
    call: impl FnOnce(&dyn CredentialsProvider) -> BoxFuture<'_, Result<T, CredentialsError>>,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let given = runtime.block_on(async {
        let mut asked = call(&*provider);
        std::future::poll_fn(|cx| match answer.poll_closed(cx).is_ready() {
            true => std::task::Poll::Ready(None),
            false => asked.as_mut().poll(cx).map(Some),
        })
        .await
    });
    // What the provider has left behind in the runtime is not waited for.
    runtime.shutdown_background();
    if let Some(given) = given {
        // That nobody waits for it any more is no error.
        drop(answer.send(given));
    }
}

#[cfg(test)]
mod tests;
