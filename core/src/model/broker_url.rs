//! The broker's address, split into what may be kept and shown and what may not.

use std::fmt;

use fluent_uri::Uri;

use super::options::Credentials;

/// Why a broker URL was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not a URL at all. The text is not repeated: it may hold a password.
    #[error("the broker's address is not a URL; write it like mqtt://host:1883")]
    Syntax,
    /// A scheme that this build does not speak.
    #[error("the broker's URL begins with {scheme}://; this build speaks mqtt:// (and tcp://, the same)")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// No host.
    #[error("the broker's URL names no host; write it like mqtt://host:1883")]
    NoHost,
    /// Port 0 or above 65,535.
    #[error("the broker's URL has a port that is not between 1 and 65535")]
    Port,
    /// Something behind the host that MQTT over TCP has no use for.
    #[error("the broker's URL has a path, query or fragment, which mqtt:// does not use; remove it")]
    Extra,
    /// User name or password are not valid percent-encoded UTF-8, or hold U+0000.
    #[error("user name or password in the broker's URL are not valid; percent-encode special characters")]
    UserInfo,
}

/// A parsed broker URL: `mqtt://[user[:password]@]host[:port]`.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

impl BrokerUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`UrlError`], which never repeats the text.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let uri = Uri::parse(text).map_err(|_| UrlError::Syntax)?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        if scheme != "mqtt" && scheme != "tcp" {
            return Err(UrlError::Scheme { scheme });
        }
        let authority = uri.authority().ok_or(UrlError::NoHost)?;
        let bracketed = authority.host();
        let host = bracketed.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(bracketed);
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        if !matches!(uri.path().as_str(), "" | "/") || uri.query().is_some() || uri.fragment().is_some() {
            return Err(UrlError::Extra);
        }
        let port = match authority.port().map(|port| port.as_str()) {
            None | Some("") => 1883,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?,
        };
        let credentials = match authority.userinfo() {
            None => None,
            Some(info) => {
                let (user, password) = match info.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (info, None),
                };
                let user = user.decode().to_string().map_err(|_| UrlError::UserInfo)?.into_owned();
                let password = password.map(|password| password.decode().to_bytes().into_owned());
                if user.contains('\0') {
                    return Err(UrlError::UserInfo);
                }
                Some(Credentials::new(user, password))
            }
        };
        Ok(Self { host: host.to_ascii_lowercase(), port, credentials })
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What stood before the `@`, if anything.
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl fmt::Display for BrokerUrl {
    /// Without user name and password (P12): this text is stored and shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "mqtt://[{}]:{}", self.host, self.port),
            false => write!(f, "mqtt://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}
