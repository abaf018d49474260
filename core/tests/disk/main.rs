//! Trouble with the disk, made by a VFS below SQLite: power cuts, failing writes and syncs, a full disk. A binary of its
//! own, for the VFS becomes the process's default, and the code that is tested has no hook for it.
//!
//! Every choice comes from a seed that is printed; `HOMING_SEED=n` repeats it. `HOMING_POWER_CUTS=10000` cuts so often.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod faults;
mod power_cut;
#[path = "../store_common/mod.rs"]
mod store_common;
mod turns;

use std::io::Write as _;

/// The number in this environment variable, or the default.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a whole number")),
        Err(_) => default,
    }
}

/// The dice of one test.
fn dice(test: &str) -> fastrand::Rng {
    let seed = number("HOMING_SEED", fastrand::u64(..1 << 32));
    say(&format!("{test}: HOMING_SEED={seed}"));
    fastrand::Rng::with_seed(seed)
}

/// A line that the test runner does not swallow: figures are wanted from tests that pass, too.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
