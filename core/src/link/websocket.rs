//! The WebSocket upgrade of `ws://` and `wss://`, with the subprotocol `mqtt` [MQTT-6.0.0-3, MQTT-6.0.0-4].

use tokio::io::AsyncWriteExt;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::Stream;
use super::frames::Frames;
use super::http::{AnswerError, Head, head};
use crate::model::broker_url::BrokerUrl;
use crate::model::http_header::HttpHeader;

/// Why there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// The server answered with a status other than 101.
    #[error("{}", refused(*status, location.as_deref()))]
    Refused {
        /// The status.
        status: u16,
        /// Where it sends us, without a query: it is not followed.
        location: Option<String>,
    },
    /// 101, but not `mqtt` [MQTT-6.0.0-4].
    #[error(
        "the server did not agree to the subprotocol mqtt ({}); is MQTT served at this path?",
        chosen.as_deref().unwrap_or("it chose none")
    )]
    Subprotocol {
        /// What it chose.
        chosen: Option<String>,
    },
    /// 101, but not what RFC 6455 asks of it.
    #[error("the server's answer to the WebSocket request is wrong: {0}")]
    Upgrade(&'static str),
    /// No answer, or not in HTTP.
    #[error("no WebSocket: {0}")]
    Answer(#[from] AnswerError),
}

fn refused(status: u16, location: Option<&str>) -> String {
    let what = match status {
        401 | 403 => "the WebSocket server refuses the credentials, or this client",
        300..=399 => match location {
            Some(location) => {
                return format!("HTTP {status}: the broker has moved to {location}; write that into its URL");
            }
            None => "the server sends us elsewhere and does not say where",
        },
        404 | 410 => "the server knows no such path; check the path in the broker's URL",
        400 | 405 | 426 => "the server does not take WebSocket requests here; check path and port in the broker's URL",
        500..=599 => "the server, or a gateway before it, cannot serve us now",
        _ => "the server refused the WebSocket",
    };
    format!("HTTP {status}: {what}")
}

/// Asks for the upgrade, and returns the stream of MQTT's bytes.
///
/// # Errors
/// [`WebSocketError`].
pub async fn upgrade<S: Stream>(
    mut stream: S,
    broker: &BrokerUrl,
    headers: &[HttpHeader],
) -> Result<Frames<S>, WebSocketError> {
    let key = generate_key();
    let request = request(broker, headers, &key);
    let written = match stream.write_all(request.as_bytes()).await {
        Ok(()) => stream.flush().await,
        error => error,
    };
    // Also if it could not be written: what the server said before it closed tells more than a broken pipe.
    let (answer, rest) = head(&mut stream).await.map_err(|error| match (error, written) {
        (AnswerError::Closed | AnswerError::Stream(_), Err(broken)) => broken.into(),
        (error, _) => error,
    })?;
    check(&answer, &key)?;
    Ok(Frames::new(stream, rest))
}

/// Everything in it was checked: the path by the URL's parser, the headers by their type.
pub(super) fn request(broker: &BrokerUrl, headers: &[HttpHeader], key: &str) -> String {
    let host = match broker.host() {
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let port = match broker.port() {
        port if port == broker.scheme().port() => String::new(),
        port => format!(":{port}"),
    };
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n",
        broker.path()
    );
    for header in headers {
        request.extend([header.name(), ": ", header.value(), "\r\n"]);
    }
    request + "\r\n"
}

fn check(answer: &Head, key: &str) -> Result<(), WebSocketError> {
    if answer.status != 101 {
        let location = answer.all("location").next().map(|location| {
            // A query may hold a token, also one that was encoded, and what stands before a host a password.
            let shown = location.split(['?', '#', '%']).next().unwrap_or_default();
            let shown = shown.rsplit_once('@').map_or(shown, |(_, host)| host);
            shown.chars().filter(|char| !char.is_control()).take(200).collect()
        });
        return Err(WebSocketError::Refused { status: answer.status, location });
    }
    if !answer.lists("upgrade", "websocket") || !answer.lists("connection", "upgrade") {
        return Err(WebSocketError::Upgrade("it does not say that it upgrades to WebSocket"));
    }
    if answer.all("sec-websocket-accept").next() != Some(&derive_accept_key(key.as_bytes())) {
        return Err(WebSocketError::Upgrade("Sec-WebSocket-Accept does not belong to our key"));
    }
    if answer.all("sec-websocket-extensions").any(|value| !value.trim().is_empty()) {
        return Err(WebSocketError::Upgrade("it wants an extension that we did not offer"));
    }
    let chosen: Vec<&str> = answer.all("sec-websocket-protocol").collect();
    if chosen != ["mqtt"] {
        let shown = |text: &str| text.chars().filter(|char| !char.is_control()).take(80).collect();
        return Err(WebSocketError::Subprotocol { chosen: chosen.first().map(|text| shown(text)) });
    }
    Ok(())
}
