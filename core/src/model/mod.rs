//! The vocabulary: topics, messages, options, reasons, events. Imports nothing else of ours.

pub mod broker_url;
pub mod error;
pub mod event;
pub mod message;
pub mod options;
pub mod reason;
pub mod rows;
pub mod topic;
pub mod writes;
