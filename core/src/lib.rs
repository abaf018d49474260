#![doc = "Homing: an MQTT client whose session lives in SQLite."]
#![forbid(unsafe_code)]

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

pub use client::{Consumer, ConsumerSpec, Events, Farewell, Homing, StateWatch};
pub use model::broker_url::{BrokerUrl, UrlError};
pub use model::error::{Error, OpenError, PublishError};
pub use model::event::{
    ConsumerStatus, Event, Fate, Gap, GapCause, Metrics, OutboxDepth, State, Status, SubscriptionStatus, Why,
};
pub use model::message::{
    IfUnsupported, Message, MessageId, Position, Properties, Publish, QoS, RetainHandling, StoreId, Subscription,
};
pub use model::options::{Credentials, Durability, ForeignSession, Limit, Options, Version, Will};
pub use model::reason::ReasonCode;
pub use model::topic::{ClientId, NameError, TopicFilter, TopicName};
pub use store::reader::{OutboxEntry, Reader};

/// The inner rooms, for the project's own tests, fuzzers and benches.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::model::{event, message, options, reason, rows, topic, writes};
}
