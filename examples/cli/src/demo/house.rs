//! The house's sensors: makes readings at a steady rate, and on demand, and hands them to the house's process.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use homing::QoS;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::exit::Failure;
use crate::sensors::Home;

const TICK: Duration = Duration::from_millis(20);

enum Wish {
    Burst(u64),
    Heat(usize),
    Stop,
}

pub(super) struct Sensors {
    wishes: mpsc::UnboundedSender<Wish>,
    made: Arc<AtomicU64>,
    task: JoinHandle<io::Result<(ChildStdin, Vec<QoS>)>>,
}

impl Sensors {
    /// Begins at once. `stdin` is that of the house's `homing pipe`.
    pub(super) fn start(stdin: ChildStdin, home: Home, per_tick: u64) -> Self {
        let (wishes, wanted) = mpsc::unbounded_channel();
        let made = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(work(stdin, home, per_tick, wanted, made.clone()));
        Self { wishes, made, task }
    }

    /// Number of readings made so far: they are numbered from 0.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// So many readings at once.
    pub(super) fn burst(&self, count: u64) {
        self.wish(Wish::Burst(count));
    }

    /// A room grows hot: soon its alarm will be raised.
    pub(super) fn heat(&self, room: usize) {
        self.wish(Wish::Heat(room));
    }

    fn wish(&self, wish: Wish) {
        // Without a receiver the house has ended; `stop` says so.
        let _ = self.wishes.send(wish);
    }

    /// No more readings. Returns the QoS of each, and the stdin: closing it ends the house.
    pub(super) async fn stop(self) -> Result<(ChildStdin, Vec<QoS>), Failure> {
        self.wish(Wish::Stop);
        Ok(self.task.await??)
    }
}

async fn work(
    mut stdin: ChildStdin,
    mut home: Home,
    per_tick: u64,
    mut wanted: mpsc::UnboundedReceiver<Wish>,
    made: Arc<AtomicU64>,
) -> io::Result<(ChildStdin, Vec<QoS>)> {
    let mut tick = tokio::time::interval(TICK);
    let mut qualities = Vec::new();
    loop {
        let count = tokio::select! {
            _ = tick.tick() => per_tick,
            wish = wanted.recv() => match wish {
                Some(Wish::Burst(count)) => count,
                Some(Wish::Heat(room)) => {
                    home.heat(room);
                    0
                }
                Some(Wish::Stop) | None => return Ok((stdin, qualities)),
            },
        };
        let mut lines = String::new();
        for reading in home.by_ref().take(usize::try_from(count).unwrap_or_default()) {
            let line = json!({
                "op": "publish", "ref": reading.n.to_string(), "topic": reading.topic.as_str(),
                "payload": reading.payload, "qos": reading.qos.number(), "retain": reading.retain,
            });
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{line}");
            qualities.push(reading.qos);
        }
        stdin.write_all(lines.as_bytes()).await?;
        stdin.flush().await?;
        made.store(qualities.len() as u64, Ordering::Relaxed);
    }
}
