//! Power cuts at random moments of random turns (P1 to P4): what is acknowledged is there, whole, and nothing is half there.

use std::path::PathBuf;
use std::{fmt, fs};

use fastrand::Rng;
use homing::Durability;
use homing::store::reader::Reader;
use homing::store::{Store, StoreErrorKind};
use homing_fault_vfs::{Disk, Image, Lasts, Log, Op, Trouble};
use tempfile::TempDir;

use crate::store_common::{open_with, options, path};
use crate::turns::{Model, Step, integrity, take};
use crate::{dice, number, say};

/// So many images come from one run of turns.
const IMAGES: usize = 25;
/// So many runs go on from each other's wreckage.
const CHAIN: usize = 5;
/// Payloads of up to so many bytes make a log that is copied while turns go on.
const LARGE: usize = 300_000;
const LOCK: &str = "test.homing-lock";

#[derive(Debug, Default)]
struct Figures {
    images: usize,
    turns: usize,
    /// The cut fell amid changes that were not synced.
    unsynced: usize,
    /// It took some of them.
    lossy: usize,
    in_checkpoint: usize,
    /// A turn that was not acknowledged was there all the same.
    ahead: usize,
    failed_commits: usize,
    /// Those that had happened all the same.
    happened: usize,
    /// Images that lack something acknowledged.
    lost: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, turns, unsynced, lossy, in_checkpoint, ahead, failed_commits, happened, lost } = self;
        write!(
            f,
            "{images} power cuts over {turns} turns, {unsynced} of them amid unsynced changes ({lossy} took some), "
        )?;
        write!(
            f,
            "{in_checkpoint} in a checkpoint; {failed_commits} commits failed, {happened} of them had happened; "
        )?;
        write!(f, "{ahead} images were ahead of the last answer, {lost} behind it")
    }
}

/// A drive with a store, and what is known of it.
struct World {
    folder: TempDir,
    disk: Disk,
    durability: Durability,
    /// The rows behind every turn that may have been committed, by its number.
    history: Vec<Model>,
    first_turn: u64,
    /// Moments of the log at which a turn was acknowledged.
    acknowledged: Vec<(usize, u64)>,
    /// What the lock file held at moments of the log: it names a turn that no power cut takes.
    marks: Vec<(usize, Vec<u8>)>,
    figures: Figures,
}

impl World {
    fn new(durability: Durability, largest: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::watch(folder.path()).unwrap();
        let store = open_with(&path(&folder), durability).unwrap();
        let model = Model::new(&store, largest);
        store.close().unwrap();
        let first_turn = model.hot.turn;
        let (history, acknowledged, marks, figures) = (vec![model], Vec::new(), Vec::new(), Figures::default());
        Self { folder, disk, durability, history, first_turn, acknowledged, marks, figures }
    }

    fn path(&self) -> PathBuf {
        path(&self.folder)
    }

    fn model(&self, turn: u64) -> Option<&Model> {
        self.history.get(usize::try_from(turn.checked_sub(self.first_turn)?).unwrap())
    }

    fn open(&self) -> Store {
        open_with(&self.path(), self.durability).unwrap()
    }

    /// The newest turn whose commit was acknowledged before this moment.
    fn acknowledged_at(&self, moment: usize) -> u64 {
        let count = self.acknowledged.partition_point(|(at, _)| *at <= moment);
        count.checked_sub(1).map_or(self.first_turn, |last| self.acknowledged[last].1)
    }

    /// Turns, reopenings, kills and checkpoints, from the store as it stands; with `failing`, syncs that fail now and then.
    fn run(&mut self, rng: &mut Rng, failing: bool) -> Log {
        self.acknowledged.clear();
        self.marks.clear();
        self.disk.record().unwrap();
        let mut store = self.open();
        let mut reader = None;
        for _ in 0..rng.usize(10..40) {
            match rng.u8(..16) {
                0 => store = store.reopen().unwrap(),
                1 => {
                    drop(store);
                    store = self.open();
                }
                2 => {
                    store.close().unwrap();
                    store = self.open();
                }
                // A reader keeps the log from being emptied and removed.
                3 => reader = Some(Reader::open(&self.path()).unwrap()),
                4..6 => drop(reader.take()),
                _ => {}
            }
            if failing && rng.u8(..2) == 0 {
                let lasts = if rng.bool() { Lasts::Once } else { Lasts::UntilHealed };
                let nth = if rng.u8(..4) == 0 { 2 } else { 1 };
                self.disk.fail(Op::Sync, nth, Trouble::Io, lasts);
            }
            let last = self.history.last().unwrap();
            let (steps, behind) = last.turn(rng);
            self.history.push(behind.clone());
            store = self.take(rng, store, &steps, &behind);
            self.acknowledged.push((self.disk.moment(), behind.hot.turn));
            self.figures.turns += 1;
            if let Err(error) = store.maintain(behind.largest < LARGE && rng.u8(..6) == 0)
                && error.kind != StoreErrorKind::Busy
            {
                store = self.reopen(rng, store);
            }
            self.disk.heal();
            self.marks.push((self.disk.moment(), fs::read(self.folder.path().join(LOCK)).unwrap()));
        }
        drop(store);
        self.disk.heal();
        self.disk.recorded()
    }

    /// A turn until it is there, as the driver does it.
    fn take(&mut self, rng: &mut Rng, mut store: Store, steps: &[Step], behind: &Model) -> Store {
        while let Err(error) = take(&mut store, steps, behind) {
            assert_eq!(error.kind, StoreErrorKind::Io);
            self.figures.failed_commits += 1;
            store = self.reopen(rng, store);
            if store.hot().turn == behind.hot.turn {
                self.figures.happened += 1;
                break;
            }
        }
        store
    }

    /// The drive recovers before or after the first attempt.
    fn reopen(&self, rng: &mut Rng, store: Store) -> Store {
        match rng.u8(..5) {
            0..2 => self.disk.heal(),
            2 => self.disk.fail(Op::Open, rng.u64(1..4), Trouble::Io, Lasts::Once),
            _ => {}
        }
        let again = store.reopen();
        self.disk.heal();
        again.unwrap_or_else(|_| Store::open_again(&options(&self.path(), self.durability)).unwrap())
    }

    /// The files of a drive after a power cut, in the place of these. The lock file is not SQLite's: the newest is the worst.
    fn lay(&self, image: &Image) {
        image.write_to(self.folder.path()).unwrap();
        if let Some((_, mark)) = self.marks.iter().rev().find(|(moment, _)| *moment <= image.moment) {
            fs::write(self.folder.path().join(LOCK), mark).unwrap();
        }
    }

    /// A drive after a power cut, put in the place of this one.
    fn put(&mut self, image: &Image) {
        self.lay(image);
        self.figures.images += 1;
        self.figures.unsynced += usize::from(!image.unsynced.is_empty());
        self.figures.lossy += usize::from(image.lost > 0);
        self.figures.in_checkpoint += usize::from(image.unsynced.contains_key("test.homing"));
    }

    /// P1 to P4: it opens, every turn that was acknowledged is there, and the one under way is there whole or not at all.
    fn check(&mut self, image: &Image) {
        self.put(image);
        let mut store = self.open();
        assert_eq!(store.restored(), None, "taken for a copy");
        let (turn, acknowledged) = (store.hot().turn, self.acknowledged_at(image.moment));
        self.figures.lost += usize::from(turn < acknowledged);
        assert!(turn >= acknowledged, "turn {acknowledged} was acknowledged, found is {turn}");
        assert!(turn <= acknowledged + 1, "turn {turn} had not begun");
        self.figures.ahead += usize::from(turn > acknowledged);
        self.model(turn).unwrap().check(&mut store, &self.path());
        assert_eq!(integrity(&self.path()), "ok");
    }

    /// The wreckage as a beginning.
    fn go_on(&mut self, image: &Image) {
        self.lay(image);
        let turn = self.open().hot().turn;
        self.history = vec![self.model(turn).unwrap().clone()];
        self.first_turn = turn;
        self.lay(image);
    }
}

/// Runs and their power cuts, with a check of each.
fn cut(
    rng: &mut Rng,
    durability: Durability,
    failing: bool,
    count: usize,
    check: impl Fn(&mut World, &Image),
) -> Figures {
    let mut figures = Figures::default();
    let mut chains = 0;
    while figures.images < count {
        chains += 1;
        let (largest, runs) = if chains % 3 == 2 { (LARGE, 2) } else { (3_000, CHAIN) };
        let mut world = World::new(durability, largest);
        world.figures = figures;
        for _ in 0..runs {
            let log = world.run(rng, failing);
            let went_on = rng.usize(..IMAGES);
            let mut next = None;
            for (number, image) in log.crash_images(rng.u64(..), IMAGES).enumerate() {
                check(&mut world, &image);
                if number == went_on {
                    next = Some(image);
                }
            }
            world.go_on(&next.unwrap());
        }
        figures = world.figures;
    }
    figures
}

/// Under `process_kill` a power cut may take the last turns, but what is left is whole, and no number is given again.
fn check_process_kill(world: &mut World, image: &Image) {
    world.put(image);
    let mut store = world.open();
    assert_eq!(store.restored(), None, "taken for a copy");
    let (turn, acknowledged) = (store.hot().turn, world.acknowledged_at(image.moment));
    world.figures.lost += usize::from(turn < acknowledged);
    world.model(turn).unwrap().check(&mut store, &world.path());
    assert_eq!(integrity(&world.path()), "ok");
    drop(store);
    // The machine was started again.
    let raw = rusqlite::Connection::open(world.path()).unwrap();
    raw.execute("UPDATE session SET boot_id = 'another'", []).unwrap();
    drop(raw);
    let (now, given) = (world.open().hot(), world.model(acknowledged).unwrap().hot);
    assert!(now.lanes[0].next_ord >= given.lanes[0].next_ord && now.next_seq >= given.next_seq, "{now:?} {given:?}");
}

fn cuts() -> usize {
    number("HOMING_POWER_CUTS", 500) as usize
}

#[test]
fn p1_to_p4_no_power_cut_loses_what_was_acknowledged() {
    let mut rng = dice("power cuts");
    let figures = cut(&mut rng, Durability::PowerLoss, false, cuts(), World::check);
    say(&format!("power cuts: {figures}"));
    assert_eq!(figures.lost, 0);
    assert!(figures.unsynced * 2 > figures.images && figures.in_checkpoint > 0 && figures.ahead > 0, "{figures}");
}

#[test]
fn p1_to_p4_syncs_that_failed_before_a_power_cut_lose_nothing_either() {
    let mut rng = dice("power cuts behind failed syncs");
    let figures = cut(&mut rng, Durability::PowerLoss, true, cuts() / 2, World::check);
    say(&format!("power cuts behind failed syncs: {figures}"));
    assert_eq!(figures.lost, 0);
    assert!(figures.failed_commits > 0 && figures.happened > 0, "{figures}");
}

#[test]
fn without_a_sync_in_each_turn_power_cuts_are_found_to_lose_turns_and_give_no_number_twice() {
    let mut rng = dice("power cuts under process_kill");
    let figures = cut(&mut rng, Durability::ProcessKill, false, cuts() / 4, check_process_kill);
    say(&format!("power cuts under process_kill: {figures}"));
    assert!(figures.lost * 20 > figures.images, "losses are not detected: {figures}");
}

#[test]
fn syncs_that_failed_before_a_power_cut_leave_whole_turns_under_process_kill_too() {
    let mut rng = dice("power cuts under process_kill behind failed syncs");
    let figures = cut(&mut rng, Durability::ProcessKill, true, cuts() / 2, check_process_kill);
    say(&format!("power cuts under process_kill behind failed syncs: {figures}"));
}
