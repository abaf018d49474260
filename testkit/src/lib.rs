//! Test-only parts: real brokers, hostile brokers, independent observers, and the real binary as a process to be killed.
//!
//! Everything here panics when it cannot do its work, for its only caller is a test; nothing is ever skipped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]
#![allow(clippy::print_stderr, reason = "what a failing test should show")]

pub mod broker_log;
pub mod certificates;
pub mod front;
pub mod mosquitto;
pub mod observer;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod script_broker;
pub mod service;
pub mod settings;
pub mod tail;
pub mod way;
