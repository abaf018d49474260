//! The store: the session as rows of one SQLite file. One `Store` writes, under a lock; any number of `Reader`s read.
//!
//! Writes of a turn are staged in memory where that makes them cheaper, and are one transaction at `commit`. Reads
//! see them. Whoever drops the store without `commit` loses the turn, whole, as a kill would.
#![cfg_attr(
    not(feature = "internals"),
    allow(unreachable_pub, unused_imports, reason = "for tests and benches, see the feature")
)]

mod batch;
mod boot;
mod codec;
mod consumers;
mod error;
mod inbox;
mod lock;
mod log;
mod migrate;
mod open;
mod outbox;
pub mod reader;
mod retention;
mod session_row;
mod topics;
mod writer;

use std::path::PathBuf;

use rusqlite::Connection;

#[cfg(feature = "internals")]
pub use consumers::{ConsumerRow, MAX_MARKS};
pub use error::{StoreError, StoreErrorKind};
#[cfg(feature = "internals")]
pub use migrate::{APPLICATION_ID, SCHEMA_VERSION};
pub use open::StoreOptions;
#[cfg(feature = "internals")]
pub use outbox::MAX_VERDICTS;
pub use retention::Removed;

use crate::model::options::Durability;
use crate::model::rows::{Hot, SessionRow};
use consumers::Consumers;
use lock::DriverLock;
use topics::Topics;
use writer::{Inserts, Staged};

/// The one writing connection. Blocking; one thread.
///
/// Dropping it is as safe as a kill. [`Store::close`] is polite.
pub struct Store {
    // Fields drop in this order: SQLite's handles before the lock.
    connection: Connection,
    inserts: Inserts,
    topics: Topics,
    consumers: Consumers,
    staged: Staged,
    /// A transaction is open.
    in_turn: bool,
    /// Something failed in the middle: only `reopen` helps.
    broken: bool,
    /// The system may have failed to sync the log: part of what can be read from it may be in memory alone.
    doubt: bool,
    /// As last committed.
    hot: Hot,
    session: SessionRow,
    /// Rows in `verdict`, once counted.
    verdicts: Option<u64>,
    /// A row may stand in `released`.
    any_released: bool,
    /// Counters at the last sync that is certain (process-kill durability).
    synced: Hot,
    full_sync: bool,
    durability: Durability,
    path: PathBuf,
    lock: DriverLock,
}

impl Store {
    /// Counters as last committed. After a failed commit and `reopen`, `turn` tells whether it happened after all.
    pub fn hot(&self) -> Hot {
        self.hot
    }

    /// Identity and protocol state, this turn's write included.
    pub fn session(&self) -> SessionRow {
        self.session.clone()
    }
}
