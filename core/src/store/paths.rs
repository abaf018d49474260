//! Names of files: one store has one, whatever it is called by.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::open::{not_a_store, unavailable};
use crate::model::error::OpenError;

/// The canonical path: two names of one store must lead to one lock.
pub(super) fn locate(path: &Path, make_folder: bool) -> Result<PathBuf, OpenError> {
    let system = |error: io::Error| unavailable(path, format!("{error}; check the path and its permissions"));
    match fs::canonicalize(path) {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound && make_folder => {}
        Err(error) => return Err(system(error)),
    }
    let name = path.file_name().ok_or_else(|| not_a_store(path, "not the name of a file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(system)?;
    Ok(fs::canonicalize(folder).map_err(system)?.join(name))
}

pub(super) fn is_new(path: &Path) -> Result<bool, OpenError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(unavailable(path, error.to_string())),
    }
}

/// For SQLite's options behind it.
pub(super) fn file_uri(path: &Path) -> String {
    let mut uri = String::from(if cfg!(windows) { "file:///" } else { "file://" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => uri.push(char::from(*byte)),
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
