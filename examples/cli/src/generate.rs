//! `completions` and `man`: made from the command line's own description, so that they cannot lag behind it.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Out;

pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "homing", &mut script);
    print(&script)
}

/// The main page on stdout, or a page a command in a folder.
pub(crate) fn man(folder: Option<&Path>) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = folder else { return print(&page(&command)?) };
    fs::create_dir_all(folder).map_err(|error| Failure::failed(format_args!("{}: {error}", folder.display())))?;
    pages(&command, folder)?;
    Ok(Exit::Done)
}

fn pages(command: &Command, folder: &Path) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let file = folder.join(format!("{name}.1"));
    fs::write(&file, page(command)?).map_err(|error| Failure::failed(format_args!("{}: {error}", file.display())))?;
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help");
    inner.into_iter().try_for_each(|inner| pages(inner, folder))
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

fn print(bytes: &[u8]) -> Result<Exit, Failure> {
    let mut out = Out::default();
    out.text(String::from_utf8_lossy(bytes).trim_end())?;
    out.flush()?;
    Ok(Exit::Done)
}
