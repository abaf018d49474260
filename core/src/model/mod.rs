//! The vocabulary: topics, messages, options, reasons, events. Imports nothing else of ours.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "pub for tests and benches, see the feature"))]

pub(crate) mod addresses;
pub mod broker_url;
pub mod consumer;
pub mod credentials;
pub mod error;
pub mod event;
pub(crate) mod glance;
pub mod http_header;
#[cfg(feature = "encryption")]
pub(crate) mod key;
pub mod life;
pub mod message;
pub(crate) mod metrics;
pub mod options;
pub mod profile;
pub mod proxy;
pub mod reason;
pub mod rows;
pub(crate) mod status;
pub mod tls;
pub mod topic;
pub mod transport;
pub(crate) mod utc;
pub mod writes;
