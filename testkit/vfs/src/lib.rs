//! An SQLite VFS over the system's own that makes writes and syncs fail, writes down what it did, and replays power cuts.
//!
//! [`Disk::watch`] makes it the process's default VFS and takes charge of the files in one folder, so that code that knows
//! nothing of it can be tested. Files of other folders are opened by the system's VFS as ever.
//!
//! In a watched folder no sync reaches the drive: power cuts are replayed from the log, and tests that count syncs by the
//! thousand stay short. Made for SQLite's `unix` VFS; a write-ahead log and its shared memory work, memory mapping is not
//! offered.

#![cfg(unix)]

mod disk;
mod replay;
mod shim;

pub use disk::{Counts, Disk, Lasts, Log, Op, Trouble};
pub use replay::{Image, Images};
