//! Maven builds the Kotlin libraries; here it is also judged whether everything public is documented.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::run::{Outcome, missing, root, target};

/// Dokka reports what nobody can document, or what says nothing new.
const UNDOCUMENTABLE: &[&str] = &["values", "valueOf", "entries", "equals", "hashCode", "toString", "compareTo"];

pub(crate) fn maven(goals: &[&str]) -> Outcome {
    let mut command = Command::new(if cfg!(windows) { "mvn.cmd" } else { "mvn" });
    command.args(["--batch-mode", "--no-transfer-progress", "--file"]).arg(root().join("android/pom.xml"));
    // Where cargo builds may be elsewhere than Maven thinks.
    command.arg(format!("-Dbindings={}", target().join("bindings").display())).args(goals);
    if cfg!(not(target_os = "linux")) {
        eprintln!("Android's modules are left out: their tools and tests here are those of Debian");
        command.args(["--projects", "homing"]);
    }
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| missing("mvn", &error))?;
    let mut undocumented = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).split(b'\n')) {
        let line = line.map_err(|error| format!("mvn's output: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        match line.strip_prefix("[WARNING] Undocumented: ") {
            Some(name) if is_documentable(name) => undocumented.push(name.to_owned()),
            Some(_) => {}
            None if says_something(line) => eprintln!("{line}"),
            None => {}
        }
    }
    let status = child.wait().map_err(|error| format!("mvn: {error}"))?;
    match (status.success(), undocumented.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("public and undocumented: {}", undocumented.join(", "))),
        (false, _) => Err(format!("mvn ended with {status}")),
    }
}

/// `package/Type/function/#parameters/ (JVM)`.
fn is_documentable(name: &str) -> bool {
    let path = name.split("/#").next().unwrap_or(name);
    !path.rsplit('/').next().is_some_and(|last| UNDOCUMENTABLE.contains(&last))
}

/// Maven tells much: results, warnings and errors are for people.
fn says_something(line: &str) -> bool {
    !line.starts_with("[INFO]") && !line.starts_with('\t') || line.contains("Tests run:") || line.contains("BUILD")
}
