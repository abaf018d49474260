//! The closed list of error codes (docs/cli-errors.md), and what of the SDK's errors each stands for.

use homing::{Error, PublishError};

pub(crate) const TOPIC_INVALID: &str = "topic_invalid";
pub(crate) const FILTER_INVALID: &str = "filter_invalid";
pub(crate) const PAYLOAD_TOO_LARGE: &str = "payload_too_large";
pub(crate) const QOS_INVALID: &str = "qos_invalid";
pub(crate) const TTL_INVALID: &str = "ttl_invalid";
pub(crate) const BAD_JSON: &str = "bad_json";
pub(crate) const BAD_BASE64: &str = "bad_base64";
pub(crate) const BAD_VALUE: &str = "bad_value";
pub(crate) const MISSING_KEY: &str = "missing_key";
pub(crate) const UNKNOWN_KEY: &str = "unknown_key";
pub(crate) const UNKNOWN_OP: &str = "unknown_op";
pub(crate) const LINE_TOO_LONG: &str = "line_too_long";
pub(crate) const STORAGE_FULL: &str = "storage_full";
pub(crate) const STORAGE_FAILED: &str = "storage_failed";
pub(crate) const STORAGE_UNKNOWN: &str = "storage_unknown";
pub(crate) const LIMIT_REACHED: &str = "limit_reached";
pub(crate) const SUBSCRIBE_REFUSED: &str = "subscribe_refused";
pub(crate) const POSITION_INVALID: &str = "position_invalid";
pub(crate) const CLOSED: &str = "closed";

pub(crate) fn of_publish(error: &PublishError) -> &'static str {
    match error {
        PublishError::PayloadTooLarge { .. } => PAYLOAD_TOO_LARGE,
        PublishError::Name(_) => TOPIC_INVALID,
        PublishError::Ttl { .. } => TTL_INVALID,
        PublishError::LimitReached { .. } => LIMIT_REACHED,
        PublishError::StorageFull => STORAGE_FULL,
        PublishError::Storage { .. } => STORAGE_FAILED,
        PublishError::Unknown => STORAGE_UNKNOWN,
        PublishError::Closed => CLOSED,
        _ => BAD_VALUE,
    }
}

pub(crate) fn of(error: &Error) -> &'static str {
    match error {
        Error::Closed => CLOSED,
        Error::Storage { .. } => STORAGE_FAILED,
        Error::PositionInvalid { .. } => POSITION_INVALID,
        _ => BAD_VALUE,
    }
}
