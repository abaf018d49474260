//! The broker's address, split into what may be kept and shown and what may not.

use std::fmt;

use fluent_uri::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::credentials::Credentials;

/// What stays as it is in a socket's path: the text is parsed again, and stands in lists that are separated by spaces.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a broker URL was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not a URL at all. The text is not repeated: it may hold a password.
    #[error("the broker's address is not a URL; write it like mqtt://host:1883")]
    Syntax,
    /// A scheme that this build does not speak.
    #[error(
        "the broker's URL begins with {scheme}://; write mqtt://, mqtts:// (TLS), ws:// or wss:// (WebSocket) or unix://"
    )]
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
    /// Something behind the host that this scheme has no use for.
    #[error("the broker's URL has a path, query or fragment, which {scheme}:// does not use; remove it")]
    Extra {
        /// The scheme.
        scheme: &'static str,
    },
    /// `unix://` without an absolute path, or with a host or port.
    #[error("a socket's URL is unix:// and an absolute path, as in unix:///run/mosquitto.sock")]
    SocketPath,
    /// User name or password are not valid percent-encoded UTF-8, or hold U+0000.
    #[error("user name or password in the broker's URL are not valid; percent-encode special characters")]
    UserInfo,
}

/// How a broker is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `mqtt://` or `tcp://`: TCP, port 1883.
    Mqtt,
    /// `mqtts://`, `ssl://` or `tls://`: TLS over TCP, port 8883.
    Mqtts,
    /// `ws://`: WebSocket over TCP, port 80.
    Ws,
    /// `wss://`: WebSocket over TLS, port 443.
    Wss,
    /// `unix://`: a Unix domain socket.
    Unix,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "mqtt" | "tcp" => Self::Mqtt,
            "mqtts" | "ssl" | "tls" => Self::Mqtts,
            "ws" => Self::Ws,
            "wss" => Self::Wss,
            "unix" => Self::Unix,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }

    /// The port if the URL names none; 0 for a Unix socket.
    pub const fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
            Self::Unix => 0,
        }
    }

    /// Whether the link is encrypted.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether MQTT travels in WebSocket frames.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// A parsed broker URL: `scheme://[user[:password]@]host[:port][/path]`, the path for WebSocket only; or `unix:///path`.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
    credentials: Option<Credentials>,
}

impl BrokerUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`UrlError`], which never repeats the text.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        // Else "token:secret@host" would have the scheme "token", and the error would repeat it.
        let uri = Some(text).filter(|text| text.contains("://")).ok_or(UrlError::Syntax)?;
        let uri = Uri::parse(uri).map_err(|_| UrlError::Syntax)?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        let Some(scheme) = Scheme::parse(&scheme) else { return Err(UrlError::Scheme { scheme }) };
        let authority = uri.authority().ok_or(UrlError::NoHost)?;
        let bracketed = authority.host();
        let host = bracketed.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(bracketed);
        let path = match scheme {
            Scheme::Unix => {
                let path = uri.path().decode().to_string().map_err(|_| UrlError::SocketPath)?.into_owned();
                if !host.is_empty() || authority.port().is_some() || path.len() < 2 || path.contains('\0') {
                    return Err(UrlError::SocketPath);
                }
                path
            }
            _ if host.is_empty() => return Err(UrlError::NoHost),
            Scheme::Ws | Scheme::Wss => match (uri.path().as_str(), uri.query()) {
                ("", None) => "/".to_owned(),
                (path, None) => path.to_owned(),
                (path, Some(query)) => format!("{}?{query}", if path.is_empty() { "/" } else { path }),
            },
            Scheme::Mqtt | Scheme::Mqtts if matches!(uri.path().as_str(), "" | "/") => String::new(),
            Scheme::Mqtt | Scheme::Mqtts => return Err(UrlError::Extra { scheme: scheme.name() }),
        };
        if uri.fragment().is_some() || uri.query().is_some() && !scheme.is_websocket() {
            return Err(UrlError::Extra { scheme: scheme.name() });
        }
        let port = match authority.port().map(|port| port.as_str()) {
            None | Some("") => scheme.port(),
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
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, path, credentials })
    }

    /// The same broker, asked for another path and query.
    pub(crate) fn with_target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.path);
        self
    }

    /// How the broker is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the link is encrypted.
    pub const fn is_tls(&self) -> bool {
        self.scheme.is_tls()
    }

    /// The host's name or address, without brackets; empty for a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; 0 for a Unix socket.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// WebSocket: path and query of the request. Unix socket: its path. Else empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stood before the `@`, if anything.
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl fmt::Display for BrokerUrl {
    /// Without user name and password (P12): this text is stored and shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.name();
        // A query may hold a token. A socket's path has none.
        let path = self.path.split('?').next().filter(|path| *path != "/").unwrap_or_default();
        match (self.scheme, self.host.contains(':')) {
            (Scheme::Unix, _) => write!(f, "{scheme}://{}", utf8_percent_encode(&self.path, IN_A_PATH)),
            (_, true) => write!(f, "{scheme}://[{}]:{}{path}", self.host, self.port),
            (_, false) => write!(f, "{scheme}://{}:{}{path}", self.host, self.port),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, UrlError> {
        BrokerUrl::parse(text).map(|url| url.to_string())
    }

    #[test]
    fn each_scheme_has_its_port_and_shows_no_secret() {
        let good = [
            ("mqtt://Home", "mqtt://home:1883"),
            ("tcp://[::1]:7/", "mqtt://[::1]:7"),
            ("ssl://u:p@home", "mqtts://home:8883"),
            ("ws://home", "ws://home:80"),
            ("wss://u:secret@home/mqtt?token=secret", "wss://home:443/mqtt"),
            ("unix:///run/mqtt%20a.sock", "unix:///run/mqtt%20a.sock"),
            ("unix:///run/a%3Fb.sock", "unix:///run/a%3Fb.sock"),
        ];
        for (text, expected) in good {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(shown(expected).as_deref(), Ok(expected), "what is stored is parsed again");
        }
        let url = BrokerUrl::parse("wss://home?token=1").unwrap();
        assert_eq!((url.path(), url.port(), url.scheme().is_tls()), ("/?token=1", 443, true));
    }

    #[test]
    fn what_a_scheme_has_no_use_for_is_refused() {
        let bad = [
            ("home", UrlError::Syntax),
            ("token:secret@home", UrlError::Syntax),
            ("http://home", UrlError::Scheme { scheme: "http".to_owned() }),
            ("mqtts://home/path", UrlError::Extra { scheme: "mqtts" }),
            ("mqtt://home?x", UrlError::Extra { scheme: "mqtt" }),
            ("wss://home/#x", UrlError::Extra { scheme: "wss" }),
            ("ws:///path", UrlError::NoHost),
            ("mqtts://home:0", UrlError::Port),
            ("unix://host/path", UrlError::SocketPath),
            ("unix:///", UrlError::SocketPath),
        ];
        for (text, expected) in bad {
            assert_eq!(shown(text), Err(expected), "{text}");
        }
    }
    #[test]
    fn unusual_forms_are_taken_whole_or_refused() {
        let many = format!("mqtt://{}@h", "u".repeat(70_000));
        for text in [
            "mqtt://home:65536",
            "mqtt://home:99999999999999999999",
            "mqtt://home:-1",
            "mqtt://home:+1883",
            "mqtt://home:18 83",
            "mqtt://ho me",
            "mqtt://home\r\nX: y",
            "ws://home/a\r\nX: y",
            "ws://home/a b",
            "ws://home/?a\nb",
            "ws://home/\u{e9}",
            "mqtt://b\u{fc}cher.example",
            "mqtt://[::1",
            "mqtt://::1",
            "mqtt://[fe80::1%eth0]",
            "mqtt://home#x",
            "mqtt://u:p@",
            "mqtt://u%zz@home",
            "mqtt://u%00@home",
            "mqtt://u%ff@home",
            "mqtt:home",
            "mqtt:///",
            "://home",
            "unix:///%00",
            "unix:///%ff",
            "",
        ] {
            let error = BrokerUrl::parse(text).expect_err(text).to_string();
            assert!(!error.contains("X: y") && !error.contains("%00"), "{error}");
        }
        let url = BrokerUrl::parse("MQTT://u%40x:p%3A%2F%ff@HOME:01883/").unwrap();
        assert_eq!(url.to_string(), "mqtt://home:1883");
        assert!(url.credentials() == Some(&Credentials::new("u@x", Some(b"p:/\xff".to_vec()))));
        // What was encoded stays so: it cannot break the request.
        assert_eq!(BrokerUrl::parse("ws://home/a%0d%0aX:%20y?q=%0a").unwrap().path(), "/a%0d%0aX:%20y?q=%0a");
        assert_eq!(BrokerUrl::parse("ws://home/../a//b/").unwrap().path(), "/../a//b/");
        // Its length is for the check at opening.
        assert!(BrokerUrl::parse(&many).is_ok());
    }
}
