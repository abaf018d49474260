//! `homing pipe`: the whole SDK for a script. JSON lines in on stdin, JSON lines out on stdout.

mod codes;
mod line;
mod parse;
mod run;

pub(crate) use run::run;
