//! Completions and man pages name every command.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::process::{Command, Stdio};

const COMMANDS: [&str; 10] =
    ["demo", "broker", "simulate", "pub", "sub", "pipe", "outbox", "inbox", "verdict", "status"];

fn homing(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_homing")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_shell_gets_a_script_that_names_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = homing(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(homing(&["completions", "bash"]).as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn every_command_has_a_man_page() {
    let page = homing(&["man"]);
    assert!(page.contains(".TH homing 1") && page.contains("NAME"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    homing(&["man", pages.to_str().unwrap()]);
    for command in COMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("homing-{command}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(pages.join("homing-outbox-release.1").exists() && !pages.join("homing-help.1").exists());
}
