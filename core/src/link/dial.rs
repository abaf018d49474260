//! From a broker's URL to a link: what the scheme asks for, one layer over the other.

use std::time::Duration;

use super::tls::{Connector, HANDSHAKE_LIMIT};
use super::websocket::upgrade;
use super::{Link, LinkError, Stream, app, proxy, system_proxy, tcp};
use crate::model::broker_url::{BrokerUrl, Scheme};
use crate::model::options::Options;
use crate::model::proxy::{Proxy, ProxyUrl};

/// Makes a link to `broker` within `limit`: look-up, TCP (through a proxy), TLS, WebSocket.
///
/// # Errors
/// What went wrong, at which layer.
pub async fn dial(broker: &BrokerUrl, options: &Options, tls: &Connector, limit: Duration) -> Result<Link, LinkError> {
    let mut layer = "";
    let within = tokio::time::timeout(limit, layers(broker, options, tls, limit, &mut layer)).await;
    within.unwrap_or_else(|_| Err(LinkError::Other(format!("{broker}: no answer within {limit:?} from {layer}"))))
}

async fn layers(
    broker: &BrokerUrl,
    options: &Options,
    tls: &Connector,
    limit: Duration,
    layer: &mut &'static str,
) -> Result<Link, LinkError> {
    let mut stream = carrier(broker, options, limit, layer).await?;
    if broker.scheme().is_tls() {
        *layer = "the TLS server";
        stream = Box::new(tls.connect(stream, broker.host(), HANDSHAKE_LIMIT).await?);
    }
    if !broker.scheme().is_websocket() {
        return Ok(Link::new(stream));
    }
    *layer = "the WebSocket server";
    Ok(Link::new(upgrade(stream, broker, &options.websocket_headers).await?))
}

/// What carries the rest: the app's own stream, a Unix socket, or TCP, straight or through a proxy.
async fn carrier(
    broker: &BrokerUrl,
    options: &Options,
    limit: Duration,
    layer: &mut &'static str,
) -> Result<Box<dyn Stream>, LinkError> {
    if let Some(transport) = &options.transport {
        *layer = "the app's transport";
        let stream = app::connect(&**transport, broker).await;
        return stream.map_err(|error| LinkError::Other(format!("app's transport: {error}")));
    }
    if broker.scheme() == Scheme::Unix {
        *layer = "the socket";
        return unix(broker).await;
    }
    *layer = "the broker's host";
    let (host, port) = (broker.host(), broker.port());
    let stream = match proxy_for(broker, options)? {
        None => tcp::connect(host, port, limit).await?,
        Some(proxy) => {
            *layer = "the proxy";
            proxy::connect(&proxy, host, port, limit).await?
        }
    };
    Ok(Box::new(stream))
}

fn proxy_for(broker: &BrokerUrl, options: &Options) -> Result<Option<ProxyUrl>, LinkError> {
    match &options.proxy {
        Proxy::Direct => Ok(None),
        Proxy::Url(url) => Ok(Some(url.clone())),
        Proxy::System => system_proxy(broker.host())
            .map_err(|(variable, error)| LinkError::Other(format!("environment variable {variable}: {error}"))),
    }
}

#[cfg(unix)]
async fn unix(broker: &BrokerUrl) -> Result<Box<dyn Stream>, LinkError> {
    match tokio::net::UnixStream::connect(broker.path()).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(LinkError::Other(format!("{broker}: {error}"))),
    }
}

/// The options' check refuses such a broker; this is for a store that came from another system.
#[cfg(not(unix))]
async fn unix(broker: &BrokerUrl) -> Result<Box<dyn Stream>, LinkError> {
    Err(LinkError::Other(format!("{broker}: Unix sockets exist on Unix only; name the broker by mqtt://")))
}
