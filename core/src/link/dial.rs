//! From a broker's URL to a link: what the scheme asks for, one layer over the other.

use std::time::Duration;

use super::tls::{Connector, HANDSHAKE_LIMIT};
use super::{Link, LinkError, tcp};
use crate::model::broker_url::{BrokerUrl, Scheme};
use crate::model::options::Options;

/// Makes a link to `broker` within `limit`: look-up, TCP (through a proxy), TLS, WebSocket.
///
/// # Errors
/// What went wrong, at which layer.
pub async fn dial(broker: &BrokerUrl, options: &Options, tls: &Connector, limit: Duration) -> Result<Link, LinkError> {
    let within = tokio::time::timeout(limit, layers(broker, options, tls, limit));
    within.await.unwrap_or_else(|_| Err(LinkError::Other(format!("{broker}: no link within {limit:?}"))))
}

async fn layers(broker: &BrokerUrl, _options: &Options, tls: &Connector, limit: Duration) -> Result<Link, LinkError> {
    match broker.scheme() {
        Scheme::Mqtt => tcp::connect(broker.host(), broker.port(), limit).await.map(Link::new),
        Scheme::Mqtts => {
            let stream = tcp::connect(broker.host(), broker.port(), limit).await?;
            tls.connect(stream, broker.host(), HANDSHAKE_LIMIT).await.map(Link::new)
        }
        scheme => Err(LinkError::Other(format!("{scheme:?} is not built"))),
    }
}
