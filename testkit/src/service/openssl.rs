//! Codes and signatures by the program `openssl`: nothing of what is tested takes part in its own check.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs it; its output. What it needs is in Debian's package `openssl`.
fn run(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is missing; install Debian's package openssl");
    child.stdin.take().expect("stdin").write_all(input).expect("openssl reads");
    let output = child.wait_with_output().expect("openssl ends");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// HMAC of `data` with a hash like `sha256`.
pub fn hmac(hash: &str, key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = format!("hexkey:{}", hex(key));
    run(&["dgst", &format!("-{hash}"), "-mac", "HMAC", "-macopt", &key, "-binary"], data)
}

/// SHA-256 of `data`, in hex.
pub fn sha256(data: &[u8]) -> String {
    hex(&run(&["dgst", "-sha256", "-binary"], data))
}

/// A new RSA key in `key`, and its public half in `public`.
pub fn rsa_key(key: &Path, public: &Path) {
    let (key, public) = (key.display().to_string(), public.display().to_string());
    run(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &key], b"");
    run(&["pkey", "-in", &key, "-pubout", "-out", &public], b"");
}

/// The RSA signature of `data` (SHA-256).
pub fn sign(key: &Path, data: &[u8]) -> Vec<u8> {
    run(&["dgst", "-sha256", "-sign", &key.display().to_string()], data)
}

/// Whether `signature` is that of `data`.
pub fn verify(public: &Path, data: &[u8], signature: &[u8]) -> bool {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), signature).expect("the signature");
    let (public, signature) = (public.display().to_string(), file.path().display().to_string());
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-verify", &public, "-signature", &signature]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("openssl is missing; install Debian's package openssl");
    child.stdin.take().expect("stdin").write_all(data).expect("openssl reads");
    child.wait().expect("openssl ends").success()
}

/// Lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    })
}

/// Percent-encoded but for RFC 3986's unreserved characters.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => write!(encoded, "%{byte:02X}").expect("a string"),
        }
        encoded
    })
}

/// The other way round.
pub fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned()
}
