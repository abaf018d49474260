//! The C face of Homing: a thin translation of the Rust API into what uniffi carries.
//!
//! Not for apps: the Kotlin library in `android/` and the Swift package in `ios/` stand on it, and give it the manners of
//! their languages. What each call promises stands in the documentation of the crate `homing`; here only what differs:
//! * messages cross in batches (`publish_all`, `Consumer::next`), for a call costs more than a message;
//! * ids and positions cross as numbers where the store is known, with their store where an app may mix them up;
//! * times are signed milliseconds, so that a negative one is an error here and not a crash in a language;
//! * every wait takes a [`Canceller`], because Swift cannot drop a future;
//! * whatever can fail returns [`FfiError`], also where Rust cannot fail: without a `Result` a panic kills a Swift app.

mod callbacks;
mod cancel;
mod client;
mod consumer;
mod error;
mod event;
mod id;
mod log;
mod mailbox;
mod message;
mod options;
mod payload;
mod profile;
mod reader;
mod state;
mod status;
mod tls;
mod watch;

pub use callbacks::{
    AuthChallenge, AwsKeyProvider, AwsKeySet, CallbackError, CredentialSet, CredentialsAsk, CredentialsProvider,
    CredentialsReason, EnhancedAuthentication, StoreKeyProvider, TrustCheck,
};
pub use cancel::Canceller;
pub use client::{Client, SyncSummary};
pub use consumer::{Consumer, ConsumerSettings, LagPolicy, StartAt};
pub use error::{ErrorCode, FfiError};
pub use event::{Event, EventStream, GapInfo, SettledMessage};
pub use id::{StoredId, parse_id};
pub use log::{LogLevel, LogSink, set_log};
pub use mailbox::Mailbox;
pub use message::{
    IfUnsupported, Lane, MessageProperties, Outgoing, QosLevel, ReceivedMessage, RetainHandling, UserProperty, Wish,
};
pub use options::{
    Durability, ForeignSession, GlanceFile, Header, InboxFull, MqttVersion, OutboxFull, ProxyChoice, Qos0Offline,
    QueueLimit, Settings, WillMessage, default_settings,
};
pub use payload::Payload;
pub use profile::{AwsAccess, BrokerProfile};
pub use reader::{HistoryOrder, IncidentInfo, LastMessage, LastMessages, Messages, OutboxRow, Reader};
pub use state::{CancelResult, LinkState, MessageFate, Reason, Trouble, TroubleKind};
pub use status::{ConsumerInfo, Counters, StorageState, StoreStatus, SubscriptionInfo};
pub use tls::{ClientCertificate, TlsMinimum, TlsSettings, TlsTrust};
pub use watch::StateStream;

uniffi::setup_scaffolding!();
