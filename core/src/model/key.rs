//! The key of an encrypted store: 32 bytes from the app, asked for at each opening, overwritten when dropped.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A key of 32 raw bytes, from the platform's key store. Overwritten in memory when dropped; never printed.
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Takes the bytes; the caller's own copy is the caller's to overwrite.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// As SQLCipher takes a raw key: `x'..'`.
    pub(crate) fn literal(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Long enough from the start: a string that grows leaves its old bytes behind.
        let mut text = Zeroizing::new(String::with_capacity(67));
        text.push_str("x'");
        for byte in self.0.iter() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text.push('\'');
        text
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(redacted)")
    }
}

/// The key cannot be had right now: before the first unlock of a phone, for instance. In words, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

type Ask = dyn Fn() -> Result<StoreKey, KeyError> + Send + Sync;

/// Asked for the key at each opening of a file: by the client, its readers, and after a failed commit.
#[derive(Clone)]
pub struct KeyProvider(Arc<Ask>);

impl KeyProvider {
    /// Called on the thread that opens the file; may block.
    pub fn new(ask: impl Fn() -> Result<StoreKey, KeyError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn key(&self) -> Result<StoreKey, KeyError> {
        (self.0)()
    }
}

impl fmt::Debug for KeyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyProvider(redacted)")
    }
}
