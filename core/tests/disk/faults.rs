//! Writes, syncs and openings that fail, each in its turn, over a script of turns (P1, P10): the store is opened again, says
//! whether the turn happened, and goes on; nothing is lost, nothing is there twice.

use std::path::Path;

use fastrand::Rng;
use homing::store::reader::Reader;
use homing::store::{Store, StoreErrorKind};
use homing::{Durability, OpenError};
use homing_fault_vfs::{Disk, Lasts, Op, Trouble};

use crate::say;
use crate::store_common::{killed_copy, open_with, options, path};
use crate::turns::{Model, Step, integrity, take};

/// After so many failures a lasting one ends.
const PATIENCE: u64 = 4;

/// The turn that is more than SQLite's cache holds. Late, for not each of its many writes has a run of its own.
const LARGE: usize = 8;
const EACH_OF: u64 = 200;

struct Turn {
    steps: Vec<Step>,
    behind: Model,
    /// The log is emptied behind it.
    idle: bool,
}

/// A store's file and the turns that it will take: small ones, and one that is written before its commit.
fn script(folder: &tempfile::TempDir, durability: Durability) -> (Model, Vec<Turn>) {
    let store = open_with(&path(folder), durability).unwrap();
    let first = Model::new(&store, 0);
    store.close().unwrap();
    let mut rng = Rng::with_seed(5);
    let mut before = first.clone();
    let turns = (0..12).map(|number| {
        before.largest = if number == LARGE { 1_800_000 } else { 2_000 };
        let (steps, behind) = before.turn(&mut rng);
        before = behind.clone();
        Turn { steps, behind, idle: number % 4 == 2 }
    });
    (first, turns.collect())
}

#[derive(Debug, Default)]
struct Figures {
    runs: u64,
    failed: u64,
    happened: u64,
}

struct Rig<'r> {
    disk: Disk,
    path: &'r Path,
    durability: Durability,
    trouble: Trouble,
    figures: &'r mut Figures,
}

impl Rig<'_> {
    fn reopen(&self, store: Store) -> Store {
        if self.disk.counts().failed >= PATIENCE {
            self.disk.heal();
        }
        store.reopen().unwrap_or_else(|error| {
            assert!(matches!(error, OpenError::StoreUnavailable { .. }), "{error}");
            self.disk.heal();
            Store::open_again(&options(self.path, self.durability)).unwrap()
        })
    }

    /// As the driver does it: after a failure the file is opened again, and what did not happen is tried again.
    fn turn(&mut self, mut store: Store, before: &Model, turn: &Turn) -> Store {
        while let Err(error) = take(&mut store, &turn.steps, &turn.behind) {
            let expected = if self.trouble == Trouble::Full { StoreErrorKind::Full } else { StoreErrorKind::Io };
            assert_eq!(error.kind, expected, "{error}");
            self.figures.failed += 1;
            store = self.reopen(store);
            if store.hot().turn == turn.behind.hot.turn {
                self.figures.happened += 1;
                turn.behind.check(&mut store, self.path);
                break;
            }
            before.check(&mut store, self.path);
        }
        match store.maintain(turn.idle) {
            Ok(_) => store,
            Err(error) if [StoreErrorKind::Full, StoreErrorKind::Busy].contains(&error.kind) => {
                // The next turn goes on with this handle, as the driver does.
                if self.disk.counts().failed >= PATIENCE {
                    self.disk.heal();
                }
                store
            }
            Err(_) => self.reopen(store),
        }
    }

    fn run(&mut self, first: &Model, turns: &[Turn]) {
        let mut store = open_with(self.path, self.durability).unwrap_or_else(|error| {
            assert!(matches!(error, OpenError::StoreUnavailable { .. }), "{error}");
            self.disk.heal();
            open_with(self.path, self.durability).unwrap()
        });
        let mut before = first;
        for turn in turns {
            store = self.turn(store, before, turn);
            before = &turn.behind;
        }
        self.disk.heal();
        before.check(&mut store, self.path);
        assert_eq!(integrity(self.path), "ok");
        store.close().unwrap();
        let mut store = open_with(self.path, self.durability).unwrap();
        before.check(&mut store, self.path);
        self.figures.runs += 1;
    }
}

/// Runs the script once for each operation of this kind that it has, with that one failing: `every` one of the first, fewer
/// of those that follow.
fn fail_each(op: Op, trouble: Trouble, lasts: Lasts, durability: Durability, every: u64) {
    let template = tempfile::tempdir().unwrap();
    let (first, turns) = script(&template, durability);
    let mut figures = Figures::default();
    for nth in (1..EACH_OF).step_by(every as usize).chain((EACH_OF..).step_by(29)) {
        let folder = tempfile::tempdir().unwrap();
        let path = killed_copy(&path(&template), &folder);
        let disk = Disk::watch(folder.path()).unwrap();
        disk.fail(op, nth, trouble, lasts);
        let mut rig = Rig { disk, path: &path, durability, trouble, figures: &mut figures };
        rig.run(&first, &turns);
        if rig.disk.counts().failed == 0 {
            break;
        }
    }
    let Figures { runs, failed, happened } = figures;
    say(&format!(
        "{op:?} {trouble:?} {lasts:?}, {durability:?}: {runs} runs of {} turns, {failed} commits failed, {happened} of them had happened",
        turns.len()
    ));
    assert!(failed > 0, "no commit failed");
}

#[test]
fn p1_each_write_fails_once_with_eio() {
    fail_each(Op::Write, Trouble::Io, Lasts::Once, Durability::PowerLoss, 1);
}

#[test]
fn p1_writes_fail_with_eio_for_a_while() {
    fail_each(Op::Write, Trouble::Io, Lasts::UntilHealed, Durability::PowerLoss, 5);
}

#[test]
fn p10_each_write_finds_the_disk_full_once() {
    fail_each(Op::Write, Trouble::Full, Lasts::Once, Durability::PowerLoss, 3);
}

#[test]
fn p10_the_disk_is_full_for_a_while() {
    fail_each(Op::Write, Trouble::Full, Lasts::UntilHealed, Durability::PowerLoss, 5);
}

#[test]
fn p1_each_sync_fails_once() {
    fail_each(Op::Sync, Trouble::Io, Lasts::Once, Durability::PowerLoss, 1);
}

#[test]
fn p1_syncs_fail_for_a_while() {
    fail_each(Op::Sync, Trouble::Io, Lasts::UntilHealed, Durability::PowerLoss, 1);
}

#[test]
fn p1_under_process_kill_too() {
    fail_each(Op::Write, Trouble::Io, Lasts::Once, Durability::ProcessKill, 3);
    fail_each(Op::Write, Trouble::Full, Lasts::UntilHealed, Durability::ProcessKill, 5);
}

#[test]
fn p1_a_turn_that_did_not_happen_does_not_come_back_when_the_readers_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, turns) = script(&folder, Durability::PowerLoss);
    let disk = Disk::watch(folder.path()).unwrap();
    let mut store = open_with(&path(&folder), Durability::PowerLoss).unwrap();
    take(&mut store, &turns[0].steps, &turns[0].behind).unwrap();
    // Its view of the log outlives the writer's handles.
    let reader = Reader::open(&path(&folder)).unwrap();
    reader.status().unwrap();
    disk.fail(Op::Sync, 1, Trouble::Io, Lasts::Once);
    take(&mut store, &turns[1].steps, &turns[1].behind).unwrap_err();
    let mut store = store.reopen().unwrap();
    let said = store.hot().turn;
    let behind =
        [&first, &turns[0].behind, &turns[1].behind].into_iter().find(|behind| behind.hot.turn == said).unwrap();
    behind.check(&mut store, &path(&folder));
    let killed = tempfile::tempdir().unwrap();
    let copy = killed_copy(&path(&folder), &killed);
    let mut store = open_with(&copy, Durability::PowerLoss).unwrap();
    behind.check(&mut store, &copy);
}

/// Opens a store with each operation failing in turn; gives up when none is left to fail.
fn open_each(prepare: impl Fn(&tempfile::TempDir), check: impl Fn(&Path, bool)) {
    for op in [Op::Open, Op::Write, Op::Sync] {
        for trouble in [Trouble::Io, Trouble::Full] {
            for nth in 1.. {
                let folder = tempfile::tempdir().unwrap();
                prepare(&folder);
                let disk = Disk::watch(folder.path()).unwrap();
                disk.fail(op, nth, trouble, Lasts::Once);
                let opened = open_with(&path(&folder), Durability::ProcessKill);
                if let Err(error) = &opened {
                    assert!(matches!(error, OpenError::StoreUnavailable { .. }), "{op:?} {trouble:?} {nth}: {error}");
                }
                let (failed, opened) = (disk.counts().failed, opened.map(drop).is_ok());
                disk.heal();
                check(&path(&folder), opened);
                if failed == 0 {
                    assert!(opened);
                    break;
                }
            }
        }
    }
}

#[test]
fn p10_a_store_that_cannot_be_made_leaves_nothing_behind() {
    open_each(
        |_| {},
        |path, opened| {
            let half_made = std::fs::read_dir(path.parent().unwrap()).unwrap();
            assert!(half_made.flatten().all(|entry| !entry.file_name().to_string_lossy().contains("-new")));
            assert!(path.exists() || !opened);
            let store = open_with(path, Durability::ProcessKill).unwrap();
            assert_eq!(store.hot().turn, 0);
            assert_eq!(integrity(path), "ok");
        },
    );
}

#[test]
fn p10_a_store_that_cannot_be_opened_now_is_whole_later() {
    let template = tempfile::tempdir().unwrap();
    let (_, turns) = script(&template, Durability::ProcessKill);
    let mut store = open_with(&path(&template), Durability::ProcessKill).unwrap();
    for turn in &turns {
        take(&mut store, &turn.steps, &turn.behind).unwrap();
    }
    let last = &turns.last().unwrap().behind;
    open_each(
        |folder| drop(killed_copy(&path(&template), folder)),
        |path, _| {
            let mut store = open_with(path, Durability::ProcessKill).unwrap();
            last.check(&mut store, path);
            assert_eq!(integrity(path), "ok");
        },
    );
}
