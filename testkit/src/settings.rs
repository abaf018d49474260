//! What a person may set from outside: how much, and which seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

/// The number in this environment variable, or the default.
pub fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a whole number")),
        Err(_) => default,
    }
}

/// The dice of one test: from `HOMING_SEED`, or new ones. Replaying a seed repeats every choice of the test, not the
/// scheduling of the processes in it.
pub fn dice(test: &str) -> fastrand::Rng {
    let seed = number("HOMING_SEED", fastrand::u64(..1 << 32));
    say(&format!("{test}: HOMING_SEED={seed}"));
    let mut hasher = DefaultHasher::new();
    (seed, test).hash(&mut hasher);
    fastrand::Rng::with_seed(hasher.finish())
}

/// A line that the test runner does not swallow: figures are wanted from tests that pass, too.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
