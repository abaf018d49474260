//! The whole client, offline, on a disk that fails (P1): a publish that was accepted is there, one that was refused is not,
//! now and after a power cut.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use homing::store::reader::Reader;
use homing::{Cancel, Event, Fate, Homing, MessageId, Options, Publish, PublishError, TopicName};
use homing_fault_vfs::{Disk, Lasts, Op, Trouble};

use crate::store_common::{open, path};
use crate::{dice, say};

const TASKS: usize = 6;
const EACH: usize = 40;
const BOUND: Duration = Duration::from_secs(120);

/// What became of a publish, by topic, and the moment of the log when the answer was there.
type Answers = BTreeMap<String, (Result<MessageId, PublishError>, usize)>;

fn options(path: &Path) -> Options {
    let mut options = Options::new(path);
    options.connect = false;
    options
}

/// How often the disk fails: when it was full, the client looks for room once a second.
fn failures(trouble: Trouble) -> u64 {
    if trouble == Trouble::Full { 5 } else { 12 }
}

fn accepted(answers: &RefCell<Answers>) -> usize {
    answers.borrow().values().filter(|(answer, _)| answer.is_ok()).count()
}

/// Makes the disk fail, for a moment or for a while, each time amid publishes that are accepted.
async fn sabotage(disk: &Disk, trouble: Trouble, rng: &mut Rng, answers: &RefCell<Answers>) {
    for _ in 0..failures(trouble) {
        let so_far = accepted(answers);
        while accepted(answers) == so_far {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let before = disk.counts().failed;
        let op = if trouble == Trouble::Full || rng.u8(..3) == 0 { Op::Write } else { Op::Sync };
        let lasts = if rng.bool() { Lasts::Once } else { Lasts::UntilHealed };
        disk.fail(op, rng.u64(1..5), trouble, lasts);
        if rng.u8(..3) == 0 {
            // It cannot even be opened again for a while.
            disk.fail(Op::Open, 1, Trouble::Io, Lasts::UntilHealed);
        }
        while disk.counts().failed == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(0..150))).await;
        disk.heal();
    }
}

async fn publish(client: Homing, disk: &Disk, task: usize, answers: &RefCell<Answers>, stop: &Cell<bool>) {
    for number in 0.. {
        let topic = format!("{task}/{number}");
        let message = Publish::new(TopicName::new(topic.clone()).unwrap(), vec![task as u8; 300]);
        let answer = client.publish(message).await;
        let well = answer.is_ok();
        answers.borrow_mut().insert(topic, (answer, disk.moment()));
        // Until the disk is well again, and everybody has seen that.
        if number >= EACH && stop.get() && well {
            return;
        }
        tokio::time::sleep(Duration::from_millis(if well { 1 } else { 20 })).await;
    }
}

/// Topics that wait in a store's outbox.
fn waiting(path: &Path) -> BTreeMap<String, MessageId> {
    let reader = Reader::open(path).unwrap();
    let (mut found, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = reader.outbox(after, 500).unwrap();
        let Some(last) = page.last() else { return found };
        after = last.id.number();
        for entry in page {
            assert!(found.insert(entry.topic.to_string(), entry.id).is_none(), "{} is there twice", entry.topic);
        }
    }
}

async fn run(trouble: Trouble, mut rng: Rng) {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).close().unwrap();
    let disk = Rc::new(Disk::watch(folder.path()).unwrap());
    disk.record().unwrap();
    let client = Homing::open(options(&path(&folder))).await.unwrap();
    let answers = Rc::new(RefCell::new(Answers::new()));
    let stop = Rc::new(Cell::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (client, disk, answers, stop) =
                (client.clone(), Rc::clone(&disk), Rc::clone(&answers), Rc::clone(&stop));
            tokio::task::spawn_local(async move { publish(client, &disk, task, &answers, &stop).await })
        })
        .collect();
    sabotage(&disk, trouble, &mut rng, &answers).await;
    stop.set(true);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(client.metrics().commit_failures > 0);
    client.close(Duration::from_secs(5)).await.unwrap();
    let (log, answers) = (disk.recorded(), answers.take());

    let found = waiting(&path(&folder));
    let mut counts = BTreeMap::new();
    for (topic, (answer, _)) in &answers {
        let word = match answer {
            Ok(id) => {
                assert_eq!(found.get(topic), Some(id), "{topic} was accepted");
                "accepted"
            }
            Err(PublishError::Unknown) => "unknown",
            Err(PublishError::Storage { .. } | PublishError::StorageFull { .. }) => {
                assert!(!found.contains_key(topic), "{topic} was refused");
                "refused"
            }
            Err(other) => panic!("{topic}: {other}"),
        };
        *counts.entry(word).or_insert(0) += 1;
    }
    say(&format!("client on a disk with {trouble:?}: {counts:?}, {:?}", disk.counts()));

    // What was accepted stays, with its id, and the next id is a new one.
    let client = Homing::open(options(&path(&folder))).await.unwrap();
    for (_, (answer, _)) in answers.iter().filter(|(_, (answer, _))| answer.is_ok()).step_by(7) {
        assert_eq!(client.fate(*answer.as_ref().unwrap()).await.unwrap(), Fate::Waiting);
    }
    let next = client.publish(Publish::new(TopicName::new("next").unwrap(), "")).await.unwrap();
    assert!(found.values().all(|id| *id < next));
    client.close(Duration::from_secs(5)).await.unwrap();

    for image in log.crash_images(rng.u64(..), 40) {
        let folder = tempfile::tempdir().unwrap();
        image.write_to(folder.path()).unwrap();
        let found = waiting(&path(&folder));
        for (topic, (answer, moment)) in &answers {
            if let Ok(id) = answer
                && *moment <= image.moment
            {
                assert_eq!(found.get(topic), Some(id), "{topic} was accepted before the power cut");
            }
        }
    }
}

fn block_on(test: &str, trouble: Trouble) {
    let rng = dice(test);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let bounded = async { tokio::time::timeout(BOUND, run(trouble, rng)).await };
    local.block_on(&runtime, bounded).unwrap();
}

#[test]
fn p1_an_accepted_publish_is_there_and_a_refused_one_is_not_on_a_disk_with_errors() {
    block_on("client, EIO", Trouble::Io);
}

#[test]
fn p10_an_accepted_publish_is_there_and_a_refused_one_is_not_on_a_full_disk() {
    block_on("client, full disk", Trouble::Full);
}

#[test]
fn p9_an_end_whose_commit_failed_and_yet_happened_is_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::watch(folder.path()).unwrap();
        let client = Homing::open(options(&path(&folder))).await.unwrap();
        let mut events = client.events();
        let message = || Publish::new(TopicName::new("light").unwrap(), "on");
        let id = client.publish(message()).await.unwrap();
        disk.fail(Op::Sync, 1, Trouble::Io, Lasts::Once);
        assert_eq!(client.cancel(id).await, Ok(Cancel::Cancelled));
        assert_eq!(client.fate(id).await, Ok(Fate::Cancelled));
        assert_eq!(client.metrics().commit_failures, 1);
        loop {
            if let Event::Settled(ends) = events.next().await.unwrap() {
                assert_eq!(*ends, [(id, Fate::Cancelled)]);
                break;
            }
        }
        client.close(Duration::from_secs(5)).await.unwrap();
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await }).unwrap();
}
