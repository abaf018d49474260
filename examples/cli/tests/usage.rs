//! The binary as a shell meets it: help, usage errors and exit statuses; no broker, no store.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Output};

fn homing(line: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.args(line).stdin(std::process::Stdio::null());
    // Variables of the machine that runs the tests must not take part.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOMING_")) {
        command.env_remove(name);
    }
    command.envs(env.iter().copied()).output().unwrap()
}

/// Exit status 2, nothing on stdout; what stands on stderr.
fn usage(line: &[&str], env: &[(&str, &str)]) -> String {
    let output = homing(line, env);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line:?}: {said}");
    assert_eq!(output.stdout, b"", "{line:?}");
    said
}

#[test]
fn help_of_every_command_has_an_example() {
    let commands = [
        "pub", "sub", "pipe", "outbox", "inbox", "last", "history", "gaps", "export", "verdict", "status", "broker",
        "simulate", "demo", "bench",
    ];
    for command in commands {
        let output = homing(&[command, "--help"], &[]);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}");
        let example = help.split_once("Example").map(|(_, example)| example).unwrap_or_default();
        assert!(example.contains("homing ") && example.contains(command), "{help}");
        assert!(!help.contains('\u{1b}'), "colours only on a terminal");
    }
}

#[test]
fn help_never_shows_a_value_of_the_environment() {
    let env = [("HOMING_BROKER", "mqtt://u:sesame@h")];
    for line in [&["--help"][..], &["pub", "--help"], &["pub"]] {
        let output = homing(line, &env);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("sesame"), "{said}");
    }
}

#[test]
fn wrong_usage_exits_2_and_says_what_is_wrong() {
    assert!(usage(&["pub", "home/#", "x"], &[]).contains("topic holds a wildcard: home/#"));
    assert!(usage(&["pub", "a", "x", "-q", "3"], &[]).contains("QoS is 0, 1 or 2"));
    assert!(usage(&["sub", "a/#/b"], &[]).contains("misplaced wildcard"));
    assert!(usage(&["fly"], &[]).contains("fly"));
    usage(&[], &[]);
}

#[test]
fn a_bad_broker_exits_2_without_repeating_the_password() {
    for broker in ["mqtt://u:sesame@", "mqtt://u:sesame@h:99999", "nonsense:sesame", "u:sesame@h"] {
        let said = usage(&["pub", "a", "x", "--broker", broker], &[]);
        assert!(said.contains("--broker") && !said.contains("sesame"), "{said}");
    }
}

#[test]
fn flags_go_before_variables_and_variables_before_the_file() {
    let file = std::env::temp_dir().join(format!("homing-usage-{}.toml", std::process::id()));
    std::fs::write(&file, "broker = 'filescheme://h'\n").unwrap();
    let config = file.to_str().unwrap();
    let env = [("HOMING_BROKER", "varscheme://h")];
    let from_file = usage(&["pub", "a", "x", "--config", config], &[]);
    let from_variable = usage(&["pub", "a", "x", "--config", config], &env);
    let from_flag = usage(&["--broker", "flagscheme://h", "pub", "a", "x", "--config", config], &env);
    std::fs::remove_file(&file).unwrap();
    assert!(from_file.contains("filescheme"), "{from_file}");
    assert!(from_variable.contains("varscheme"), "{from_variable}");
    assert!(from_flag.contains("flagscheme"), "{from_flag}");
}

#[test]
fn variables_reach_every_flag_and_unknown_ones_are_ignored() {
    assert!(usage(&["pub", "a", "x"], &[("HOMING_KEEP_ALIVE", "soon")]).contains("--keep-alive"));
    assert!(usage(&["pub", "a", "x"], &[("HOMING_OUTBOX_LIMIT", "5")]).contains("--outbox-limit"));
    assert!(homing(&["--version"], &[("HOMING_COLOUR", "red")]).status.success());
}

#[test]
fn a_bad_configuration_file_exits_2() {
    assert!(usage(&["status", "--config", "no-such-file.toml"], &[]).contains("no-such-file.toml"));
}
