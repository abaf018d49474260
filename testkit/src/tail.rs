//! The end of a log, for the message of a failed test.

use std::path::Path;

/// The last `lines` lines of a text file; says so if it cannot be read.
pub fn of_file(path: &Path, lines: usize) -> String {
    match std::fs::read(path) {
        Ok(bytes) => of_text(&String::from_utf8_lossy(&bytes), lines),
        Err(problem) => format!("({} cannot be read: {problem})", path.display()),
    }
}

/// The last `lines` lines of a text.
pub fn of_text(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
