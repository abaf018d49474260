//! Room on the disk (P7, P10): how much a turn may take in, so that a commit does not run into a full disk, and what is
//! kept for the progress of what is stored already.
//!
//! A page that is taken in is written twice: into the log, and, at a checkpoint, into the database. The log's own blocks
//! serve again once it is copied, and so do free pages of the database. Whatever else the turn writes (acknowledgements,
//! deletions, cursors) lives on `MARGIN`, and beyond it on the reserve file, which is freed at the first shortage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Store;
use super::error::{StoreError, StoreErrorKind};
use super::lock::beside;
use crate::model::error::NoRoom;

const PAGE: u64 = 4_096;
/// A page in the log.
const FRAME: u64 = PAGE + 24;
/// Kept for progress: the turns that take nothing in.
const MARGIN: u64 = 256 << 10;
/// With less than this for new rows nothing is taken in.
const LEAST: u64 = 64 << 10;
/// With more than this nothing is measured but the free space.
const PLENTY: u64 = 64 << 20;
/// The reserve file, unless an eighth of the free space is less.
const RESERVE: u64 = 2 << 20;
/// The log's bound: a reader may keep it from being begun anew.
const LOG_LIMIT: u64 = 64 << 20;
/// Free pages that the database keeps for itself, and how many it gives back in one step.
const KEPT_PAGES: u64 = 1_024;
const VACUUM_PAGES: u64 = 256;
/// What moving one page writes: itself, what points to it, and the map of pages.
const VACUUM_FRAMES: u64 = 3;

/// What a turn may take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes, as `model::rows::disk_cost` counts them.
    pub bytes: u64,
    /// Why it is nothing.
    pub why: Option<NoRoom>,
}

impl Room {
    /// Where free space cannot be measured: a commit will tell.
    const UNKNOWN: Self = Self { bytes: u64::MAX, why: None };

    const fn none(why: NoRoom) -> Self {
        Self { bytes: 0, why: Some(why) }
    }
}

/// What is known of the disk.
#[derive(Debug)]
pub(super) struct Space {
    store: PathBuf,
    reserve: PathBuf,
    /// Bytes of the reserve file; 0: there is none.
    held: u64,
    /// Its size before it was freed.
    wanted: u64,
    /// It was tried to make one.
    tried: bool,
    full: bool,
    /// A write has failed for want of space: only a reserve that can be made again proves that there is some.
    failed: bool,
    /// Pages of the log, and how many of them are copied into the database.
    log: (u64, u64),
    #[cfg(test)]
    simulated: Option<u64>,
}

/// Bytes, and pages.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    /// Free on the disk, less what the log still has to be copied to.
    free: u64,
    /// Of the log's file that serve again.
    reusable: u64,
    /// Free in the database.
    pages: u64,
}

impl Measure {
    /// What new rows may take, in bytes of pages, if so much stays free.
    fn room(self, kept: u64) -> u64 {
        let Some(free) = self.free.checked_sub(kept) else { return 0 };
        let fits = |pages: u64| {
            let log = (pages * FRAME).saturating_sub(self.reusable);
            let database = pages.saturating_sub(self.pages) * PAGE;
            log + database <= free
        };
        // The most pages that fit: a page less for sure fits as well.
        let (mut fit, mut over) = (0, (free + self.reusable) / PAGE + self.pages + 1);
        while fit + 1 < over {
            let middle = fit + (over - fit) / 2;
            match fits(middle) {
                true => fit = middle,
                false => over = middle,
            }
        }
        fit * PAGE
    }
}

impl Space {
    /// Looks for a reserve that an earlier run has left. On a full disk it goes at once: opening needs some room.
    pub(super) fn new(store: &Path) -> Self {
        let reserve = beside(store, "-reserve");
        let held = fs::metadata(&reserve).map_or(0, |found| found.len());
        let mut space = Self {
            store: store.to_owned(),
            reserve,
            held,
            wanted: held,
            tried: held > 0,
            full: false,
            failed: false,
            log: (0, 0),
            #[cfg(test)]
            simulated: None,
        };
        if space.free().is_some_and(|free| free < LEAST) {
            space.run_short();
        }
        space
    }

    /// A write found no space.
    pub(super) fn failed(&mut self) {
        self.failed = true;
        self.run_short();
    }

    pub(super) fn set_log(&mut self, pages: i64, copied: i64) {
        self.log = (u64::try_from(pages).unwrap_or(0), u64::try_from(copied).unwrap_or(0));
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// At its bound, and the next write cannot begin it anew.
    fn log_is_held(&self) -> bool {
        self.log.0 * FRAME >= LOG_LIMIT && self.log.1 < self.log.0
    }

    /// Nothing is taken in any more, and the reserve is there for what is to be finished.
    fn run_short(&mut self) {
        self.full = true;
        if self.held > 0 {
            // If it cannot be removed, it cannot be used either; the margin is left.
            drop(fs::remove_file(&self.reserve));
            self.held = 0;
        }
    }

    fn free(&self) -> Option<u64> {
        #[cfg(test)]
        if let Some(free) = self.simulated {
            return Some(free);
        }
        free_bytes(self.store.parent()?)
    }

    /// Full of bytes that no file system stores as nothing, and synced.
    fn make_reserve(&mut self, size: u64) -> io::Result<()> {
        let fill = |file: &mut File| {
            let mut noise = fastrand::Rng::with_seed(size);
            let mut block = [0; 64 << 10];
            let mut left = size;
            while left > 0 {
                noise.fill(&mut block);
                let count = left.min(block.len() as u64);
                file.write_all(&block[..count as usize])?;
                left -= count;
            }
            file.sync_all()
        };
        self.tried = true;
        let made = OpenOptions::new().create(true).write(true).truncate(true).open(&self.reserve);
        if let Err(error) = made.and_then(|mut file| fill(&mut file)) {
            drop(fs::remove_file(&self.reserve));
            return Err(error);
        }
        (self.held, self.wanted) = (size, size);
        Ok(())
    }

    /// Its size: what it was, or what the disk can spare.
    fn reserve_size(&self, free: u64) -> u64 {
        if self.wanted > 0 { self.wanted } else { RESERVE.min(free / 8) }
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

impl Store {
    /// What the turn that begins may take in. `needed`: what waits for room, as `disk_cost` counts it; a shortage is over
    /// only once that fits. To be asked between turns; during a shortage not too often.
    ///
    /// # Errors
    /// The store's.
    pub fn room(&mut self, needed: u64) -> Result<Room, StoreError> {
        self.check()?;
        if self.space.log_is_held() {
            self.checkpoint()?;
            if self.space.log_is_held() {
                return Ok(Room::none(NoRoom::Reader));
            }
        }
        if self.space.full {
            return self.room_again(needed);
        }
        let Some(free) = self.space.free() else { return Ok(Room::UNKNOWN) };
        // The whole log at the most is still to be copied.
        let spare = free.saturating_sub(self.space.log.0 * FRAME + MARGIN);
        if spare >= PLENTY {
            return Ok(Room { bytes: spare / FRAME * PAGE / 2, why: None });
        }
        let bytes = self.measure(free)?.room(MARGIN);
        if bytes < LEAST {
            self.space.run_short();
            return Ok(Room::none(NoRoom::Disk));
        }
        Ok(Room { bytes, why: None })
    }

    /// Something waits that this much room is too little for: only progress goes on, until there is more.
    pub fn run_short(&mut self) {
        self.space.run_short();
    }

    /// Whether even progress would need the reserve: others have taken what was free.
    pub fn is_tight(&self) -> bool {
        !self.space.full && self.space.free().is_some_and(|free| free < MARGIN)
    }

    /// Whether only progress goes on.
    pub fn is_short(&self) -> bool {
        self.space.full
    }

    /// A shortage: is it over?
    fn room_again(&mut self, needed: u64) -> Result<Room, StoreError> {
        while self.vacuum(0)? {}
        let free = self.space.free();
        let measured = match free {
            Some(free) => Some(self.measure(free)?),
            None => None,
        };
        let size = self.space.reserve_size(free.unwrap_or(u64::MAX));
        if measured.is_some_and(|measured| measured.room(MARGIN + size) < u64::max(2 * LEAST, needed)) {
            return Ok(Room::none(NoRoom::Disk));
        }
        if self.space.make_reserve(size).is_err() && self.space.failed {
            return Ok(Room::none(NoRoom::Disk));
        }
        (self.space.full, self.space.failed) = (false, false);
        Ok(match measured {
            Some(measured) => Room { bytes: measured.room(MARGIN + size), why: None },
            None => Room::UNKNOWN,
        })
    }

    /// Copies the log first: what it takes serves again.
    fn measure(&mut self, free: u64) -> Result<Measure, StoreError> {
        if self.space.log.0 > 0 {
            self.checkpoint()?;
        }
        let number = |sql: &str| -> Result<u64, StoreError> {
            let number: i64 = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let growth = (number("PRAGMA page_count")? * PAGE).saturating_sub(size(&self.space.store));
        let (pages, copied) = self.space.log;
        let reusable = if pages == copied { size(&beside(&self.space.store, "-wal")) } else { 0 };
        // The checkpoint may have taken some.
        let free = self.space.free().unwrap_or(free).saturating_sub(growth);
        Ok(Measure { free, reusable, pages: number("PRAGMA freelist_count")? })
    }

    /// Copies what can be copied of the log; a full disk or somebody's lock is no trouble here.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        match self.log_pages("PASSIVE") {
            Err(error) if !matches!(error.kind, StoreErrorKind::Full | StoreErrorKind::Busy) => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives free pages back to the disk, beyond `keep`: one bounded step. Whether there are more.
    pub(super) fn vacuum(&mut self, keep: u64) -> Result<bool, StoreError> {
        let mut count = self.connection.prepare_cached("PRAGMA freelist_count")?;
        let free: i64 = count.query_row([], |row| row.get(0))?;
        drop(count);
        let over = u64::try_from(free).unwrap_or(0).saturating_sub(keep);
        // What moving pages takes must not be what runs the disk out of room.
        let afford = match self.space.free() {
            Some(free) => free.saturating_sub(self.space.log.0 * PAGE) / (VACUUM_FRAMES * FRAME) / 2,
            None if self.space.full => 0,
            None => VACUUM_PAGES,
        };
        let step = over.min(VACUUM_PAGES).min(afford);
        if step == 0 {
            return Ok(false);
        }
        let done = || -> Result<(), StoreError> {
            let mut statement = self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({step})"))?;
            let mut rows = statement.query([])?;
            // A page a row.
            while rows.next()?.is_some() {}
            Ok(())
        };
        match done() {
            Err(error) if !matches!(error.kind, StoreErrorKind::Full | StoreErrorKind::Busy) => return Err(error),
            Err(_) => return Ok(false),
            Ok(()) => {}
        }
        // The file is cut at the checkpoint.
        self.log_pages("NOOP")?;
        self.checkpoint()?;
        Ok(over > step)
    }

    /// What can wait until nothing else is to be done. Whether there is more of it.
    pub(super) fn tidy(&mut self) -> Result<bool, StoreError> {
        let more = self.vacuum(if self.space.full { 0 } else { KEPT_PAGES })?;
        if !self.space.tried && !self.space.full {
            let free = self.space.free();
            let size = self.space.reserve_size(free.unwrap_or(u64::MAX));
            let enough = match free {
                Some(free) => self.measure(free)?.room(MARGIN + size) >= 2 * LEAST,
                None => true,
            };
            if enough && let Err(error) = self.space.make_reserve(size) {
                tracing::warn!(%error, "no reserve could be made beside the store");
            }
        }
        Ok(more)
    }
}

#[cfg(test)]
impl Store {
    /// As if so many bytes were free.
    pub(crate) fn simulate_free(&mut self, bytes: u64) {
        self.space.simulated = Some(bytes);
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
