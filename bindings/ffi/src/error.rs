//! What an app can be told went wrong: a stable code, and a text that teaches.

use homing::{Error, NameError, OpenError, ProfileError, ProxyUrlError, PublishError, TlsInputError, UrlError};

/// What kind of error it is; stable, more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ErrorCode {
    /// An argument or an option that cannot be used; the text says which and what would do.
    Invalid,
    /// The service or the broker's profile does not take it.
    Unsupported,
    /// Another client or process drives the store.
    StoreInUse,
    /// The store was written by a newer version of Homing.
    StoreTooNew,
    /// The file is something else.
    NotAStore,
    /// The store cannot be opened or used now.
    StoreUnavailable,
    /// The store is damaged.
    StoreDamaged,
    /// The store is encrypted, and the key is missing or another one.
    WrongKey,
    /// The store belongs to another client id.
    ClientIdMismatch,
    /// The payload is over the limit.
    PayloadTooLarge,
    /// The outbox or the mailbox is full.
    LimitReached,
    /// There is no room on the disk.
    StorageFull,
    /// The store failed to read or to commit; nothing was accepted.
    Storage,
    /// The store failed in the middle of a commit: accepted or not.
    Unknown,
    /// There is no connection, and this is refused without one.
    Offline,
    /// The client is closed.
    Closed,
    /// The client is paused.
    Paused,
    /// The wait was cancelled.
    Cancelled,
    /// No consumer of this name.
    NoSuchConsumer,
    /// The consumer exists with other filters.
    ConsumerDiffers,
    /// No message of this id.
    NoSuchMessage,
    /// The message is not parked.
    NotParked,
    /// A fault of Homing itself; please report it.
    Internal,
}

/// The one error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum FfiError {
    /// It failed.
    #[error("{text}")]
    Failed {
        /// What kind.
        code: ErrorCode,
        /// What, where, and how to mend it.
        text: String,
    },
}

/// What functions of this crate return.
pub(crate) type Result<T> = std::result::Result<T, FfiError>;

impl FfiError {
    pub(crate) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self::Failed { code, text: text.into() }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, text)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorCode::Cancelled, "cancelled")
    }
}

impl From<OpenError> for FfiError {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::StoreInUse { .. } => ErrorCode::StoreInUse,
            OpenError::StoreTooNew { .. } => ErrorCode::StoreTooNew,
            OpenError::NotAStore { .. } => ErrorCode::NotAStore,
            OpenError::StoreCorrupt { .. } => ErrorCode::StoreDamaged,
            #[cfg(feature = "encryption")]
            OpenError::WrongKey { .. } => ErrorCode::WrongKey,
            OpenError::ClientIdMismatch { .. } => ErrorCode::ClientIdMismatch,
            OpenError::Option { .. } => ErrorCode::Invalid,
            OpenError::Paused => ErrorCode::Paused,
            OpenError::Closed => ErrorCode::Closed,
            _ => ErrorCode::StoreUnavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PublishError> for FfiError {
    fn from(error: PublishError) -> Self {
        let code = match &error {
            PublishError::PayloadTooLarge { .. } => ErrorCode::PayloadTooLarge,
            PublishError::Unsupported { .. } => ErrorCode::Unsupported,
            PublishError::Property { .. }
            | PublishError::Name(_)
            | PublishError::Ttl { .. }
            | PublishError::Key { .. } => ErrorCode::Invalid,
            PublishError::Offline => ErrorCode::Offline,
            PublishError::LimitReached { .. } | PublishError::MailboxFull { .. } => ErrorCode::LimitReached,
            PublishError::StorageFull { .. } => ErrorCode::StorageFull,
            PublishError::Unknown => ErrorCode::Unknown,
            PublishError::Closed => ErrorCode::Closed,
            PublishError::Paused => ErrorCode::Paused,
            _ => ErrorCode::Storage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Error> for FfiError {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Closed => ErrorCode::Closed,
            Error::PositionInvalid { .. } | Error::Invalid { .. } => ErrorCode::Invalid,
            Error::NoSuchConsumer { .. } => ErrorCode::NoSuchConsumer,
            Error::ConsumerDiffers { .. } => ErrorCode::ConsumerDiffers,
            Error::NoSuchMessage { .. } => ErrorCode::NoSuchMessage,
            Error::NotParked { .. } => ErrorCode::NotParked,
            Error::Unsupported { .. } => ErrorCode::Unsupported,
            Error::Cancelled => ErrorCode::Cancelled,
            Error::Paused => ErrorCode::Paused,
            _ => ErrorCode::Storage,
        };
        Self::new(code, error.to_string())
    }
}

macro_rules! invalid {
    ($($error:ty),*) => {
        $(impl From<$error> for FfiError {
            fn from(error: $error) -> Self {
                Self::invalid(error.to_string())
            }
        })*
    };
}
invalid!(NameError, UrlError, ProxyUrlError, TlsInputError, ProfileError);
