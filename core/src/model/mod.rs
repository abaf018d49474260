//! The vocabulary: topics, messages, options, reasons, events. Imports nothing else of ours.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "pub for tests and benches, see the feature"))]

pub mod broker_url;
pub mod consumer;
pub mod error;
pub mod event;
pub(crate) mod glance;
#[cfg(feature = "encryption")]
pub(crate) mod key;
pub mod life;
pub mod message;
pub mod options;
pub mod reason;
pub mod rows;
pub mod topic;
pub mod writes;
