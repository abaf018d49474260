//! The size of the stripped library against the budget, and what takes the room.

#![allow(clippy::print_stdout, reason = "a report for people")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Profile;
use crate::native::{self, Kind, strip_here};
use crate::run::{Outcome, copy, output, perform, root, target};

/// Lines `NAME BYTES`, with comments.
const BUDGET: &str = "bindings/size-budget.txt";
/// Parts that are told apart, by the beginning of their symbols; the rest is one line.
const PARTS: &[(&str, &[&str])] = &[
    ("SQLite", &["sqlite3", "fts", "json", "btree", "pager", "wal", "vdbe"]),
    ("TLS", &["rustls", "tokio_rustls", "webpki", "ring", "ring_core", "x509_cert", "der", "spki", "const_oid"]),
    ("links", &["tungstenite", "httparse", "tokio_socks", "fluent_uri", "http"]),
    ("session, store and driver", &["homing"]),
    ("uniffi and its face", &["homing_ffi", "uniffi", "uniffi_core"]),
    ("codec", &["rumqttc"]),
    ("tokio", &["tokio", "mio"]),
    ("standard library", &["core", "alloc", "std", "rustc_demangle", "gimli", "addr2line", "miniz_oxide"]),
];

pub(crate) fn report(encryption: bool) -> Outcome {
    let built = native::cargo(Profile::Mobile, Kind::Shared, None)?.join(native::host_library());
    let whole = stripped(&built, "whole")?;
    println!("{:>10}  everything, stripped (TLS, WebSocket, proxies, profiles, uniffi)", whole);
    parts(&built)?;
    let mut over = check("everything", whole)?;
    if encryption {
        let folder = target().join("encryption");
        let mut command = Command::new("cargo");
        // One form alone, as ever: see `native::cargo`.
        command.args(["rustc", "--locked", "--package", "homing-ffi", "--profile", "mobile", "--crate-type", "cdylib"]);
        command.args(["--features", "encryption"]);
        command.arg("--target-dir").arg(&folder);
        perform("cargo", command)?;
        let with = stripped(&folder.join("mobile").join(native::host_library()), "encryption")?;
        println!("{:>10}  with the feature encryption (+{})", with, with.saturating_sub(whole));
        over |= check("with-encryption", with)?;
    }
    if over { Err(format!("the library is larger than {BUDGET} allows")) } else { Ok(()) }
}

fn stripped(library: &Path, name: &str) -> Outcome<u64> {
    let copied = target().join("bindings/size").join(name);
    copy(library, &copied)?;
    strip_here(&copied)?;
    fs::metadata(&copied).map(|data| data.len()).map_err(|error| format!("{}: {error}", copied.display()))
}

/// Whether it is over the budget.
fn check(name: &str, bytes: u64) -> Outcome<bool> {
    let text = fs::read_to_string(root().join(BUDGET)).map_err(|error| format!("{BUDGET}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let budget = line.ok_or_else(|| format!("{BUDGET} has no line for {name}"))?;
    println!("{budget:>10}  budget of {name}: {} % used", bytes * 100 / budget);
    Ok(bytes > budget)
}

/// Machine code and constants by part, from the symbols of the library before it was stripped.
fn parts(library: &Path) -> Outcome {
    let symbols = output("nm", &["--print-size", "--demangle", &library.to_string_lossy()])?;
    let mut sums = BTreeMap::<&str, u64>::new();
    for line in symbols.lines() {
        let mut words = line.splitn(4, ' ');
        let (_, size, _, Some(name)) = (words.next(), words.next(), words.next(), words.next()) else { continue };
        let Some(size) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else { continue };
        *sums.entry(part(name)).or_default() += size;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    for (part, size) in sums {
        println!("{size:>10}    of it {part}");
    }
    Ok(())
}

/// By the crate that a symbol begins with: generic code counts for whoever wrote it, not for whoever uses it.
fn part(symbol: &str) -> &'static str {
    let path = symbol.trim_start_matches(['<', '&', '*', '[', '(']);
    let path = path.trim_start_matches("mut ").trim_start_matches("dyn ");
    let first: String = path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let known = PARTS.iter().find(|(_, crates)| crates.contains(&first.as_str()));
    match known {
        Some((part, _)) => part,
        // SQLite is one C file with static functions: what is no path of Rust's is its.
        None if !symbol.contains("::") && !first.starts_with("ring") && !first.starts_with("uniffi") => "SQLite",
        None if first.starts_with("ring") => "TLS",
        None if first.starts_with("uniffi") => "uniffi and its face",
        None => "the rest",
    }
}
