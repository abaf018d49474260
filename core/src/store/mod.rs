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
mod checkup;
mod cipher;
mod codec;
mod consumers;
mod copying;
mod create;
mod damage;
mod error;
mod gaps;
mod idem;
mod inbox;
mod index;
mod kept;
mod lag;
mod lock;
mod log;
pub(crate) mod mailbox;
mod mark;
mod migrate;
mod open;
mod outbox;
mod overflow;
mod paths;
pub mod reader;
mod restored;
mod retained;
mod retention;
mod salvage;
mod session_row;
mod space;
mod topics;
mod waiting;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

pub use boot::this_boot;
pub use checkup::{Checkup, Finding, Sizes, repair};
pub use cipher::Unlock;
#[cfg(feature = "internals")]
pub use consumers::MAX_MARKS;
pub use consumers::{ConsumerRow, SkippedRow};
pub use damage::{SetAside, settle_damage};
pub use error::{StoreError, StoreErrorKind};
#[cfg(feature = "internals")]
pub use gaps::MAX_GAPS;
pub use idem::MAX_KEYS;
pub use index::INDEX_ROWS;
#[cfg(feature = "internals")]
pub use kept::{MAX_KEPT, MAX_KEPT_BYTES};
#[cfg(feature = "internals")]
pub use migrate::{APPLICATION_ID, SCHEMA_VERSION};
pub use open::StoreOptions;
#[cfg(feature = "internals")]
pub use outbox::MAX_VERDICTS;
pub use overflow::Dropped;
pub use retention::Removed;
pub use salvage::Saved;
pub use space::Room;
pub use waiting::{Need, Replaceable};

use crate::model::options::Durability;
use crate::model::rows::{Hot, SessionRow};
use consumers::Consumers;
use kept::Kept;
use lock::DriverLock;
use space::Space;
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
    /// A transaction is open, and something may stand in it.
    in_turn: bool,
    /// A transaction is open for its lock alone.
    locked: bool,
    /// How long somebody else's lock is waited for.
    patience: Duration,
    /// Something failed in the middle: only `reopen` helps.
    broken: bool,
    /// The system may have failed to sync the log: part of what can be read from it may be in memory alone.
    doubt: bool,
    /// As last committed.
    hot: Hot,
    session: SessionRow,
    /// Rows in `verdict`, once counted.
    verdicts: Option<u64>,
    /// Rows up to here stand in the index by topic.
    indexed: u64,
    /// The rest of a batch that is being indexed, last to first: topic, number.
    pending: Vec<(i64, u64)>,
    /// Where that batch ends, and whether there is nothing behind it.
    batch_through: u64,
    batch_complete: bool,
    /// The topic whose dead index rows went last.
    swept: i64,
    /// Last values without a message, once counted.
    kept: Option<Kept>,
    /// Rows in `gap`, once counted.
    gaps: Option<u64>,
    /// Rows in `idem`, once counted.
    keys: Option<u64>,
    /// A row may stand in `released`.
    any_released: bool,
    /// Counters at the last sync that is certain (process-kill durability).
    synced: Hot,
    full_sync: bool,
    /// The last turn that surely survives a power cut; 0: none of this run yet.
    certain: u64,
    /// The turn that the lock file names.
    marked: u64,
    /// Why the store was taken for a copy at this opening.
    restored: Option<&'static str>,
    durability: Durability,
    space: Space,
    path: PathBuf,
    unlock: Unlock,
    lock: DriverLock,
}

impl Store {
    /// Counters as last committed. After a failed commit and `reopen`, `turn` tells whether it happened after all.
    pub fn hot(&self) -> Hot {
        self.hot
    }

    /// Why the store was taken for a copy that was put back, if it was at this opening: it is another store since.
    pub fn restored(&self) -> Option<&'static str> {
        self.restored
    }

    /// Identity and protocol state, this turn's write included.
    pub fn session(&self) -> SessionRow {
        self.session.clone()
    }
}
