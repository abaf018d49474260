//! Wishes that cross each other in one turn, with real sockets: an attempt that is given up in the turn it begins in.

use std::time::Duration;

use super::driver::{broker, connack, nowhere, on, options, run};
use crate::model::event::State;
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Ack, Packet};
use crate::{Farewell, Fate, Homing};

/// Holds the store's write lock: what is asked meanwhile is one turn.
struct Lock(rusqlite::Connection);

impl Lock {
    fn take(folder: &std::path::Path) -> Self {
        let connection = rusqlite::Connection::open(folder.join("store.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    /// For longer than one try for it takes: between two tries commands are gathered.
    async fn hold_and_let_go(self) {
        tokio::time::sleep(2 * crate::client::locked::PATIENCE).await;
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// Whatever crossed: the app asks to be connected, and its message is delivered.
async fn delivers(client: &Homing) {
    let id = client.publish(on()).await.unwrap();
    client.connect().await.unwrap();
    let fate = tokio::time::timeout(Duration::from_secs(5), client.settled(id)).await;
    assert_eq!(fate.expect("the client does not connect any more"), Ok(Fate::DELIVERED));
}

fn polite() -> std::net::SocketAddr {
    let (address, _thread) = broker(100, |_, packet| match packet {
        Packet::Connect(_) => vec![connack(ReasonCode::Success)],
        Packet::Publish(publish) => vec![Packet::PubAck(Ack::ok(publish.pid))],
        _ => Vec::new(),
    });
    address
}

async fn offline(folder: &std::path::Path) -> Homing {
    let mut options = options(folder, polite());
    options.connect = false;
    let client = Homing::open(options).await.unwrap();
    client.publish(on()).await.unwrap();
    client
}

#[test]
fn a_connect_and_a_disconnect_in_one_turn_leave_a_client_that_can_connect() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let client = offline(folder.path()).await;
        let lock = Lock::take(folder.path());
        let (connected, disconnected, ()) =
            tokio::join!(client.connect(), client.disconnect(Farewell::KeepSession), lock.hold_and_let_go());
        connected.unwrap();
        disconnected.unwrap();
        delivers(&client).await;
    });
}

#[test]
fn a_sync_that_ends_in_the_turn_of_an_attempt_leaves_a_client_that_can_connect() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), nowhere());
        options.connect = false;
        options.other_addresses =
            vec![crate::model::broker_url::BrokerUrl::parse(&format!("mqtt://{}", polite())).unwrap()];
        let client = Homing::open(options).await.unwrap();
        for ms in 1..40 {
            client.sync(Duration::from_millis(ms)).await.unwrap();
        }
        assert!(!matches!(client.state().get(), State::Online { .. }));
        delivers(&client).await;
    });
}
