//! The command line and its variables.

use clap::builder::{OsStr, Resettable};
use clap::{CommandFactory, FromArgMatches};

use super::Cli;

/// Reads them, or ends the process with what is wrong. A variable that is set to nothing counts as not set.
pub(crate) fn parse() -> Cli {
    let command = Cli::command().mut_args(|arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { arg.env(Resettable::<OsStr>::Reset) } else { arg }
    });
    Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}
