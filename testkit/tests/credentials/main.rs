//! Credentials against real and scripted brokers: right, wrong, changed, expired; enhanced authentication; nothing of them kept.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]

mod enhanced;
mod expiry;
mod mosquitto;
mod secrets;
mod signed;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use homing::{
    AuthData, BoxFuture, BrokerUrl, Challenge, ClientId, Credentials, CredentialsError, CredentialsEvent,
    CredentialsProvider, CredentialsRequest, CredentialsSource, Event, Events, Homing, Options, State, WhyAsked,
};

/// Far above what is normal: it only bounds a test that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

type Given = Result<Credentials, CredentialsError>;

/// A provider whose answers a test makes, and which writes down what it was asked.
struct Script {
    give: Box<dyn Fn(u32, WhyAsked) -> Given + Send + Sync>,
    go_on: fn(Challenge) -> Result<Option<AuthData>, CredentialsError>,
    asked: Mutex<Vec<CredentialsRequest>>,
}

impl Script {
    /// `give` gets the number of the question, from 0.
    fn new(give: impl Fn(u32, WhyAsked) -> Given + Send + Sync + 'static) -> Arc<Self> {
        Self::with_exchange(give, |_| Err(CredentialsError::NoExchange))
    }

    fn with_exchange(
        give: impl Fn(u32, WhyAsked) -> Given + Send + Sync + 'static,
        go_on: fn(Challenge) -> Result<Option<AuthData>, CredentialsError>,
    ) -> Arc<Self> {
        Arc::new(Self { give: Box::new(give), go_on, asked: Mutex::default() })
    }

    fn whys(&self) -> Vec<WhyAsked> {
        self.asked.lock().unwrap().iter().map(|ask| ask.why).collect()
    }
}

impl CredentialsProvider for Script {
    fn credentials(&self, ask: CredentialsRequest) -> BoxFuture<'_, Given> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(ask.clone());
            asked.len() as u32 - 1
        };
        let given = (self.give)(number, ask.why);
        Box::pin(std::future::ready(given))
    }

    fn continue_exchange(&self, challenge: Challenge) -> BoxFuture<'_, Result<Option<AuthData>, CredentialsError>> {
        Box::pin(std::future::ready((self.go_on)(challenge)))
    }
}

/// A client in a folder, with these credentials.
async fn open(folder: &Path, url: &str, credentials: impl Into<CredentialsSource>) -> (Homing, Events) {
    let mut options = Options::new(folder.join("store.db"));
    options.broker = Some(BrokerUrl::parse(url).unwrap());
    options.client_id = Some(ClientId::new("home").unwrap());
    options.credentials = Some(credentials.into());
    options.connect = false;
    let client = Homing::open(options).await.unwrap();
    // Before the first attempt: nothing is missed.
    let events = client.events();
    client.connect().await.unwrap();
    (client, events)
}

/// The first event from now on that is wanted.
async fn until<T>(events: &mut Events, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let mut seen = Vec::new();
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            let event = events.next().await.expect("the client is gone");
            if let Some(found) = wanted(&event) {
                return found;
            }
            seen.push(event);
        }
    });
    let found = found.await;
    found.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}; seen: {seen:?}"))
}

async fn online(events: &mut Events) {
    until(events, "connection", |event| matches!(event, Event::State(State::Online { .. })).then_some(())).await;
}

async fn told(events: &mut Events) -> CredentialsEvent {
    until(events, "word on credentials", |event| match event {
        Event::Credentials(told) => Some(*told),
        _ => None,
    })
    .await
}
