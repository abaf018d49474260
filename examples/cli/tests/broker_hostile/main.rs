//! A hostile broker against the real binary: every name carries its clause of MQTT 5.0, or of 3.1.1 where it ends in `v3`.
#![allow(clippy::expect_used, reason = "a failing helper is a failing test")]

mod acknowledgements;
mod connecting;
mod incoming;
mod limits;
mod malformed;
mod resuming;
mod subscribing;

use homing_testkit::process::{Event, Homing, Pipe};
use homing_testkit::script_broker::{PATIENCE, ScriptBroker};
use tempfile::TempDir;

/// A broker that listens, and a client with a new store that knows it.
struct Stage {
    broker: ScriptBroker,
    homing: Homing,
    _folder: TempDir,
}

impl Stage {
    /// For a client that speaks this version: 3, 5 or auto.
    fn new(mqtt: &str) -> Self {
        let broker = ScriptBroker::listen();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let homing = Homing::new(env!("CARGO_BIN_EXE_homing"), &folder.path().join("store.db"))
            .flag("--broker", broker.url())
            .flag("--client-id", "home")
            .flag("--mqtt", mqtt);
        Self { broker, homing, _folder: folder }
    }

    /// Starts `homing pipe` with nothing to receive.
    fn pipe(&self) -> Pipe {
        self.homing.pipe([""; 0])
    }

    /// The fate that the store gives for an id.
    fn fate(&self, id: u64) -> String {
        let answer = self.homing.json(["verdict", &id.to_string(), "--json"]).remove(0);
        answer["outcome"].as_str().expect("an outcome").to_owned()
    }
}

/// The id that number `number` was accepted under.
fn accepted(pipe: &mut Pipe, number: u64) -> u64 {
    pipe.until(PATIENCE, "accepted", |event| match event {
        Event::Accepted { r#ref, id } if r#ref.as_deref() == Some(&number.to_string()) => Some(*id),
        _ => None,
    })
}

/// The verdict on an id, in words: `delivered`, `delivered maybe_twice`, `refused 0x87 not authorized`.
fn verdict(pipe: &mut Pipe, wanted: u64) -> String {
    pipe.until(PATIENCE, "verdict", |event| match event {
        Event::Verdict { id, outcome, reason, maybe_twice, maybe_lost, downgraded } if *id == wanted => {
            let mut words = vec![outcome.as_str()];
            words.extend(maybe_twice.then_some("maybe_twice"));
            words.extend(maybe_lost.then_some("maybe_lost"));
            words.extend(downgraded.then_some("downgraded"));
            words.extend(reason.as_deref());
            Some(words.join(" "))
        }
        _ => None,
    })
}

/// The payload of the next message that is printed.
fn message(pipe: &mut Pipe) -> String {
    pipe.until(PATIENCE, "message", |event| match event {
        Event::Message(message) => Some(message.payload.clone().expect("text")),
        _ => None,
    })
}

/// Waits until the connection's state is this one; returns its reason, or nothing, and the wait that it names.
fn state(pipe: &mut Pipe, wanted: &str) -> (String, u64) {
    pipe.until(PATIENCE, wanted, |event| match event {
        Event::Connection { state, reason, retry_in_ms, .. } if state == wanted => {
            Some((reason.clone().unwrap_or_default(), retry_in_ms.unwrap_or_default()))
        }
        _ => None,
    })
}
