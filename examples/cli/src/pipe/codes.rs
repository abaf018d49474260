//! The closed list of error codes (docs/cli-errors.md), and what of the SDK's errors each stands for.

use homing::{Error, PublishError};

macro_rules! codes {
    ($($name:ident $code:literal)*) => {
        $(pub(crate) const $name: &str = $code;)*
        #[cfg(test)]
        const ALL: &[&str] = &[$($code),*];
    };
}

codes! {
    TOPIC_INVALID "topic_invalid"
    FILTER_INVALID "filter_invalid"
    PAYLOAD_TOO_LARGE "payload_too_large"
    UNSUPPORTED "unsupported"
    QOS_INVALID "qos_invalid"
    TTL_INVALID "ttl_invalid"
    BAD_JSON "bad_json"
    BAD_BASE64 "bad_base64"
    BAD_VALUE "bad_value"
    MISSING_KEY "missing_key"
    UNKNOWN_KEY "unknown_key"
    UNKNOWN_OP "unknown_op"
    LINE_TOO_LONG "line_too_long"
    STORAGE_FULL "storage_full"
    STORAGE_FAILED "storage_failed"
    STORAGE_UNKNOWN "storage_unknown"
    LIMIT_REACHED "limit_reached"
    SUBSCRIBE_REFUSED "subscribe_refused"
    POSITION_INVALID "position_invalid"
    NOT_WAITING "not_waiting"
    CLOSED "closed"
}

pub(crate) fn of_publish(error: &PublishError) -> &'static str {
    match error {
        PublishError::PayloadTooLarge { .. } => PAYLOAD_TOO_LARGE,
        PublishError::Unsupported { .. } => UNSUPPORTED,
        PublishError::Name(_) => TOPIC_INVALID,
        PublishError::Ttl { .. } => TTL_INVALID,
        PublishError::LimitReached { .. } => LIMIT_REACHED,
        PublishError::StorageFull { .. } => STORAGE_FULL,
        PublishError::Storage { .. } => STORAGE_FAILED,
        PublishError::Unknown => STORAGE_UNKNOWN,
        PublishError::Closed => CLOSED,
        _ => BAD_VALUE,
    }
}

pub(crate) fn of(error: &Error) -> &'static str {
    match error {
        Error::Closed => CLOSED,
        Error::Unsupported { .. } => UNSUPPORTED,
        Error::Storage { .. } => STORAGE_FAILED,
        Error::PositionInvalid { .. } => POSITION_INVALID,
        // Only `cancel` names a message.
        Error::NoSuchMessage { .. } => NOT_WAITING,
        _ => BAD_VALUE,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_documented_list_is_this_one() {
        let page = include_str!("../../../../docs/cli-errors.md");
        let documented: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(documented, super::ALL);
    }
}
