//! Homing: an MQTT 3.1.1 and 5 client whose session lives in SQLite.
//!
//! Other clients keep the queue in memory and tell you that a message was sent. Homing commits it to disk and then tells
//! you so. A reconnect, a restart of the app and a `kill -9` are the same event to it: it reads its rows and goes on.
//!
//! * **Publish**: when [`Homing::publish`] returns an id, the message is on disk. It reaches the broker whenever a
//!   connection can next be made, or gets a recorded verdict ([`Fate`]) that can be asked for, also after a restart.
//! * **Receive**: a message is stored before it is acknowledged, and stays until every durable [`Consumer`] is done with
//!   it.
//! * **QoS 2** is exactly once between this store and the broker, across kills, cuts and reconnects.
//!
//! # First steps
//!
//! Publishing works with and without a connection; this example stays offline.
//!
//! ```
//! use std::time::Duration;
//!
//! use homing::{Fate, Homing, Options, Publish, QoS, TopicName};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("home.db");
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let mut options = Options::new(&path); // one file holds the whole session
//! options.connect = false; // an app leaves this out and sets `options.broker`
//! let client = Homing::open(options.clone()).await?;
//!
//! let light = Publish::new(TopicName::new("home/light/set")?, "on").qos(QoS::ExactlyOnce);
//! let id = client.publish(light).await?; // on disk when this returns
//! assert_eq!(client.fate(id).await?, Fate::Waiting);
//!
//! client.close(Duration::from_secs(5)).await?; // or a kill: the message is in the file either way
//! let client = Homing::open(options).await?;
//! assert_eq!(client.fate(id).await?, Fate::Waiting);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! Receiving: a subscription is a durable wish, a consumer a durable place in the inbox.
//!
//! ```no_run
//! use std::num::NonZeroUsize;
//!
//! use homing::{BrokerUrl, ConsumerSpec, Homing, Options, QoS, Subscription, TopicFilter};
//!
//! # async fn receive() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = Options::new("home.db");
//! options.broker = Some(BrokerUrl::parse("mqtt://localhost")?);
//! let client = Homing::open(options).await?;
//! client.subscribe(Subscription::new(TopicFilter::new("home/#")?, QoS::ExactlyOnce)).await?;
//!
//! let mut consumer = client.consumer(ConsumerSpec::new("default")).await?;
//! loop {
//!     for message in consumer.next(NonZeroUsize::MIN).await? {
//!         println!("{} {:?}", message.topic, message.payload);
//!         consumer.done(message.at).await?; // until here a restart brings it again
//!     }
//! }
//! # }
//! ```
//!
//! # How it runs
//!
//! [`Homing::open`] starts one thread that owns the session, the one writing connection to SQLite and the link to the
//! broker. It works in turns: take everything that is ready, decide, commit **once**, and only then send and answer. So
//! many callers share one sync to the drive, and nothing goes on the wire before the row that says so is committed. The
//! futures of this crate need no particular runtime.
//!
//! [`Homing`] is a handle: clone it, share it, drop it at any moment. Dropping the last clone is as safe as a kill.
//! One driver a store: a second [`Homing::open`] of the same file gets [`OpenError::StoreInUse`]. Any number of
//! [`Reader`]s may read it meanwhile, from other processes too.
//!
//! # What happened to it?
//!
//! * [`Homing::fate`] and [`Homing::settled`] for one message, [`Homing::flush`] for all so far.
//! * [`Homing::state`] for the connection: conflated, only the newest counts.
//! * [`Homing::events`] for everything that happens: bounded, and a slow reader is told how many it missed.
//! * [`Homing::metrics`] for counters, [`Homing::reader`] for what stands in the store: the last value
//!   of each topic ([`Reader::last`]), history ([`Reader::history`]), gaps.
//!
//! # What is not there
//!
//! Over `mqtt://` and `ws://` credentials travel in the clear, as MQTT sends them: use those where the network itself is trusted,
//! and `mqtts://` or `wss://` ([`TlsOptions`]) elsewhere. Credentials are never stored. Keys agreed on beforehand (external PSK) are
//! not in TLS here. The repository's `docs/promises.md` says of
//! each promise what holds today, which test shows it, and where it ends.
#![forbid(unsafe_code)]

mod auth;
mod client;
#[cfg(feature = "internals")]
pub mod link;
#[cfg(not(feature = "internals"))]
mod link;
mod model;
#[cfg(feature = "internals")]
pub mod session;
#[cfg(not(feature = "internals"))]
mod session;
#[cfg(feature = "internals")]
pub mod store;
#[cfg(not(feature = "internals"))]
mod store;
#[cfg(feature = "internals")]
pub mod wire;
#[cfg(not(feature = "internals"))]
mod wire;

pub use client::{Cancel, Consumer, ConsumerSpec, Events, Farewell, Homing, Mailbox, Progress, StateWatch};
pub use model::broker_url::{BrokerUrl, Scheme, UrlError};
pub use model::consumer::{Lag, Skipped, Start};
pub use model::credentials::{
    AuthData, BoxFuture, Challenge, Credentials, CredentialsError, CredentialsEvent, CredentialsProvider,
    CredentialsRequest, CredentialsSource, EnhancedAuth, WhyAsked,
};
pub use model::error::{Error, NoRoom, OpenError, PublishError};
pub use model::event::{
    ConsumerStatus, Event, Fate, Gap, GapCause, LinkMetrics, Metrics, OutboxDepth, State, Status, Storage,
    SubscriptionStatus, Why,
};
pub use model::glance::Glance;
pub use model::http_header::HttpHeader;
#[cfg(feature = "encryption")]
pub use model::key::{KeyError, KeyProvider, StoreKey};
pub use model::life::{Network, Resumed, SyncReport};
pub use model::message::{
    IfUnsupported, Lane, Message, MessageId, Position, Properties, Publish, QoS, RetainHandling, StoreId, Subscription,
};
pub use model::options::{
    DeviceToken, Durability, ForeignSession, InboxFull, Limit, Options, OutboxFull, Qos0Offline, Version, Will,
};
pub use model::profile::{
    Aws, AwsAuth, AwsKeySource, AwsKeys, AzureEventGrid, AzureIotHub, CustomAuthorizer, Hmac, Profile, ProfileError,
    ServiceLimits, Tencent,
};
pub use model::proxy::{Proxy, ProxyScheme, ProxyUrl, ProxyUrlError};
pub use model::reason::ReasonCode;
pub use model::tls::{
    CaCertificates, ClientIdentity, ServerName, ServerTrust, SpkiPin, TlsFailure, TlsInputError, TlsOptions,
    TlsVersion, Trust,
};
pub use model::topic::{ClientId, NameError, TopicFilter, TopicName};
pub use model::transport::{ByteStream, Connecting, Transport};
pub use store::reader::{HistoryPage, HistoryQuery, Incident, LastPage, LastValue, OutboxEntry, Reader};
pub use store::{Checkup, Finding, Sizes};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The inner rooms, for the project's own tests, fuzzers and benches.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::model::{
        broker_url, consumer, credentials, error, event, http_header, life, message, options, profile, proxy, reason,
        rows, tls, topic, transport, writes,
    };
}
