//! A byte stream that the app brings itself, for what this crate cannot make.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use super::broker_url::BrokerUrl;

/// A byte stream of any kind.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// The way to a stream.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Makes the byte stream to a broker in place of TCP and of a proxy (`Options::transport`): TLS with an external PSK, a
/// serial line, a tunnel of the app's own.
///
/// What the broker's scheme asks for goes over it: nothing for `mqtt://` and `unix://`, TLS for `mqtts://`, WebSocket for
/// `ws://`, both for `wss://`. A stream that does TLS itself therefore goes with `mqtt://` or `ws://`.
///
/// ```
/// use std::sync::Arc;
///
/// use homing::{BrokerUrl, ByteStream, Connecting, Options, Transport};
///
/// /// The broker runs in this process.
/// struct InMemory;
///
/// impl Transport for InMemory {
///     fn connect<'a>(&'a self, _broker: &'a BrokerUrl) -> Connecting<'a> {
///         Box::pin(async {
///             let (ours, _theirs) = tokio::io::duplex(4096); // give the other end to the broker
///             Ok(Box::new(ours) as Box<dyn ByteStream>)
///         })
///     }
/// }
///
/// let mut options = Options::new("home.db");
/// options.transport = Some(Arc::new(InMemory));
/// ```
pub trait Transport: Send + Sync {
    /// Called for each attempt, on the client's own thread, inside its tokio runtime (timers and sockets work; do not
    /// block). Dropped if it takes longer than an attempt may, 30 s, or if the attempt is given up.
    ///
    /// # Errors
    /// Whatever went wrong; its text is shown as the reason why the broker is not reachable, so keep secrets out of it
    /// (P12). The next attempt comes after the usual wait. A panic, here or in the stream, counts as such an error.
    fn connect<'a>(&'a self, broker: &'a BrokerUrl) -> Connecting<'a>;
}

impl fmt::Debug for dyn Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}
