//! Proxies: which one, and what of its address may be shown.

use std::fmt;

use fluent_uri::Uri;

/// Whether the broker is reached through a proxy.
///
/// Nothing is looked up unless it is asked for. Web browsers go through the system's proxy by themselves; an MQTT client's
/// broker mostly stands in the same house or takes MQTT ports that web proxies refuse, and a variable that was set for
/// downloads must not take a session elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// Straight to the broker (default).
    #[default]
    Direct,
    /// What the environment says, read anew for each attempt: `https_proxy` or `HTTPS_PROXY`, else `all_proxy` or
    /// `ALL_PROXY`; not for a host that `no_proxy` or `NO_PROXY` names (names with everything below them, addresses,
    /// networks such as `10.0.0.0/8`, or `*`). Lower case wins, an empty variable counts as not set, a value without a
    /// scheme is an HTTP proxy, as curl has it. `HTTP_PROXY` is not read: it is for proxies that forward web pages. Phones
    /// have no such variables: there the app asks the system and gives the URL.
    System,
    /// Through this one.
    Url(ProxyUrl),
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// `http://`: the CONNECT method, names resolved by the proxy.
    Http,
    /// `socks5://`: SOCKS 5, names resolved here.
    Socks5,
    /// `socks5h://`: SOCKS 5, names resolved by the proxy.
    Socks5h,
}

/// Why a proxy's URL was refused. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// Not a URL at all.
    #[error("the proxy's address is not a URL; write it like http://host:3128 or socks5h://host:1080")]
    Syntax,
    /// A scheme that is not spoken.
    #[error("the proxy's URL begins with {scheme}://; write http:// (CONNECT), socks5:// or socks5h://")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// No host.
    #[error("the proxy's URL names no host; write it like http://host:3128")]
    NoHost,
    /// Port 0 or above 65,535, or none for `http://`, where no number is usual.
    #[error("the proxy's URL needs a port between 1 and 65535, as in http://host:3128")]
    Port,
    /// Something behind host and port.
    #[error("the proxy's URL has a path, query or fragment; remove it")]
    Extra,
    /// User name or password are not percent-encoded UTF-8, or too long.
    #[error(
        "user name or password in the proxy's URL are not valid: UTF-8 of 1 to 255 bytes each, special characters \
         percent-encoded, no colon in an HTTP proxy's user name"
    )]
    UserInfo,
}

/// A parsed proxy URL: `http://[user:password@]host:port`, or `socks5://` or `socks5h://` (port 1080 if none is given).
/// User name and password are never printed (P12), and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    credentials: Option<(String, String)>,
}

impl ProxyUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`ProxyUrlError`], which never repeats the text.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        // Else "user:secret@host" would have the scheme "user", and the error would repeat it.
        let uri = Some(text).filter(|text| text.contains("://")).ok_or(ProxyUrlError::Syntax)?;
        let uri = Uri::parse(uri).map_err(|_| ProxyUrlError::Syntax)?;
        let scheme = match uri.scheme().as_str().to_ascii_lowercase() {
            scheme if scheme == "http" => ProxyScheme::Http,
            scheme if scheme == "socks5" => ProxyScheme::Socks5,
            scheme if scheme == "socks5h" => ProxyScheme::Socks5h,
            scheme => return Err(ProxyUrlError::Scheme { scheme }),
        };
        let authority = uri.authority().ok_or(ProxyUrlError::NoHost)?;
        let bracketed = authority.host();
        let host = bracketed.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(bracketed);
        if host.is_empty() {
            return Err(ProxyUrlError::NoHost);
        }
        if !matches!(uri.path().as_str(), "" | "/") || uri.query().is_some() || uri.fragment().is_some() {
            return Err(ProxyUrlError::Extra);
        }
        let port = match authority.port().map(|port| port.as_str()).filter(|port| !port.is_empty()) {
            None if scheme == ProxyScheme::Http => return Err(ProxyUrlError::Port),
            None => 1080,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(ProxyUrlError::Port)?,
        };
        let credentials = match authority.userinfo() {
            None => None,
            Some(info) => {
                let (user, password) = info.split_once(':').ok_or(ProxyUrlError::UserInfo)?;
                let user = user.decode().to_string().map_err(|_| ProxyUrlError::UserInfo)?.into_owned();
                let password = password.decode().to_string().map_err(|_| ProxyUrlError::UserInfo)?.into_owned();
                // SOCKS counts each in one byte (RFC 1929); Basic separates them at the first colon (RFC 7617).
                let fits = |text: &str| (1..=255).contains(&text.len()) && !text.contains(char::is_control);
                if !fits(&user) || !fits(&password) || scheme == ProxyScheme::Http && user.contains(':') {
                    return Err(ProxyUrlError::UserInfo);
                }
                Some((user, password))
            }
        };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, credentials })
    }

    /// How the proxy is spoken to.
    pub const fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// User name and password, if any.
    pub(crate) fn credentials(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }
}

impl fmt::Display for ProxyUrl {
    /// Without user name and password (P12).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
            ProxyScheme::Socks5h => "socks5h",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret() {
        for (text, expected) in [
            ("http://user:secret@Proxy:3128/", "http://proxy:3128"),
            ("socks5://[::1]", "socks5://[::1]:1080"),
            ("SOCKS5H://u:se%40cret@p:9", "socks5h://p:9"),
        ] {
            let url = ProxyUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), expected);
            assert_eq!(format!("{:?}", Proxy::Url(url)), format!("Url(ProxyUrl({expected}))"));
        }
        let url = ProxyUrl::parse("socks5h://u:se%40cret@p:9").unwrap();
        assert_eq!(url.credentials(), Some(("u", "se@cret")));
    }

    #[test]
    fn what_is_not_a_proxy_is_refused() {
        let long = format!("socks5://{}:p@h", "u".repeat(256));
        for (text, expected) in [
            ("user:secret@proxy:3128", ProxyUrlError::Syntax),
            ("//proxy", ProxyUrlError::Syntax),
            ("https://proxy:443", ProxyUrlError::Scheme { scheme: "https".to_owned() }),
            ("http://:3128", ProxyUrlError::NoHost),
            ("http://proxy", ProxyUrlError::Port),
            ("socks5://proxy:0", ProxyUrlError::Port),
            ("http://proxy:1/x", ProxyUrlError::Extra),
            ("http://user@proxy:1", ProxyUrlError::UserInfo),
            ("http://us%3Aer:x@proxy:1", ProxyUrlError::UserInfo),
            ("http://u:%0d%0a@proxy:1", ProxyUrlError::UserInfo),
            (&long, ProxyUrlError::UserInfo),
        ] {
            assert_eq!(ProxyUrl::parse(text), Err(expected), "{text}");
        }
    }
}
