//! An independent eye: mosquitto's own clients publish and receive numbers, and what arrived is compared with what had to.
//!
//! They share no line with Homing, so a fault that a codec makes twice, once each way, is still seen.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::mosquitto::wait;

/// The payload that `Observer::until_end` waits for.
const END: &str = "end";

/// How long a helper's step may take; it only bounds a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A persistent subscriber. What comes while nobody collects waits in the broker's session for it.
#[derive(Debug)]
pub struct Observer {
    port: u16,
    client_id: String,
    filter: String,
}

impl Observer {
    /// Makes the session and its subscription, QoS 2; they are in force when this returns.
    pub fn subscribe(port: u16, client_id: &str, filter: &str) -> Self {
        let observer = Self { port, client_id: client_id.to_owned(), filter: filter.to_owned() };
        let mut child = observer.client().arg("-E").stdout(Stdio::null()).spawn().expect("mosquitto_sub starts");
        let status = wait(&mut child, PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "mosquitto_sub could not subscribe: {status:?}");
        observer
    }

    /// Begins to collect. A session in 3.1.1 with QoS 2, so that the broker keeps everything in between.
    pub fn collect(&self) -> Collector {
        let mut child =
            self.client().args(["-F", "%t %p"]).stdout(Stdio::piped()).spawn().expect("mosquitto_sub starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Collector { child, lines, seen: Vec::new() }
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mosquitto_sub");
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-V", "311"])
            .args(["-q", "2", "-c", "-i", &self.client_id, "-t", &self.filter])
            .stdin(Stdio::null());
        command
    }
}

/// A running subscriber and what it has seen so far.
#[derive(Debug)]
pub struct Collector {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<(String, String)>,
}

impl Collector {
    /// Collects until the payload `end` comes (`Publisher::end` sends it), and returns all before it as topic and number, in order of arrival.
    pub fn until_end(mut self, patience: Duration) -> Vec<(String, u64)> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let (topic, payload) = line.split_once(' ').expect("topic and payload");
                    if payload == END {
                        break;
                    }
                    self.seen.push((topic.to_owned(), payload.to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the observer saw {} messages and no end in {patience:?}", self.seen.len())
                }
                Err(RecvTimeoutError::Disconnected) => panic!("mosquitto_sub ended after {} messages", self.seen.len()),
            }
        }
        let seen = std::mem::take(&mut self.seen);
        seen.into_iter()
            .map(|(topic, payload)| {
                let number =
                    payload.parse().unwrap_or_else(|_| panic!("{topic}: the payload {payload:?} is no number"));
                (topic, number)
            })
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes numbers, one after another, on one topic.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
    input: Option<ChildStdin>,
}

impl Publisher {
    /// Starts one with this QoS.
    pub fn start(port: u16, topic: &str, qos: u8) -> Self {
        let mut child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic, "-q", &qos.to_string(), "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub starts");
        let input = child.stdin.take();
        Self { child, input }
    }

    /// Publishes these numbers.
    pub fn numbers(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let text: String = numbers.into_iter().map(|number| format!("{number}\n")).collect();
        self.input.as_mut().expect("not finished").write_all(text.as_bytes()).expect("write to mosquitto_pub");
    }

    /// The same, each with so many digits: a number with zeros before it is still that number.
    pub fn wide_numbers(&mut self, numbers: impl IntoIterator<Item = u64>, digits: usize) {
        let text: String = numbers.into_iter().map(|number| format!("{number:0>digits$}\n")).collect();
        self.input.as_mut().expect("not finished").write_all(text.as_bytes()).expect("write to mosquitto_pub");
    }

    /// Returns when the broker has acknowledged everything.
    pub fn finish(mut self) {
        drop(self.input.take());
        let status = wait(&mut self.child, PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "mosquitto_pub did not end in order: {status:?}");
    }

    /// Publishes what `Collector::until_end` waits for. With the QoS of the numbers nothing that was published before can
    /// come after it; with another one mosquitto 2.0.11 lets QoS 1 overtake 1,000 queued messages of QoS 2 (measured).
    pub fn end(port: u16, topic: &str, qos: u8) {
        let status = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic, "-q", &qos.to_string(), "-m", END])
            .stdin(Stdio::null())
            .status()
            .expect("mosquitto_pub starts");
        assert!(status.success(), "mosquitto_pub could not publish the end: {status}");
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What became of a numbered stream. Numbers rise in the order in which they were published.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Arrivals, doubles included.
    pub arrived: usize,
    /// Numbers that had to arrive and did not.
    pub lost: Vec<u64>,
    /// Numbers that arrived again, once for each time.
    pub doubled: Vec<u64>,
    /// A number whose first arrival came after that of a higher one, and that higher one.
    pub unordered: Vec<(u64, u64)>,
    /// Numbers that nobody published.
    pub strangers: Vec<u64>,
}

impl fmt::Debug for Findings {
    /// Counts and the first few: a stream that went wrong went wrong by thousands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn few<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, name: &str, all: &[T]) -> fmt::Result {
            write!(f, ", {} {name}", all.len())?;
            if all.is_empty() { Ok(()) } else { write!(f, " {:?}", &all[..all.len().min(8)]) }
        }
        write!(f, "{} arrived", self.arrived)?;
        few(f, "lost", &self.lost)?;
        few(f, "doubled", &self.doubled)?;
        few(f, "unordered", &self.unordered)?;
        few(f, "strangers", &self.strangers)
    }
}

/// Compares what was seen, in order of arrival, with what had to come and what could come.
pub fn examine(seen: &[u64], wanted: impl IntoIterator<Item = u64>, possible: impl Fn(u64) -> bool) -> Findings {
    let mut times: HashMap<u64, usize> = HashMap::with_capacity(seen.len());
    let mut findings = Findings { arrived: seen.len(), ..Findings::default() };
    let mut highest = None;
    for &number in seen {
        let count = times.entry(number).or_default();
        *count += 1;
        if *count > 1 {
            findings.doubled.push(number);
            continue;
        }
        if !possible(number) {
            findings.strangers.push(number);
        }
        match highest {
            Some(before) if number < before => findings.unordered.push((number, before)),
            _ => highest = Some(number),
        }
    }
    let there: HashSet<u64> = times.into_keys().collect();
    findings.lost = wanted.into_iter().filter(|number| !there.contains(number)).collect();
    findings
}
