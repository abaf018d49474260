//! A child process: `homing pipe` with a store of its own. What it says is kept across its lives.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::exit::Failure;

/// Longest wait for any step; a loaded machine needs a part of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What a device has said on its stdout, all its lives together.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) connected: bool,
    pub(super) subscribed: bool,
    /// Numbers of the messages it has accepted: on its disk.
    pub(super) accepted: HashSet<u64>,
    /// How many verdicts `delivered`, and any other.
    pub(super) delivered: u64,
    pub(super) other_verdicts: u64,
    /// Numbers of the messages it has received.
    pub(super) numbers: HashSet<u64>,
    /// All numbers below this were received.
    pub(super) complete: u64,
    seqs: HashSet<u64>,
    /// Messages shown again after a kill, under the same sequence number.
    pub(super) shown_again: u64,
    pub(super) alarms: u64,
    pub(super) errors: Vec<String>,
}

impl Heard {
    fn line(&mut self, line: &str) {
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            self.errors.push(line.to_owned());
            return;
        };
        match said["event"].as_str() {
            Some("accepted") => {
                self.accepted.extend(said["ref"].as_str().and_then(|number| number.parse::<u64>().ok()));
            }
            Some("verdict") if said["outcome"] == "delivered" => self.delivered += 1,
            Some("verdict") => self.other_verdicts += 1,
            Some("message") => self.message(&said),
            Some("connection") => self.connected = said["state"] == "connected",
            Some("subscribed") => self.subscribed = true,
            Some("error") => self.errors.push(line.to_owned()),
            _ => {}
        }
    }

    fn message(&mut self, said: &Value) {
        if !said["seq"].as_u64().is_some_and(|seq| self.seqs.insert(seq)) {
            self.shown_again += 1;
        }
        if said["topic"].as_str().is_some_and(|topic| topic.starts_with("home/alert/")) {
            self.alarms += 1;
        }
        self.numbers.extend(said["payload"].as_str().and_then(number));
        while self.numbers.contains(&self.complete) {
            self.complete += 1;
        }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = if self.connected { "connected" } else { "not connected" };
        let Self { delivered, other_verdicts, complete, alarms, .. } = self;
        let (accepted, received) = (self.accepted.len(), self.numbers.len());
        write!(f, "{connected}, {accepted} accepted, {delivered} delivered, {other_verdicts} otherwise ended, ")?;
        write!(f, "{received} received, all below {complete}, {alarms} alarms")?;
        self.errors.last().map_or(Ok(()), |error| write!(f, "; it said: {error}"))
    }
}

/// The running number in a payload.
pub(super) fn number(payload: &str) -> Option<u64> {
    serde_json::from_str::<Value>(payload).ok()?["n"].as_u64()
}

pub(super) struct Device {
    name: &'static str,
    args: Vec<String>,
    folder: PathBuf,
    heard: watch::Sender<Heard>,
    life: Option<Life>,
}

struct Life {
    child: Child,
    stdin: Option<ChildStdin>,
    listening: JoinHandle<()>,
}

impl Device {
    /// Not yet started.
    pub(super) fn new(name: &'static str, folder: &Path) -> Self {
        Self { name, args: Vec::new(), folder: folder.to_owned(), heard: watch::Sender::default(), life: None }
    }

    /// What `homing pipe` is started with.
    pub(super) fn configure(&mut self, broker: SocketAddr, extra: Vec<String>) {
        let store = self.store().display().to_string();
        let broker = format!("mqtt://{broker}");
        let client_id = format!("demo-{}", self.name);
        let fixed =
            ["pipe", "-q", "2", "--auto-done", "--store", &store, "--broker", &broker, "--client-id", &client_id];
        self.args = fixed.into_iter().map(str::to_owned).chain(extra).collect();
    }

    pub(super) fn store(&self) -> PathBuf {
        self.folder.join(format!("{}.db", self.name))
    }

    /// A closure and not a guard: two guards in one expression are a deadlock as soon as a line comes in between.
    pub(super) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.borrow())
    }

    pub(super) fn pid(&self) -> u32 {
        self.life.as_ref().and_then(|life| life.child.id()).unwrap_or_default()
    }

    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let mut child = own_command(&self.folder, self.name)?
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::failed(format_args!("{} does not start: {error}", self.name)))?;
        self.heard.send_modify(|heard| heard.connected = false);
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| Failure::failed("a child without stdout"))?;
        let listening = tokio::spawn(listen(stdout, self.heard.clone()));
        self.life = Some(Life { child, stdin, listening });
        Ok(())
    }

    /// Who else wants to write to it. From then on `send` fails.
    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.life.as_mut()?.stdin.take()
    }

    pub(super) async fn send(&mut self, lines: &str) -> Result<(), Failure> {
        let stdin = self.life.as_mut().and_then(|life| life.stdin.as_mut());
        let stdin = stdin.ok_or_else(|| Failure::failed(format_args!("{} is not running", self.name)))?;
        let written = timeout(PATIENCE, stdin.write_all(lines.as_bytes())).await;
        written.map_err(|_| Failure::failed(format_args!("{} does not read its stdin", self.name)))??;
        Ok(stdin.flush().await?)
    }

    /// Waits until what it said fulfils a condition.
    pub(super) async fn until(&self, what: &str, met: impl FnMut(&Heard) -> bool) -> Result<(), Failure> {
        match timeout(PATIENCE, self.heard.subscribe().wait_for(met)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failure::failed(format_args!(
                "{what}: not within {} s; the {} is {}",
                PATIENCE.as_secs(),
                self.name,
                self.heard(ToString::to_string)
            ))),
        }
    }

    /// SIGKILL; returns once it is gone and its last words are heard. Nothing happens if it is not running.
    pub(super) async fn kill(&mut self) {
        if let Some(mut life) = self.life.take() {
            // Fails only if it has ended already.
            let _ = life.child.kill().await;
            let _ = life.listening.await;
            self.heard.send_modify(|heard| heard.connected = false);
        }
    }

    /// Ends it in order by the end of its stdin; by force if it takes too long.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(life) = self.life.as_mut() else { return Ok(()) };
        life.stdin = None;
        let ended = timeout(PATIENCE, life.child.wait()).await;
        self.kill().await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Failure::failed(format_args!("{} ended with {status}", self.name))),
            _ => Err(Failure::failed(format_args!("{} did not end with its stdin", self.name))),
        }
    }
}

async fn listen(stdout: ChildStdout, heard: watch::Sender<Heard>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        heard.send_modify(|heard| heard.line(&line));
    }
}

/// This very program, without the user's own settings; its stderr goes to a file in `folder`.
pub(super) fn own_command(folder: &Path, name: &str) -> Result<Command, Failure> {
    let log: File = OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.log")))?;
    let mut command = Command::new(std::env::current_exe()?);
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOMING_")) {
        command.env_remove(variable);
    }
    command.stderr(log).kill_on_drop(true);
    Ok(command)
}
