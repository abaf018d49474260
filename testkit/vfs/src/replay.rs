//! Power cuts: what a drive may hold at a moment of the log.
//!
//! What was written before a file's last successful sync is there. Of everything after it any part may be: whole writes,
//! 512-byte sectors of them, or nothing; the file's size follows. Names that were made or deleted since the folder was synced
//! may be as before. What a failed sync left behind is never certain again.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use fastrand::Rng;

use crate::disk::{Event, Log};

/// What a drive writes in one go.
const SECTOR: usize = 512;

/// A drive after a power cut.
#[derive(Debug)]
pub struct Image {
    /// So many operations of the log had been done.
    pub moment: usize,
    /// How many changes no sync had made certain, by name of the file.
    pub unsynced: BTreeMap<String, usize>,
    /// Those of them that were lost, in whole or in part.
    pub lost: usize,
    /// The files, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// Empties a folder and puts the files there.
    ///
    /// # Errors
    /// The system's.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            fs::remove_file(entry?.path())?;
        }
        self.files.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
    }
}

/// Iterator over the images of a log.
#[derive(Debug)]
pub struct Images<'l> {
    log: &'l Log,
    rng: Rng,
    /// Moments still to come, the next one last.
    moments: Vec<usize>,
    /// So many events are in `files` and `names`.
    done: usize,
    files: BTreeMap<usize, Content<'l>>,
    /// What a name leads to: what is certain first, then what came since the folder was synced.
    names: BTreeMap<&'l str, Vec<Option<usize>>>,
}

#[derive(Debug, Default)]
struct Content<'l> {
    certain: Vec<u8>,
    /// In order, each with the moment it was made.
    changes: Vec<(usize, Change<'l>, Standing)>,
}

#[derive(Debug, Clone, Copy)]
enum Change<'l> {
    Write(usize, &'l [u8]),
    Size(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Synced, but behind a change that is not certain.
    Synced,
    Unsynced,
    /// A sync failed behind it.
    Forgotten,
}

/// What becomes of changes that are not certain.
#[derive(Debug, Clone, Copy)]
enum Luck {
    /// All share one lot: lost or kept.
    All(bool),
    /// Each change is kept or lost whole.
    Changes(f64),
    /// Each sector is.
    Sectors(f64),
    /// Everything before a moment is kept, the change of that moment torn, the rest lost.
    Until(usize),
}

impl<'l> Images<'l> {
    pub(crate) fn new(log: &'l Log, seed: u64, count: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        // Half of them amid a sync, where most hangs on it; the others anywhere.
        let synced = |event: &Event| matches!(event, Event::Sync { .. } | Event::SyncFailed { .. });
        let syncs: Vec<usize> = (0..log.len()).filter(|at| synced(&log.events[*at])).collect();
        let mut moments: Vec<usize> = (0..count)
            .map(|_| {
                let amid = rng.choice(&syncs).filter(|_| rng.bool());
                amid.copied().unwrap_or_else(|| rng.usize(..=log.len()))
            })
            .collect();
        moments.sort_unstable_by(|a, b| b.cmp(a));
        let before = log.before.iter().enumerate();
        let (files, names) = before
            .map(|(file, (name, bytes))| {
                ((file, Content { certain: bytes.clone(), changes: Vec::new() }), (name.as_str(), vec![Some(file)]))
            })
            .unzip();
        Self { log, rng, moments, done: 0, files, names }
    }

    fn replay(&mut self, event: &'l Event) {
        let moment = self.done;
        match event {
            Event::Made { name, file } => self.names.entry(name).or_insert_with(|| vec![None]).push(Some(*file)),
            Event::Deleted { name } => self.names.entry(name).or_default().push(None),
            Event::SyncNames => {
                self.names.values_mut().for_each(|leads_to| drop(leads_to.drain(..leads_to.len() - 1)));
            }
            Event::Write { file, offset, data } => {
                self.content(*file).changes.push((moment, Change::Write(*offset, data), Standing::Unsynced));
            }
            Event::Truncate { file, size } => {
                self.content(*file).changes.push((moment, Change::Size(*size), Standing::Unsynced));
            }
            Event::Sync { file } => self.content(*file).settle(Standing::Unsynced, Standing::Synced),
            Event::SyncFailed { file } => self.content(*file).settle(Standing::Unsynced, Standing::Forgotten),
            Event::Rewritten { file } => {
                self.content(*file).settle(Standing::Unsynced, Standing::Synced);
                self.content(*file).settle(Standing::Forgotten, Standing::Synced);
            }
        }
    }

    fn content(&mut self, file: usize) -> &mut Content<'l> {
        self.files.entry(file).or_default()
    }

    fn luck(&mut self) -> Luck {
        match self.rng.u8(..5) {
            0 => Luck::All(false),
            1 => Luck::All(true),
            2 => Luck::Changes(self.rng.f64()),
            3 => Luck::Sectors(self.rng.f64()),
            _ => {
                let open = self.files.values().flat_map(|content| &content.changes);
                let open: Vec<usize> =
                    open.filter(|(.., standing)| *standing != Standing::Synced).map(|c| c.0).collect();
                Luck::Until(self.rng.choice(open).unwrap_or(0))
            }
        }
    }
}

impl Iterator for Images<'_> {
    type Item = Image;

    fn next(&mut self) -> Option<Image> {
        let moment = self.moments.pop()?;
        for event in &self.log.events[self.done..moment] {
            self.replay(event);
            self.done += 1;
        }
        let luck = self.luck();
        let mut image = Image { moment, unsynced: BTreeMap::new(), lost: 0, files: BTreeMap::new() };
        for (name, leads_to) in &self.names {
            if let Some(Some(file)) = self.rng.choice(leads_to) {
                let bytes = match self.files.get(file) {
                    Some(content) => content.after(luck, &mut self.rng, name, &mut image),
                    None => Vec::new(),
                };
                image.files.insert((*name).to_owned(), bytes);
            }
        }
        Some(image)
    }
}

impl Content<'_> {
    fn settle(&mut self, from: Standing, to: Standing) {
        self.changes.iter_mut().filter(|(.., standing)| *standing == from).for_each(|change| change.2 = to);
        if self.changes.iter().all(|(.., standing)| *standing == Standing::Synced) {
            for (_, change, _) in self.changes.drain(..) {
                apply(&mut self.certain, change, || true);
            }
        }
    }

    fn after(&self, luck: Luck, rng: &mut Rng, name: &str, image: &mut Image) -> Vec<u8> {
        let mut bytes = self.certain.clone();
        for (moment, change, standing) in &self.changes {
            if *standing == Standing::Synced {
                apply(&mut bytes, *change, || true);
                continue;
            }
            let chance = match luck {
                Luck::All(kept) => f64::from(u8::from(kept)),
                Luck::Changes(chance) => f64::from(u8::from(rng.f64() < chance)),
                Luck::Sectors(chance) => chance,
                Luck::Until(last) if moment == &last => 0.5,
                Luck::Until(last) => f64::from(u8::from(*moment < last)),
            };
            let mut whole = true;
            apply(&mut bytes, *change, || {
                let kept = rng.f64() < chance;
                whole &= kept;
                kept
            });
            *image.unsynced.entry(name.to_owned()).or_default() += 1;
            image.lost += usize::from(!whole);
        }
        bytes
    }
}

/// Makes those sectors of a change that are kept.
fn apply(bytes: &mut Vec<u8>, change: Change<'_>, mut kept: impl FnMut() -> bool) {
    match change {
        Change::Size(size) => {
            if kept() {
                bytes.resize(size, 0);
            }
        }
        Change::Write(offset, data) => {
            let mut start = 0;
            while start < data.len() {
                let next_sector = ((offset + start) / SECTOR + 1) * SECTOR;
                let end = data.len().min(next_sector - offset);
                if kept() {
                    if bytes.len() < offset + end {
                        bytes.resize(offset + end, 0);
                    }
                    bytes[offset + start..offset + end].copy_from_slice(&data[start..end]);
                }
                start = end;
            }
        }
    }
}
