//! What the demo says while it runs: sentences for people, or one JSON object a line.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::count::Outcome;
use crate::exit::Failure;

pub(super) struct Teller {
    json: bool,
    start: Instant,
    bar: ProgressBar,
}

impl Teller {
    pub(super) fn new(json: bool) -> Self {
        // Draws on stderr, and only if that is a terminal.
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { json, start: Instant::now(), bar }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// The line that moves, for the time until the next `say`.
    pub(super) fn doing(&self, text: &'static str) {
        self.bar.set_message(text);
    }

    pub(super) fn say(&self, step: &str, text: &str) -> Result<(), Failure> {
        let seconds = self.seconds();
        self.print(&match self.json {
            true => json!({"step": step, "seconds": (seconds * 10.0).round() / 10.0, "text": text}).to_string(),
            false => format!("{seconds:5.1} s  {text}"),
        })
    }

    /// The table, and what it means.
    pub(super) fn result(&self, outcome: &Outcome) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        if self.json {
            return self.print(&outcome.json().to_string());
        }
        let verdict = match outcome.passed() {
            true => "Nothing lost, nothing doubled.",
            false => "This should not have happened: please report it.",
        };
        self.print(&format!(
            "\n{}\n\n{verdict} {} kills in {:.1} s; {} messages were shown again after a kill, at the position they had.",
            outcome.table(),
            outcome.kills,
            outcome.seconds,
            outcome.shown_again
        ))
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::stdout();
        self.bar.suspend(|| writeln!(stdout, "{text}").and_then(|()| stdout.flush())).map_err(Failure::stdout)
    }
}
