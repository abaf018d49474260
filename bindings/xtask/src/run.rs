//! Runs other programs from the root of the repository, and says what is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The repository.
pub(crate) fn root() -> PathBuf {
    // Two levels above this crate.
    Path::new(env!("CARGO_MANIFEST_DIR")).components().collect::<PathBuf>().join("../..")
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(resolve(program));
    command.args(arguments);
    perform(program, command)
}

/// Runs a prepared command.
pub(crate) fn perform(program: &str, mut command: Command) -> Outcome {
    let status = command.current_dir(root()).status().map_err(|error| missing(program, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) }
}

/// What a program writes to its standard output.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(resolve(program)).args(arguments).current_dir(root()).output();
    let output = output.map_err(|error| missing(program, &error))?;
    if !output.status.success() {
        return Err(format!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A script of the repository, or a program on the path.
fn resolve(program: &str) -> PathBuf {
    if program.contains('/') { root().join(program) } else { program.into() }
}

pub(crate) fn missing(program: &str, error: &std::io::Error) -> String {
    let hint = match program {
        "mvn" => "; Debian: apt-get install maven openjdk-17-jdk-headless",
        "aarch64-linux-gnu-gcc" => "; Debian: apt-get install gcc-aarch64-linux-gnu",
        "strip" | "nm" => "; Debian: apt-get install binutils",
        _ => "",
    };
    format!("{program} could not be started: {error}{hint}")
}

pub(crate) fn copy(from: &Path, to: &Path) -> Outcome {
    let folder = to.parent().ok_or_else(|| format!("{} has no folder", to.display()))?;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::copy(from, to).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))?;
    Ok(())
}
