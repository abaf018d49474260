//! Profiles end to end, against stand-ins that check what the services check and cut the link where those do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper is a failing test")]

mod aws;
mod azure;
mod event_grid;
mod tencent;

use std::path::{Path, PathBuf};
use std::time::Duration;

use homing_testkit::certificates::{Authority, Held, Wrong};
use homing_testkit::front::{Front, Wanted};
use homing_testkit::process::{Event, Homing, Pipe};
use homing_testkit::service::{Gate, Rules, Service};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
const PATIENCE: Duration = Duration::from_secs(30);

/// A service, the front before it, and a client that knows it by a configuration file.
struct Stage {
    service: Service,
    homing: Homing,
    folder: TempDir,
    authority: Authority,
    server: Held,
    front: Option<Front>,
    gate: Gate,
}

impl Stage {
    /// With this configuration; the front is put in place after it.
    fn new(rules: impl Rules, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let service = Service::start(rules, &gate);
        let file = folder.path().join("homing.toml");
        std::fs::write(&file, config).unwrap();
        let homing = Homing::new(BINARY, &folder.path().join("store.db")).flag("--config", file.display());
        let authority = Authority::new();
        let server = authority.server(&Wrong::default());
        Self { service, homing, folder, authority, server, front: None, gate }
    }

    /// Without TLS.
    fn plain(mut self) -> Self {
        self.homing = self.homing.flag("--broker", format!("mqtt://{}", self.service.address()));
        self
    }

    /// Behind a front.
    fn behind(mut self, scheme: &str, wanted: impl FnOnce(&Self) -> Wanted<'_>) -> Self {
        let front = Front::start(self.service.address(), &wanted(&self));
        self.gate.is(front.greetings());
        let path = if scheme == "wss" { "/mqtt" } else { "" };
        self.homing = self.homing.flag("--broker", format!("{}{path}", front.url(scheme)));
        self.homing = self.homing.flag("--tls-ca", self.authority.file.display());
        self.front = Some(front);
        self
    }

    fn tls(&self) -> Wanted<'_> {
        Wanted { server: &self.server, clients: None, alpn: &[], websocket: None }
    }

    /// Runs a command that must fail with status 1 before anything is stored; what it says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.homing.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        if self.store().exists() {
            let status = self.homing.json(["status", "--json"]).remove(0);
            assert_eq!(status["outbox"]["waiting"], 0, "{arguments:?}: {status}");
        }
        said
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// All that the client prints, logs and stores holds none of these.
    fn keeps_secret(&self, secrets: &[&str], publish: &[&str]) {
        let mut said = Vec::new();
        for arguments in [
            &[publish, &["-vvv", "--wait", "delivered", "--json"]].concat()[..],
            &["sync", "-vvv", "--deadline", "15s"],
            &["status", "--json", "-vvv"],
            &["doctor", "--json"],
            &["export", "--json"],
            &["outbox", "--json"],
            &["pub", "--help"],
        ] {
            let output = self.homing.run(arguments);
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            said.extend([output.stdout, output.stderr].concat());
        }
        let logged = String::from_utf8_lossy(&said).contains("INFO homing::client");
        assert!(logged, "it did log: {}", String::from_utf8_lossy(&said));
        for file in std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path()) {
            if file.is_file() && file.extension().is_none_or(|extension| extension != "toml") && !is_input(&file) {
                said.extend(std::fs::read(file).unwrap());
            }
        }
        for secret in secrets {
            let holds = said.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!holds, "{secret} in {}", String::from_utf8_lossy(&said));
        }
    }
}

/// What a test has given the client to read.
fn is_input(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("input"))
}

/// Everything that was accepted has the verdict `delivered`.
fn delivered(pipe: &mut Pipe, mut count: usize) {
    while count > 0 {
        pipe.until(PATIENCE, "verdict", |event| match event {
            Event::Verdict { outcome, reason, .. } => {
                assert_eq!(outcome, "delivered", "{reason:?}");
                Some(())
            }
            _ => None,
        });
        count -= 1;
    }
}

/// The next message.
fn message(pipe: &mut Pipe) -> String {
    pipe.until(PATIENCE, "message", |event| match event {
        Event::Message(message) => message.payload.clone(),
        _ => None,
    })
}
