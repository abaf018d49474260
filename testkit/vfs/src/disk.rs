//! A watched folder: what is to fail, what was done, and the log of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rusqlite::ffi;

use crate::replay::Images;
use crate::shim;

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Opening a file.
    Open,
    /// Writing to a file. Half of what was to be written arrives.
    Write,
    /// Syncing a file. What was written so far may vanish in a power cut even if later syncs succeed: systems drop or
    /// forget the pages that they could not write.
    Sync,
}

/// What a failure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
}

/// How long a failure goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// That operation alone.
    Once,
    /// It and all that follow, until [`Disk::heal`].
    UntilHealed,
}

/// How many operations there were since the folder is watched, failed ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Files opened.
    pub opens: u64,
    /// Writes.
    pub writes: u64,
    /// Truncations.
    pub truncates: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Deletions.
    pub deletes: u64,
    /// Operations that were made to fail.
    pub failed: u64,
}

/// One thing that was done.
#[derive(Debug)]
pub(crate) enum Event {
    /// A file came to be under this name.
    Made {
        name: String,
        file: usize,
    },
    Write {
        file: usize,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        file: usize,
        size: usize,
    },
    /// Logged only once it has succeeded.
    Sync {
        file: usize,
    },
    SyncFailed {
        file: usize,
    },
    /// Somebody who is not SQLite wrote all of it anew, and synced it.
    Rewritten {
        file: usize,
    },
    Deleted {
        name: String,
    },
    /// The folder was synced: names made and deleted so far stand.
    SyncNames,
}

/// What was done to a folder, and what stood in it before.
#[derive(Debug, Default)]
pub struct Log {
    /// The files with numbers 0 and on.
    pub(crate) before: Vec<(String, Vec<u8>)>,
    pub(crate) events: Vec<Event>,
}

impl Log {
    /// What power cuts at `count` random moments would leave on the drive, earliest first. The same seed, the same images.
    pub fn crash_images(&self, seed: u64, count: usize) -> Images<'_> {
        Images::new(self, seed, count)
    }

    /// How many operations it holds.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// No clock says so by itself.
const STAMP: Duration = Duration::from_secs(12_345);

#[derive(Debug)]
struct Fault {
    op: Op,
    /// So many more, then it strikes.
    left: u64,
    trouble: Trouble,
    lasts: Lasts,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) counts: Counts,
    faults: Vec<Fault>,
    log: Option<Log>,
    /// Names that lead to a file now, and its number.
    names: BTreeMap<String, usize>,
    files: usize,
    pub(crate) open: usize,
    folder: PathBuf,
    /// Files with a failed sync, by name: their time of writing is kept at `STAMP`, which tells whether others write.
    stamped: BTreeSet<String>,
}

impl State {
    /// Whether this operation is to fail.
    pub(crate) fn strikes(&mut self, op: Op) -> Option<Trouble> {
        let fault = self.faults.iter_mut().find(|fault| fault.op == op)?;
        fault.left = fault.left.saturating_sub(1);
        if fault.left > 0 {
            return None;
        }
        self.counts.failed += 1;
        let trouble = fault.trouble;
        if fault.lasts == Lasts::Once {
            self.faults.retain(|fault| fault.op != op);
        }
        Some(trouble)
    }

    pub(crate) fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(log) = &mut self.log {
            log.events.push(event());
        }
    }

    /// The number of the file that this name leads to; a new one if there was none.
    pub(crate) fn file(&mut self, name: &str) -> usize {
        if let Some(file) = self.names.get(name) {
            return *file;
        }
        let file = self.files;
        self.files += 1;
        self.names.insert(name.to_owned(), file);
        self.note(|| Event::Made { name: name.to_owned(), file });
        file
    }

    /// A sync of this file has failed.
    pub(crate) fn spoiled(&mut self, name: &str) {
        self.stamped.insert(name.to_owned());
        self.stamp(name);
    }

    /// To be called when SQLite has written to a file.
    pub(crate) fn stamp(&self, name: &str) {
        if self.stamped.contains(name) {
            let file = fs::File::options().write(true).open(self.folder.join(name));
            let stamped = file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + STAMP));
            assert!(stamped.is_ok(), "{name} cannot be stamped: {stamped:?}");
        }
    }

    /// To be called when SQLite opens a file.
    pub(crate) fn look_for_strangers(&mut self, name: &str, file: usize) {
        if self.stamped.contains(name) {
            let written = fs::metadata(self.folder.join(name)).and_then(|found| found.modified());
            if written.is_ok_and(|at| at != SystemTime::UNIX_EPOCH + STAMP) {
                self.stamped.remove(name);
                self.note(|| Event::Rewritten { file });
            }
        }
    }

    pub(crate) fn deleted(&mut self, name: &str) {
        self.stamped.remove(name);
        if self.names.remove(name).is_some() {
            self.note(|| Event::Deleted { name: name.to_owned() });
        }
    }
}

pub(crate) type Shared = Arc<Mutex<State>>;

static FOLDERS: Mutex<Vec<(PathBuf, Shared)>> = Mutex::new(Vec::new());

// A test that panicked must not take others with it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state of the folder that this file is in, if it is watched, and the file's name.
pub(crate) fn watched(path: &Path) -> Option<(Shared, String)> {
    let name = path.file_name()?.to_str()?.to_owned();
    let folder = path.parent()?;
    let folders = locked(&FOLDERS);
    folders.iter().find(|(watched, _)| watched == folder).map(|(_, state)| (Arc::clone(state), name))
}

/// A watched folder. Dropped: files that are opened from then on are the system's alone.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    state: Shared,
}

impl Disk {
    /// Makes the VFS the process's default, and watches what SQLite opens in this folder from now on.
    ///
    /// # Errors
    /// The system's, for a folder that cannot be found.
    pub fn watch(folder: &Path) -> io::Result<Self> {
        shim::install();
        let folder = fs::canonicalize(folder)?;
        let state = Arc::new(Mutex::new(State { folder: folder.clone(), ..State::default() }));
        locked(&FOLDERS).push((folder.clone(), Arc::clone(&state)));
        Ok(Self { folder, state })
    }

    /// Makes the `nth` operation of this kind from now on fail (1: the next one). Replaces what was said of the kind before.
    pub fn fail(&self, op: Op, nth: u64, trouble: Trouble, lasts: Lasts) {
        let mut state = locked(&self.state);
        state.faults.retain(|fault| fault.op != op);
        state.faults.push(Fault { op, left: nth.max(1), trouble, lasts });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        locked(&self.state).faults.clear();
    }

    /// Operations so far.
    pub fn counts(&self) -> Counts {
        locked(&self.state).counts
    }

    /// Begins the log: what stands in the folder counts as synced.
    ///
    /// # Errors
    /// The system's; and if SQLite has a file of the folder open, whose earlier writes nobody would know of.
    pub fn record(&self) -> io::Result<()> {
        let mut state = locked(&self.state);
        if state.open > 0 {
            return Err(io::Error::other("close the database before the log begins"));
        }
        let mut before = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            before.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
        // Shared memory is rebuilt by whoever comes first.
        before.retain(|(name, _)| !name.ends_with("-shm"));
        before.sort();
        state.names = before.iter().zip(0..).map(|((name, _), file)| (name.clone(), file)).collect();
        state.files = before.len();
        state.stamped.clear();
        state.log = Some(Log { before, events: Vec::new() });
        Ok(())
    }

    /// How many operations the log holds: a moment to which a power cut can be compared.
    pub fn moment(&self) -> usize {
        locked(&self.state).log.as_ref().map_or(0, Log::len)
    }

    /// Ends the log and hands it out.
    pub fn recorded(&self) -> Log {
        locked(&self.state).log.take().unwrap_or_default()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        locked(&FOLDERS).retain(|(_, state)| !Arc::ptr_eq(state, &self.state));
    }
}

impl Trouble {
    /// SQLite's result code; `io` is the one for EIO in this operation.
    pub(crate) fn code(self, io: i32) -> i32 {
        match self {
            Self::Io => io,
            Self::Full => ffi::SQLITE_FULL,
        }
    }
}
