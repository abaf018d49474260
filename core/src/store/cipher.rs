//! Encryption at rest, in one place: which files are encrypted, and how a connection is unlocked. Without the feature
//! nothing is, and an encrypted file is not a store.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use crate::model::error::OpenError;

#[cfg(feature = "encryption")]
use super::error::StoreError;
#[cfg(feature = "encryption")]
use super::open::unavailable;
#[cfg(feature = "encryption")]
use crate::model::key::{KeyProvider, StoreKey};

/// Every plain SQLite file begins so; an encrypted one begins with random bytes.
const PLAIN: &[u8; 16] = b"SQLite format 3\0";

/// How the connections of a store are unlocked.
#[derive(Debug, Clone, Default)]
pub struct Unlock {
    #[cfg(feature = "encryption")]
    provider: Option<KeyProvider>,
}

/// Whether the file is readable and a plain SQLite file. Only such a file may be called damaged: of another one nobody can
/// tell a damaged page from a wrong key, so it is never set aside.
pub(super) fn is_plain(path: &Path) -> bool {
    let mut start = [0; PLAIN.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok_and(|()| start == *PLAIN)
}

impl Unlock {
    /// As the options of a store say.
    pub(super) fn of(options: &super::StoreOptions<'_>) -> Self {
        #[cfg(feature = "encryption")]
        return Self::new(options.key.cloned());
        #[cfg(not(feature = "encryption"))]
        {
            let _ = options;
            Self::default()
        }
    }
}

#[cfg(feature = "encryption")]
impl Unlock {
    /// Whether the store is to be opened with a key.
    pub(super) fn has_key(&self) -> bool {
        self.provider.is_some()
    }

    /// With a key from the app; None: the store is plain.
    pub fn new(provider: Option<KeyProvider>) -> Self {
        Self { provider }
    }

    /// Gives a connection the key, before anything else is asked of it.
    pub(super) fn apply(&self, connection: &Connection, path: &Path) -> Result<(), OpenError> {
        let Some(provider) = &self.provider else { return Ok(()) };
        let key = provider.key().map_err(|error| {
            unavailable(path, format!("its key cannot be had: {error}; try again when the device is unlocked"))
        })?;
        set_key(connection, "key", &key).map_err(|error| error.at_open(path))
    }

    /// What a file is that SQLite cannot read.
    pub(super) fn unreadable(&self, path: &Path) -> Option<OpenError> {
        let problem = match (is_plain(path), self.provider.is_some()) {
            (true, false) => return None,
            (true, true) => "it is not encrypted; open it without a key",
            (false, true) => "it was encrypted under another key, or is no store",
            (false, false) => "it is encrypted, and no key was given, or it is no store",
        };
        Some(OpenError::WrongKey { path: path.to_owned(), problem })
    }
}

#[cfg(feature = "encryption")]
impl super::Store {
    /// Encrypts every page anew, in one transaction: after a kill the file is whole under the old key or the new one.
    ///
    /// # Errors
    /// The store's; then see [`Store::reopen`](super::Store::reopen).
    pub fn rekey(&mut self, key: &StoreKey) -> Result<(), StoreError> {
        self.check()?;
        let done = set_key(&self.connection, "rekey", key);
        self.note(done)
    }
}

#[cfg(feature = "encryption")]
fn set_key(connection: &Connection, pragma: &str, key: &StoreKey) -> Result<(), StoreError> {
    // The statement is overwritten too. A pragma answers "ok", which nobody reads.
    let literal = key.literal();
    let mut sql = zeroize::Zeroizing::new(String::with_capacity(literal.len() + 32));
    sql.push_str("PRAGMA ");
    sql.push_str(pragma);
    sql.push_str(" = \"");
    sql.push_str(&literal);
    sql.push('"');
    Ok(connection.execute_batch(&sql)?)
}

#[cfg(not(feature = "encryption"))]
impl Unlock {
    #[allow(clippy::unused_self, reason = "the feature's other half has something to do")]
    pub(super) fn has_key(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the feature's other half has something to do")]
    pub(super) fn apply(&self, _: &Connection, _: &Path) -> Result<(), OpenError> {
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "the feature's other half has something to do")]
    pub(super) fn unreadable(&self, _: &Path) -> Option<OpenError> {
        None
    }
}
