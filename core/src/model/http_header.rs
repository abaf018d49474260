//! A header that an app adds to the WebSocket request.

use std::fmt;

use super::error::Error;

/// The longest value, in bytes: servers commonly take 8 KiB for all headers together.
const MAX_VALUE_BYTES: usize = 8192;

/// A checked HTTP header. Its value may be a token: it is never printed (P12), and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpHeader {
    name: String,
    value: String,
}

impl HttpHeader {
    /// Checks name and value.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the name is not a token of RFC 9110 or is one that the upgrade itself sends, or the value holds
    /// anything but visible ASCII, spaces and tabs, or is longer than 8192 bytes.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, Error> {
        let (name, value) = (name.into(), value.into());
        let invalid = |problem: String| Err(Error::Invalid { what: "WebSocket header", problem });
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 255 || !name.bytes().all(token) {
            return invalid("the name must be 1 to 255 letters, digits or characters of !#$%&'*+-.^_`|~".to_owned());
        }
        let lower = name.to_ascii_lowercase();
        let ours = ["host", "upgrade", "connection", "content-length", "transfer-encoding"];
        if ours.contains(&lower.as_str()) || lower.starts_with("sec-websocket-") {
            return invalid(format!("{name} belongs to the upgrade itself; leave it out"));
        }
        let plain = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\t';
        match value.len() {
            0..=MAX_VALUE_BYTES if value.bytes().all(plain) && value.trim() == value => Ok(Self { name, value }),
            0..=MAX_VALUE_BYTES => {
                invalid(format!("the value of {name} must be visible ASCII, without spaces around it"))
            }
            bytes => invalid(format!("the value of {name} is {bytes} bytes long; the limit is {MAX_VALUE_BYTES}")),
        }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for HttpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpHeader({}: redacted)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_request_is_refused() {
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("Host", "x"),
            ("sec-websocket-protocol", "x"),
            ("Authorization", "a\r\nHost: b"),
            ("Authorization", "grüße"),
            ("Authorization", " x"),
            ("Authorization", &"x".repeat(8193)),
        ] {
            let error = HttpHeader::new(name, value).unwrap_err().to_string();
            assert!(!error.contains("grüße") && !error.contains("\r\n"), "{error}");
        }
        let header = HttpHeader::new("Authorization", "Bearer secret").unwrap();
        assert_eq!(format!("{header:?}"), "HttpHeader(Authorization: redacted)");
        assert!(HttpHeader::new("X-Empty", "").is_ok());
    }
}
