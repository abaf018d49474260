//! What can go wrong in the store, told apart by what the driver does about it; never SQL parameters (P12).

use std::path::Path;

use rusqlite::ErrorCode;

use crate::model::error::{Error, OpenError};

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No space left.
    Full,
    /// The file or its folder may not be written.
    ReadOnly,
    /// Another program holds the write lock. The turn's writes are still staged: the same call may be made again.
    Busy,
    /// The system failed to read, write or sync. Drop the store and open it again.
    Io,
    /// The file is damaged.
    Corrupt,
    /// This one write was not taken (an unknown consumer, too many marks); the turn goes on without it.
    Refused,
    /// Anything else.
    Other,
}

/// A failure of the store, without any data of the app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StoreError {
    /// What kind.
    pub kind: StoreErrorKind,
    /// SQLite's words, or ours.
    pub text: String,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// A stored value that no version of ours wrote.
    pub(super) fn corrupt(what: &'static str) -> Self {
        Self::new(StoreErrorKind::Corrupt, format!("{what} holds a value that cannot be read"))
    }

    /// The same trouble, met while opening.
    pub(crate) fn at_open(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self.kind {
            StoreErrorKind::Corrupt => OpenError::StoreCorrupt { path, detail: self.text },
            StoreErrorKind::Full => OpenError::StoreUnavailable {
                path,
                detail: format!("{}; make room on the disk and open it again", self.text),
            },
            StoreErrorKind::Busy => OpenError::StoreUnavailable {
                path,
                detail: format!("{}; another program holds it, try again later", self.text),
            },
            StoreErrorKind::ReadOnly => OpenError::StoreUnavailable {
                path,
                detail: format!("{}; make the file and its folder writable", self.text),
            },
            _ => OpenError::StoreUnavailable { path, detail: format!("{}; try again later", self.text) },
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Storage { detail: error.text }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            // The code's own words only: the message beside it may quote what was bound.
            rusqlite::Error::SqliteFailure(code, _) => {
                let kind = match code.code {
                    ErrorCode::DiskFull => StoreErrorKind::Full,
                    ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreErrorKind::ReadOnly,
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreErrorKind::Busy,
                    ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => StoreErrorKind::Io,
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreErrorKind::Corrupt,
                    _ => StoreErrorKind::Other,
                };
                Self::new(kind, format!("{code} ({})", code.extended_code))
            }
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => Self::corrupt("a row of the store"),
            _ => Self::new(StoreErrorKind::Other, "SQLite was used in a way it does not allow"),
        }
    }
}
