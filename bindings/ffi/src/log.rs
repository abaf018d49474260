//! The core's log, handed to the app.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock, mpsc};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::callbacks::CallbackError;
use crate::error::{ErrorCode, FfiError, Result};

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// Errors.
    Error,
    /// And warnings.
    Warn,
    /// And what happens to the link.
    Info,
    /// And decisions.
    Debug,
    /// And packets, never their payloads.
    Trace,
}

/// Takes lines of the log.
#[uniffi::export(foreign)]
pub trait LogSink: Send + Sync {
    /// One line. What it throws is dropped.
    fn log(&self, level: LogLevel, target: String, text: String) -> std::result::Result<(), CallbackError>;
}

/// Lines that may wait for the app; more are left out.
const LINES: usize = 1_024;

static SET: OnceLock<()> = OnceLock::new();

/// Hands the log of every client in this process to the app, from now on. A process has one log: a second call is an error.
///
/// The sink is called on a thread of its own: one that blocks loses lines, and holds up nothing else.
#[uniffi::export]
pub fn set_log(level: LogLevel, sink: Arc<dyn LogSink>) -> Result<()> {
    let taken = || FfiError::new(ErrorCode::Invalid, "log: it was set before; a process has one log");
    SET.set(()).map_err(|()| taken())?;
    let (lines, queue) = mpsc::sync_channel::<Line>(LINES);
    let spawned = std::thread::Builder::new().name("homing-log".to_owned()).spawn(move || {
        for (level, target, text) in queue {
            // An app's own trouble with its log is not ours to mend.
            let _ = sink.log(level, target, text);
        }
    });
    spawned.map_err(|error| FfiError::new(ErrorCode::Internal, format!("log: no thread could be started: {error}")))?;
    let most = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    tracing::subscriber::set_global_default(ToApp { most, lines }).map_err(|_| taken())
}

type Line = (LogLevel, String, String);

/// Events only: the core's spans name nothing that its events do not.
struct ToApp {
    most: Level,
    lines: mpsc::SyncSender<Line>,
}

impl Subscriber for ToApp {
    /// Only ours: what libraries below say at trace is not under our promise to keep secrets (P12).
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most && metadata.target().starts_with("homing")
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.most.into())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        };
        // Full: the app is slower than the log. The driver does not wait for it.
        let _ = self.lines.try_send((level, event.metadata().target().to_owned(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message first, then fields by name.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }
}

impl Text {
    fn put(&mut self, field: &Field, value: std::fmt::Arguments<'_>) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value}"),
            name => write!(self.0, "{space}{name}={value}"),
        };
    }
}
