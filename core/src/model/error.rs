//! What an app can be told went wrong: few, stable, without personal data. Rooms inside have their own, richer errors.

use std::path::PathBuf;

use super::topic::{NameError, TopicFilter};

/// Why a client could not be opened. Nothing was changed, unless a variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another client in this one, drives this store (P11).
    #[error("StoreInUse: {path} is driven by another process or client; close that one, or use another store")]
    StoreInUse {
        /// The store's file.
        path: PathBuf,
    },
    /// Written by a newer version of Homing.
    #[error(
        "StoreTooNew: {path} has schema {found}, this version knows {known}; update Homing, the store was not touched"
    )]
    StoreTooNew {
        /// The store's file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A folder, a file of something else, or an SQLite file of another program.
    #[error("NotAStore: {path} is {what}; name another file for the store, this one was not touched")]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// It cannot be read or written right now; it may be all right later.
    #[error("StoreUnavailable: {path} cannot be used: {detail}")]
    StoreUnavailable {
        /// The file.
        path: PathBuf,
        /// The system's words and what to do.
        detail: String,
    },
    /// SQLite finds the file damaged. It was not touched.
    #[error("StoreCorrupt: {path} is damaged: {detail}; copy it away and open a new store")]
    StoreCorrupt {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The file is not plain SQLite and cannot be read with the key, or the store is plain and a key was given. It was not
    /// touched, and never is: a damaged file cannot be told from a wrong key.
    #[cfg(feature = "encryption")]
    #[error("WrongKey: {path} cannot be read: {problem}; the file was not touched")]
    WrongKey {
        /// The store's file.
        path: PathBuf,
        /// What is wrong with the key.
        problem: &'static str,
    },
    /// `reader`: the client is paused and holds no file.
    #[error("the client is paused; call resume")]
    Paused,
    /// `resume`: the client was closed.
    #[error("the client is closed")]
    Closed,
    /// The store belongs to another client identifier.
    #[error("ClientIdMismatch: the store's client id is {stored}, asked for was {asked}; use one store a client id")]
    ClientIdMismatch {
        /// The store's.
        stored: String,
        /// The options'.
        asked: String,
    },
    /// An option is out of its range.
    #[error("option {option}: {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Why a message was not accepted. Nothing of it was stored, unless the variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The payload is larger than `Options::max_payload`, or than the profile's service takes.
    #[error("payload is {bytes} bytes; the limit is {limit} (max_payload, or that of the profile's service)")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The profile's service does not take such a message, and would cut the link.
    #[error("{service} {problem}")]
    Unsupported {
        /// The service's name.
        service: &'static str,
        /// What it does not take, and what to do.
        problem: String,
    },
    /// A property is longer than MQTT can carry, or holds U+0000.
    #[error("{property}: {problem}")]
    Property {
        /// Which.
        property: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A topic is wrong.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A time to live of zero, or above 4,294,967,295 s.
    #[error("ttl is {what}; it must be at least 1 ms and at most 4294967295 s")]
    Ttl {
        /// Zero or too long.
        what: &'static str,
    },
    /// A supersede or an idempotency key that is empty or longer than 255 bytes.
    #[error("{key} key is {bytes} bytes long; it must be 1 to 255 bytes")]
    Key {
        /// Which.
        key: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// QoS 0 while there is no connection, and `Options::qos0_offline` says to refuse it.
    #[error(
        "there is no connection, and QoS 0 is refused without one (qos0_offline); publish again later or with QoS 1"
    )]
    Offline,
    /// The outbox is at its limit.
    #[error("outbox is full: {limit} {unit} (outbox_limit); wait for messages to be delivered, or raise the limit")]
    LimitReached {
        /// The limit.
        limit: u64,
        /// messages or bytes.
        unit: &'static str,
    },
    /// There is no room on the disk. Nothing was stored; publish again later (P10).
    #[error("no room for the store, the message was not accepted: {why}")]
    StorageFull {
        /// What takes it up.
        why: NoRoom,
    },
    /// The store could not commit.
    #[error("the store could not commit, the message was not accepted: {detail}")]
    Storage {
        /// SQLite's words.
        detail: String,
    },
    /// A commit failed and it could not be found out whether it happened: the message may or may not be accepted. With an
    /// idempotency key it is safe to publish it again.
    #[error(
        "the store failed in the middle of a commit: the message may or may not have been accepted; \
         publish it again with the same idempotency key"
    )]
    Unknown,
    /// The client has been closed.
    #[error("the client is closed")]
    Closed,
    /// The client is paused.
    #[error("the client is paused; call resume, or leave the message in a Mailbox")]
    Paused,
    /// The mailbox is at its limit: nobody has driven the store for long.
    #[error("the mailbox is full: {limit} {unit}; messages leave it when the store is driven")]
    MailboxFull {
        /// The limit.
        limit: u64,
        /// messages or bytes.
        unit: &'static str,
    },
}

/// What keeps the store from taking anything in. What it holds already goes out and comes to its end all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The disk is full, but for what progress needs.
    #[error("the disk is full; free some space")]
    Disk,
    /// Another process holds a read transaction open, so the write-ahead log has grown to its bound of 64 MiB.
    #[error("a reader holds the write-ahead log at its bound of 64 MiB; end it, or let it finish its query")]
    Reader,
}

/// Why something else failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client has been closed.
    #[error("the client is closed")]
    Closed,
    /// The store could not do it.
    #[error("store: {detail}")]
    Storage {
        /// SQLite's words.
        detail: String,
    },
    /// A position of another store, or beyond the end of this one.
    #[error("position {seq} is {problem}")]
    PositionInvalid {
        /// Its sequence number.
        seq: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No consumer of this name.
    #[error("there is no consumer named {name:?}")]
    NoSuchConsumer {
        /// The name.
        name: String,
    },
    /// A consumer of this name exists and wants something else, and `exact` was asked for. Nothing was changed.
    #[error("consumer {name:?} exists with other filters ({}); name another one, or remove it", join(.filters))]
    ConsumerDiffers {
        /// The name.
        name: String,
        /// What it wants; empty: everything.
        filters: Vec<TopicFilter>,
    },
    /// An id that this store never gave.
    #[error("id {n} was never given by this store")]
    NoSuchMessage {
        /// Its number.
        n: u64,
    },
    /// A message that is not set aside.
    #[error("message {n} is not parked")]
    NotParked {
        /// Its number.
        n: u64,
    },
    /// An argument is out of its range.
    #[error("{what}: {problem}")]
    Invalid {
        /// Which argument.
        what: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The profile's service does not take such a subscription.
    #[error("{service} {problem}")]
    Unsupported {
        /// The service's name.
        service: &'static str,
        /// What it does not take, and what to do.
        problem: String,
    },
    /// A wait was cancelled through its canceller.
    #[error("cancelled")]
    Cancelled,
    /// The client is paused.
    #[error("the client is paused; call resume")]
    Paused,
}

fn join(filters: &[TopicFilter]) -> String {
    match filters {
        [] => "every message".to_owned(),
        filters => filters.iter().map(TopicFilter::as_str).collect::<Vec<_>>().join(", "),
    }
}
