//! Messages left by other processes, with real processes and SIGKILL: each stands in the outbox once, in order (P1, P11).
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use homing::{Event, Homing, Limit, Mailbox, OpenError, Options, Publish, PublishError, Reader, TopicName};

/// What this binary is to do when it is started as a helper, and in which store.
const ROLE: &str = "MAILBOX_TEST_ROLE";
const STORE: &str = "MAILBOX_TEST_STORE";

fn helper(role: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_process", "--nocapture"])
        .env(ROLE, role)
        .env(STORE, store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: what the helpers run.
#[test]
fn helper_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let store = PathBuf::from(std::env::var_os(STORE).unwrap());
    match role.as_str() {
        "drive" => block(async {
            let _client = loop {
                match Homing::open(offline(&store)).await {
                    Ok(client) => break client,
                    Err(OpenError::StoreInUse { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            };
            std::future::pending::<()>().await;
        }),
        "post" => {
            let mailbox = Mailbox::open(&store).unwrap();
            (0..200).for_each(|n| mailbox.post(message(n)).unwrap());
        }
        other => panic!("{other}"),
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn offline(store: &Path) -> Options {
    let mut options = Options::new(store);
    options.connect = false;
    options
}

fn message(n: u32) -> Publish {
    Publish::new(TopicName::new(format!("left/{n}")).unwrap(), n.to_string())
}

fn made(folder: &Path) -> PathBuf {
    let store = folder.join("s.db");
    block(async { Homing::open(offline(&store)).await.unwrap().close(Duration::from_secs(5)).await.unwrap() });
    store
}

/// Topics of the outbox, in order.
fn outbox(store: &Path) -> Vec<String> {
    let reader = Reader::open(store).unwrap();
    let (mut after, mut topics) = (0, Vec::new());
    loop {
        let page = reader.outbox(after, 500).unwrap();
        let Some(last) = page.last() else { return topics };
        after = last.id.number();
        topics.extend(page.iter().map(|entry| entry.topic.to_string()));
    }
}

fn until(what: &str, wanted: impl Fn() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn p1_p11_each_message_stands_in_the_outbox_once_whoever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path());
    let mut poster = helper("post", &store);
    let mut kills = 0;
    // While it posts, drivers come and are killed at moments of their own.
    while poster.try_wait().unwrap().is_none() {
        let mut driver = helper("drive", &store);
        std::thread::sleep(Duration::from_millis(20 + 17 * (kills % 7)));
        driver.kill().unwrap();
        driver.wait().unwrap();
        kills += 1;
    }
    assert!(poster.wait().unwrap().success(), "posting waits for a driver's commit, and never fails for it");
    let mut driver = helper("drive", &store);
    let expected: Vec<String> = (0..200).map(|n| format!("left/{n}")).collect();
    until("all are taken", || outbox(&store).len() >= expected.len());
    driver.kill().unwrap();
    driver.wait().unwrap();
    assert_eq!(outbox(&store), expected, "after {kills} kills");
}

#[test]
fn a_running_driver_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path());
    block(async {
        let client = Homing::open(offline(&store)).await.unwrap();
        let mailbox = Mailbox::open(&store).unwrap();
        for n in 0..3 {
            // The driver has nothing else to do.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let begun = Instant::now();
            mailbox.post(message(n)).unwrap();
            until("woken", || outbox(&store).len() > n as usize);
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        }
        client.close(Duration::from_secs(5)).await.unwrap();
        assert!(!folder.path().join("s.db-wake").exists());
    });
}

#[test]
fn where_no_socket_can_stand_it_is_looked_into_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a-name-of-many-letters".repeat(6));
    std::fs::create_dir(&deep).unwrap();
    let store = made(&deep);
    block(async {
        let _client = Homing::open(offline(&store)).await.unwrap();
        assert!(!deep.join("s.db-wake").exists());
        Mailbox::open(&store).unwrap().post(message(0)).unwrap();
        until("looked", || outbox(&store).len() == 1);
    });
}

#[test]
fn a_pause_leaves_them_and_resume_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path());
    block(async {
        let client = Homing::open(offline(&store)).await.unwrap();
        client.pause(Duration::ZERO).await.unwrap();
        let mailbox = Mailbox::open(&store).unwrap();
        mailbox.post(message(0)).unwrap();
        assert_eq!(outbox(&store), [] as [String; 0]);
        client.resume().await.unwrap();
        until("taken", || outbox(&store).len() == 1);
    });
}

#[test]
fn what_publish_refuses_is_refused_and_no_store_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("none.db");
    assert!(matches!(Mailbox::open(&nothing), Err(OpenError::StoreUnavailable { .. })));
    assert!(!nothing.exists());
    let store = made(folder.path());
    let mailbox = Mailbox::open(&store).unwrap();
    assert!(matches!(mailbox.post(message(0).ttl(Duration::ZERO)), Err(PublishError::Ttl { .. })));
    let large = Publish::new(TopicName::new("a").unwrap(), vec![0; (16 << 20) + 1]);
    assert!(matches!(mailbox.post(large), Err(PublishError::PayloadTooLarge { .. })));
    // Four of 15 MiB are within 64 MiB, the fifth is not.
    for _ in 0..4 {
        mailbox.post(Publish::new(TopicName::new("a").unwrap(), vec![0; 15 << 20])).unwrap();
    }
    let fifth = mailbox.post(Publish::new(TopicName::new("a").unwrap(), vec![0; 15 << 20]));
    assert!(matches!(fifth, Err(PublishError::MailboxFull { unit: "bytes", .. })), "{fifth:?}");
}

#[test]
fn it_holds_ten_thousand() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path());
    let connection = rusqlite::Connection::open(&store).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO mailbox (request, at_ms) SELECT x'00', 0 FROM n",
        )
        .unwrap();
    drop(connection);
    let full = Mailbox::open(&store).unwrap().post(message(0));
    assert_eq!(full, Err(PublishError::MailboxFull { limit: 10_000, unit: "messages" }));
}

#[test]
fn what_cannot_be_read_is_removed_with_a_warning_and_the_next_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path());
    block(async {
        let client = Homing::open(offline(&store)).await.unwrap();
        let mut events = client.events();
        let connection = rusqlite::Connection::open(&store).unwrap();
        connection.execute("INSERT INTO mailbox (request, at_ms) VALUES (x'ff00', 0)", []).unwrap();
        Mailbox::open(&store).unwrap().post(message(1)).unwrap();
        while !matches!(events.next().await.unwrap(), Event::Warning { code: "mailbox", .. }) {}
        until("taken", || outbox(&store) == ["left/1"]);
        let left: i64 = connection.query_row("SELECT count(*) FROM mailbox", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn what_finds_no_room_waits_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path());
    let mailbox = Mailbox::open(&store).unwrap();
    (0..5).for_each(|n| mailbox.post(message(n).ttl(Duration::from_secs(if n == 0 { 2 } else { 600 }))).unwrap());
    block(async {
        let mut options = offline(&store);
        options.outbox_limit = Limit { messages: 3, bytes: 1 << 20 };
        let _client = Homing::open(options).await.unwrap();
        until("three are taken", || outbox(&store) == ["left/0", "left/1", "left/2"]);
        // The first one expires: its time to live counts from when it was left.
        until("the fourth is taken", || outbox(&store) == ["left/1", "left/2", "left/3"]);
    });
}
