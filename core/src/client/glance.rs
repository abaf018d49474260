//! Writes the file for widgets: last values beside the store, replaced as a whole.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use super::driver::Driver;
use super::reading::open_reader;
use super::turn::Engine;
use crate::model::error::Error;
use crate::model::options::Options;
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::Now;
use crate::store::reader::{LastValue, Reader};

const EVERY_MS: i64 = 1_000;
/// After a failure.
const RETRY_MS: i64 = 10_000;
const LARGEST: usize = 64 << 10;
/// What stands around the values.
const FRAME: usize = 256;
/// The driver's thread reads: no longer than this, and at most so many values.
const LONGEST: Duration = Duration::from_millis(20);
const MOST: usize = 2_000;

#[derive(Serialize)]
struct Value<'a> {
    topic: &'a str,
    payload_base64: String,
    at: i64,
}

#[derive(Serialize)]
struct File {
    at: i64,
    connection: &'static str,
    omitted: usize,
    alerts: Vec<Box<RawValue>>,
    last: Vec<Box<RawValue>>,
}

/// The file, and what was last written to it.
pub(super) struct Writer {
    options: Arc<Options>,
    path: PathBuf,
    reader: Option<Reader>,
    /// Turn and word of the connection that it shows.
    shown: Option<(u64, &'static str)>,
    next_ms: i64,
    failed: bool,
}

impl Writer {
    /// None: no widget asked for it.
    pub(super) fn new(options: &Arc<Options>) -> Option<Self> {
        options.glance.as_ref()?;
        let path = beside(&options.store, "-glance");
        let options = Arc::clone(options);
        Some(Self { options, path, reader: None, shown: None, next_ms: 0, failed: false })
    }

    /// When to write, if there is anything new.
    pub(super) fn due(&self, turn: u64, connection: &'static str) -> Option<i64> {
        (self.shown != Some((turn, connection))).then_some(self.next_ms)
    }

    /// Writes now. A widget with an old file is no reason to stop.
    pub(super) fn write(&mut self, turn: u64, connection: &'static str, now: Now) {
        let done = self.try_write(connection, now.wall_ms);
        // Perhaps no turn follows for hours.
        self.shown = done.is_ok().then_some((turn, connection));
        self.next_ms = now.mono_ms + if done.is_ok() { EVERY_MS } else { RETRY_MS };
        if let Err(error) = &done {
            self.reader = None;
            if !self.failed {
                tracing::warn!(error, "the file for widgets cannot be written");
            }
        }
        self.failed = done.is_err();
    }

    /// No file is open from now on.
    pub(super) fn close(&mut self) {
        self.reader = None;
    }

    fn try_write(&mut self, connection: &'static str, at: i64) -> Result<(), String> {
        let Some(glance) = &self.options.glance else { return Ok(()) };
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => open_reader(&self.options).map_err(|error| error.to_string())?,
        };
        let reader = self.reader.insert(reader);
        let start = Instant::now();
        let mut room = LARGEST - FRAME;
        let (mut alerts, left) = values(reader, &glance.alerts, start).map_err(|error| error.to_string())?;
        alerts.retain(|value| !value.message.payload.is_empty());
        let (last, more_left) = values(reader, &glance.filters, start).map_err(|error| error.to_string())?;
        let (alerts, no_room) = fit(&alerts, &mut room);
        let (last, neither) = fit(&last, &mut room);
        let omitted = left + more_left + no_room + neither;
        let text = serde_json::to_string(&File { at, connection, omitted, alerts, last })
            .map_err(|error| error.to_string())?;
        let new = beside(&self.path, "-new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path));
        if written.is_err() {
            // On a full disk half a file would take the store's room.
            drop(std::fs::remove_file(&new));
        }
        written.map_err(|error| error.to_string())
    }
}

/// Last values that any of the filters matches, newest first, and how many pages were left unread.
fn values(reader: &Reader, filters: &[TopicFilter], start: Instant) -> Result<(Vec<LastValue>, usize), Error> {
    let mut found = BTreeMap::new();
    let mut left = 0;
    for filter in filters {
        let mut after: Option<TopicName> = None;
        loop {
            if found.len() >= MOST || start.elapsed() > LONGEST {
                left += 1;
                break;
            }
            let page = reader.last(Some(filter), after.as_ref(), 500)?;
            found.extend(page.values.into_iter().map(|value| (value.message.topic.clone(), value)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let mut values: Vec<LastValue> = found.into_values().collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.heard_ms));
    Ok((values, left))
}

/// As many as there is room for, and how many that leaves out.
fn fit(values: &[LastValue], room: &mut usize) -> (Vec<Box<RawValue>>, usize) {
    let texts = values.iter().filter_map(|LastValue { message, heard_ms, .. }| {
        // Neither topic nor payload get shorter.
        if message.topic.as_str().len() + message.payload.len() > *room {
            return None;
        }
        let (topic, payload_base64) = (message.topic.as_str(), BASE64.encode(&message.payload));
        let value = serde_json::value::to_raw_value(&Value { topic, payload_base64, at: *heard_ms }).ok()?;
        *room = room.checked_sub(value.get().len() + 1)?;
        Some(value)
    });
    let texts: Vec<_> = texts.collect();
    let omitted = values.len() - texts.len();
    (texts, omitted)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

impl Engine {
    /// The last commit, and the word for the connection: what others see of it.
    fn shown(&self) -> (u64, &'static str) {
        (self.store.hot().turn, if self.connection.is_empty() { "disconnected" } else { self.connection })
    }
}

impl Driver {
    /// When the file for widgets is to be written.
    pub(super) fn glance_due(&self) -> Option<i64> {
        let (turn, connection) = self.engine.as_ref()?.shown();
        self.glance.as_ref()?.due(turn, connection)
    }

    /// Writes it, if it is time.
    pub(super) fn glance(&mut self, now: Now) {
        if self.glance_due().is_some_and(|at| at <= now.mono_ms)
            && let (Some(glance), Some(engine)) = (&mut self.glance, &self.engine)
        {
            let (turn, connection) = engine.shown();
            glance.write(turn, connection, now);
        }
    }

    /// The last one before the store is closed.
    pub(super) fn glance_farewell(&mut self) {
        if let (Some(glance), Some(engine)) = (&mut self.glance, &self.engine) {
            glance.write(engine.shown().0, "disconnected", self.clock.now());
            glance.close();
        }
    }
}
