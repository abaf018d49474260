//! The way through a proxy: HTTP CONNECT (RFC 9110, 9.3.6) and SOCKS 5 (RFC 1928, with RFC 1929), with and without
//! authentication.
//!
//! SOCKS is `tokio-socks`; CONNECT is a request of four lines over `httparse`. hyper-util has both, but neither its statuses
//! nor its reply codes can be told apart by its callers (0.1.21), and it brings hyper along.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as Socks, IntoTargetAddr, TargetAddr};

use super::http::{AnswerError, head};
use super::{LinkError, tcp};
use crate::model::proxy::{ProxyScheme, ProxyUrl};

/// What a proxy did in place of letting us through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// No connection to the proxy itself.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// It wants a user name and password, or other ones.
    #[error("{}", match given {
        true => "it refuses the user name and password",
        false => "it asks for a user name and password; write them into the proxy's URL",
    })]
    Credentials {
        /// Whether we sent any.
        given: bool,
    },
    /// HTTP: a status other than 2xx, 401 and 407.
    #[error("it refuses the connection to the broker with HTTP {status}{}", hint(*status))]
    Refused {
        /// The status.
        status: u16,
    },
    /// No answer, or not in HTTP.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// HTTP: it spoke before it was spoken to.
    #[error("it sent something behind its answer, before the broker could")]
    Early,
    /// SOCKS: a reply code, in the words of RFC 1928.
    #[error("it could not connect to the broker: {0}")]
    Reply(&'static str),
    /// SOCKS: not an answer in SOCKS 5.
    #[error("the answer is not SOCKS 5; is this the right port?")]
    NotSocks,
    /// `socks5://`: the broker's name has no address here.
    #[error("the broker's name cannot be resolved here: {0}; with socks5h:// the proxy resolves it")]
    Name(String),
}

const fn hint(status: u16) -> &'static str {
    match status {
        403 | 405 => ": its rules forbid it, perhaps only for this port",
        500..=504 => ": it does not reach the broker",
        _ => "",
    }
}

/// Connects to `host` through a proxy, within `limit`.
///
/// # Errors
/// [`LinkError::Proxy`].
pub async fn connect(proxy: &ProxyUrl, host: &str, port: u16, limit: Duration) -> Result<TcpStream, LinkError> {
    let stream = match proxy.scheme() {
        ProxyScheme::Http => tunnel(proxy, host, port, limit).await,
        ProxyScheme::Socks5h => match (host, port).into_target_addr() {
            Ok(target) => socks(proxy, target, limit).await,
            Err(_) => Err(ProxyError::Name("longer than 255 bytes".to_owned())),
        },
        ProxyScheme::Socks5 => resolved(proxy, host, port, limit).await,
    };
    stream.map_err(|error| LinkError::Proxy { proxy: Box::new(proxy.clone()), error })
}

async fn reach(proxy: &ProxyUrl, limit: Duration) -> Result<TcpStream, ProxyError> {
    let stream = tcp::connect(proxy.host(), proxy.port(), limit).await;
    stream.map_err(|error| ProxyError::Unreachable(error.to_string()))
}

async fn tunnel(proxy: &ProxyUrl, host: &str, port: u16, limit: Duration) -> Result<TcpStream, ProxyError> {
    let mut stream = reach(proxy, limit).await?;
    let target = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = proxy.credentials() {
        let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
        request.extend(["Proxy-Authorization: Basic ", &basic, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(AnswerError::from)?;
    let (answer, rest) = head(&mut stream).await?;
    match answer.status {
        200..=299 if rest.is_empty() => Ok(stream),
        200..=299 => Err(ProxyError::Early),
        // 401 is tinyproxy's answer to wrong ones (1.11.1), 407 to none.
        401 | 407 => Err(ProxyError::Credentials { given: proxy.credentials().is_some() }),
        status => Err(ProxyError::Refused { status }),
    }
}

/// Each of the broker's addresses in turn: which of them the proxy reaches, only the proxy knows.
async fn resolved(proxy: &ProxyUrl, host: &str, port: u16, limit: Duration) -> Result<TcpStream, ProxyError> {
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| ProxyError::Name(error.to_string()))?;
    let mut last = ProxyError::Name("it has no address".to_owned());
    for address in addresses {
        match socks(proxy, TargetAddr::Ip(address), limit).await {
            Err(error @ ProxyError::Reply(_)) => last = error,
            other => return other,
        }
    }
    Err(last)
}

async fn socks(proxy: &ProxyUrl, target: TargetAddr<'_>, limit: Duration) -> Result<TcpStream, ProxyError> {
    let stream = reach(proxy, limit).await?;
    let connected = match proxy.credentials() {
        None => Socks5Stream::connect_with_socket(stream, target).await,
        Some((user, password)) => Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await,
    };
    connected.map(Socks5Stream::into_inner).map_err(|error| named(error, proxy))
}

fn named(error: Socks, proxy: &ProxyUrl) -> ProxyError {
    match error {
        Socks::Io(error) => ProxyError::Answer(error.into()),
        Socks::PasswordAuthFailure(_) => ProxyError::Credentials { given: true },
        Socks::NoAcceptableAuthMethods | Socks::AuthorizationRequired => {
            ProxyError::Credentials { given: proxy.credentials().is_some() }
        }
        Socks::GeneralSocksServerFailure => ProxyError::Reply("general SOCKS server failure"),
        Socks::ConnectionNotAllowedByRuleset => ProxyError::Reply("connection not allowed by its rules"),
        Socks::NetworkUnreachable => ProxyError::Reply("network unreachable"),
        Socks::HostUnreachable => ProxyError::Reply("host unreachable"),
        Socks::ConnectionRefused => ProxyError::Reply("connection refused"),
        Socks::TtlExpired => ProxyError::Reply("TTL expired"),
        Socks::CommandNotSupported => ProxyError::Reply("it does not know CONNECT"),
        Socks::AddressTypeNotSupported => ProxyError::Reply("it does not know this type of address"),
        _ => ProxyError::NotSocks,
    }
}
