//! How a command ends: exit statuses and the errors behind them.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// How long a polite end may take.
pub(crate) const CLOSE: Duration = Duration::from_secs(5);

/// Says on stderr what went wrong.
pub(crate) fn complain(text: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "\x1b[1;31merror:\x1b[0m {text}");
}

/// The exit status of a command that ran to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0.
    Done,
    /// 1: said why already.
    Failed,
    /// 130 or 143.
    Signal(u8),
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Signal(code) => code,
        }
    }
}

/// Why a command stopped; said on stderr by `main`. Any error becomes `Failed` through `?`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Exit 1.
    Failed(String),
    /// Exit 2: the command line, a variable or the configuration file is wrong.
    Usage(String),
    /// The reader of stdout has gone: an orderly end, not an error.
    StdoutClosed,
}

impl Failure {
    pub(crate) fn usage(text: impl Display) -> Self {
        Self::Usage(text.to_string())
    }

    pub(crate) fn failed(text: impl Display) -> Self {
        Self::Failed(text.to_string())
    }

    /// An error of writing to stdout.
    pub(crate) fn stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::StdoutClosed,
            _ => Self::Failed(format!("stdout: {error}")),
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}
