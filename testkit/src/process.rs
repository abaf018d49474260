//! The real `homing` binary as a process: operations in, events out, and SIGKILL at any moment.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{mosquitto, tail};

/// How the binary is called: which file, and the flags that every call of a test has.
#[derive(Debug, Clone)]
pub struct Homing {
    program: PathBuf,
    flags: Vec<String>,
}

impl Homing {
    /// `program` is `env!("CARGO_BIN_EXE_homing")` of the test.
    pub fn new(program: impl Into<PathBuf>, store: &Path) -> Self {
        Self { program: program.into(), flags: vec!["--store".into(), store.display().to_string()] }
    }

    /// With a further flag and its value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl ToString) -> Self {
        self.flags.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// Runs another command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("homing starts")
    }

    /// The same, with a file as its stdin.
    pub fn run_with<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, stdin: &Path) -> Output {
        let stdin = std::fs::File::open(stdin).expect("the file for stdin");
        self.command(arguments).stdin(stdin).output().expect("homing starts")
    }

    /// Runs a command that must succeed and print one JSON object a line.
    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<Value> {
        let mut values = Vec::new();
        self.each_json(arguments, |value| values.push(value));
        values
    }

    /// The same, one object at a time: an inbox may hold a million of them.
    pub fn each_json<S, T>(&self, arguments: impl IntoIterator<Item = S>, mut each: impl FnMut(T))
    where
        S: AsRef<OsStr>,
        T: serde::de::DeserializeOwned,
    {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("homing starts");
        for line in BufReader::new(child.stdout.take().expect("stdout")).lines() {
            let line = line.expect("UTF-8");
            each(
                serde_json::from_str(&line).unwrap_or_else(|problem| panic!("outside the contract: {problem}: {line}")),
            );
        }
        let status = child.wait().expect("the end of homing");
        assert!(status.success(), "{command:?}: {status}");
    }

    /// Starts `homing pipe`.
    pub fn pipe<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Pipe {
        let mut command = self.command(["pipe"]);
        command.args(arguments);
        Pipe::spawn(command)
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        // The tests' own settings are named HOMING_* too; the binary must not see them.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOMING_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).args(&self.flags);
        command
    }
}

/// A line of `homing pipe`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are those of the command line's own description")]
pub enum Event {
    Accepted {
        r#ref: Option<String>,
        id: u64,
    },
    Verdict {
        id: u64,
        outcome: String,
        reason: Option<String>,
        #[serde(default)]
        maybe_twice: bool,
        #[serde(default)]
        maybe_lost: bool,
        #[serde(default)]
        downgraded: bool,
    },
    Message(Received),
    Connection {
        state: String,
        session_present: Option<bool>,
        retry_in_ms: Option<u64>,
        reason: Option<String>,
    },
    SessionLost {
        at: String,
    },
    Gap {
        filters: Vec<String>,
        from: String,
        to: Option<String>,
        why: String,
    },
    Skipped {
        consumer: String,
        from: u64,
        through: u64,
        messages: u64,
    },
    Subscribed {
        filter: String,
        qos: u8,
    },
    Unsubscribed {
        filter: String,
    },
    Status(Value),
    Flushed {
        drained: bool,
    },
    Error {
        r#ref: Option<String>,
        code: String,
        message: String,
    },
}

/// A received message, as `pipe`, `sub` and `inbox` print it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the command line's own description")]
pub struct Received {
    pub seq: u64,
    pub topic: String,
    pub payload: Option<String>,
    pub payload_base64: String,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub received_at: String,
}

/// Why there is no next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEvent {
    /// The deadline has passed.
    TimedOut,
    /// Its output has ended, and all of it was read.
    Ended,
}

/// A running `homing pipe`. Dropping it kills the process; its stderr is printed if the test is failing.
#[derive(Debug)]
pub struct Pipe {
    child: Child,
    input: Option<Sender<String>>,
    events: Receiver<String>,
    errors: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|problem| panic!("{command:?} does not start: {problem}"));
        let (input, lines) = channel::<String>();
        let mut stdin = child.stdin.take().expect("stdin");
        // Threads of their own, or a process that stops reading while it writes would hang the test.
        thread::spawn(move || lines.into_iter().try_for_each(|text| stdin.write_all(text.as_bytes())));
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let (sender, events) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            // A line without its end is what a kill has left of a write: nobody was told anything by it.
            while stdout.read_line(&mut line).is_ok() && line.ends_with('\n') {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr"));
        let errors = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&errors);
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            while stderr.by_ref().take(65_536).read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                kept.lock().expect("stderr").push_str(&String::from_utf8_lossy(&bytes));
                bytes.clear();
            }
        });
        Self { child, input: Some(input), events, errors, reader: Some(reader) }
    }

    /// Queues an operation; never waits. It is lost if the process is gone before it reads the line.
    pub fn send(&self, operation: &Value) {
        self.raw(format!("{operation}\n"));
    }

    /// Queues bytes as they are.
    pub fn raw(&self, text: String) {
        // A dead process shows at the next event; there is nothing to do about it here.
        let _ = self.input.as_ref().expect("stdin is open").send(text);
    }

    /// Queues a publish; `reference` comes back with its answer.
    pub fn publish(&self, reference: impl ToString, topic: &str, payload: impl ToString, qos: u8) {
        let (reference, payload) = (reference.to_string(), payload.to_string());
        self.send(&json!({"op": "publish", "ref": reference, "topic": topic, "payload": payload, "qos": qos}));
    }

    /// Queues numbered publishes: number n has the reference and the payload n.
    pub fn publish_numbers(&self, topic: &str, numbers: impl IntoIterator<Item = u64>, qos: u8) {
        let line =
            |n| json!({"op": "publish", "ref": format!("{n}"), "topic": topic, "payload": format!("{n}"), "qos": qos});
        self.raw(numbers.into_iter().map(|n| format!("{}\n", line(n))).collect());
    }

    /// Queues the end of its stdin, behind everything queued before.
    pub fn close_stdin(&mut self) {
        self.input = None;
    }

    /// The next event, at most this much later.
    pub fn next(&mut self, patience: Duration) -> Result<Event, NoEvent> {
        let line = self.events.recv_timeout(patience).map_err(|problem| match problem {
            RecvTimeoutError::Timeout => NoEvent::TimedOut,
            RecvTimeoutError::Disconnected => NoEvent::Ended,
        })?;
        Ok(serde_json::from_str(&line)
            .unwrap_or_else(|problem| panic!("a line outside the contract: {problem}: {line}")))
    }

    /// The first event that `wanted` turns into something; those before it are dropped.
    pub fn until<T>(&mut self, patience: Duration, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        let mut last = None;
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                    last = Some(event);
                }
                Err(why) => panic!("no {what} within {patience:?}: {why:?}; the last event was {last:?}"),
            }
        }
    }

    /// Waits for `connected`; returns whether the broker still had the session.
    pub fn connected(&mut self, patience: Duration) -> bool {
        self.until(patience, "connection", |event| match event {
            Event::Connection { state, session_present, .. } if state == "connected" => *session_present,
            _ => None,
        })
    }

    /// Waits for the grant of a subscription.
    pub fn subscribed(&mut self, filter: &str, patience: Duration) -> u8 {
        self.until(patience, "subscribed", |event| match event {
            Event::Subscribed { filter: granted, qos } if granted == filter => Some(*qos),
            _ => None,
        })
    }

    /// SIGKILL, and the end of the process. Lines that it had written are still there to be read.
    pub fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("the end of homing");
    }

    /// Another signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to homing");
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All events to the end of its output, and how it ended.
    pub fn finish(&mut self, patience: Duration) -> (Vec<Event>, ExitStatus) {
        let deadline = Instant::now() + patience;
        let mut events = Vec::new();
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => events.push(event),
                Err(NoEvent::Ended) => break,
                Err(NoEvent::TimedOut) => {
                    panic!("homing has not ended after {patience:?}; the last event was {:?}", events.last())
                }
            }
        }
        let status =
            mosquitto::wait(&mut self.child, Duration::from_secs(10)).expect("homing ended its output and lives on");
        (events, status)
    }

    /// What it has written to stderr so far.
    pub fn errors(&self) -> String {
        self.errors.lock().expect("stderr").clone()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            if let Some(reader) = self.reader.take() {
                let _ = reader.join();
            }
            eprintln!("--- homing pipe, end of its stderr\n{}\n---", tail::of_text(&self.errors(), 60));
        }
    }
}
