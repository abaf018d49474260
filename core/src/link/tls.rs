//! TLS over any stream: rustls with ring. The configuration is built once a client, so that sessions are resumed.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(feature = "internals")]
use rustls::HandshakeKind;
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{LinkError, Stream};
use crate::model::tls::{ServerName, TlsFailure, TlsOptions, TlsVersion};
use check::Check;

mod check;
mod words;

/// How long a handshake may take: several round trips on a bad mobile network, and far less than a person waits.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);

/// Makes TLS links for one client.
#[derive(Debug)]
pub struct Connector {
    options: TlsOptions,
    /// Also the memory of sessions to resume. Made at the first TLS link: the platform's authorities take milliseconds to read.
    built: Mutex<Option<Built>>,
}

#[derive(Debug, Clone)]
struct Built {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
}

impl Connector {
    /// For these options.
    pub fn new(options: &TlsOptions) -> Self {
        Self { options: options.clone(), built: Mutex::new(None) }
    }

    /// Secures `stream`, which leads to `host`, within `limit`.
    ///
    /// # Errors
    /// [`LinkError::Tls`]. A client certificate that is refused by TLS 1.3 shows only at the first read of what is returned.
    pub async fn connect(
        &self,
        stream: impl Stream + 'static,
        host: &str,
        limit: Duration,
    ) -> Result<TlsStream, LinkError> {
        let Built { config, identity } = self.built()?;
        let name = match &self.options.server_name {
            Some(name) => name.clone(),
            None => ServerName::new(host).map_err(|error| LinkError::Other(error.to_string()))?,
        };
        // One link at a time is made for a client: what the last one asked for says nothing of this one.
        identity.asked.store(false, Ordering::Relaxed);
        let heard = Heard { stream: Box::new(stream), spoken: Spoken::Nothing };
        let handshake = TlsConnector::from(config).connect(name.0.clone(), heard).into_fallible();
        match timeout(limit, handshake).await {
            Ok(Ok(inner)) => Ok(TlsStream { inner, identity, host: name.to_string() }),
            Ok(Err((error, heard))) => {
                Err(LinkError::Tls(words::handshake(&error, heard.spoken, &identity, &name.to_string())))
            }
            Err(_) => Err(LinkError::Tls(TlsFailure::TimedOut { limit })),
        }
    }

    fn built(&self) -> Result<Built, LinkError> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built {
            Some(built) => Ok(built.clone()),
            None => Ok(built.insert(build(&self.options).map_err(LinkError::Tls)?).clone()),
        }
    }
}

fn build(options: &TlsOptions) -> Result<Built, TlsFailure> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match options.min_version {
        TlsVersion::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let identity = Arc::new(Identity {
        key: options.identity.as_ref().map(|identity| Arc::clone(&identity.key)),
        asked: AtomicBool::new(false),
    });
    let check = Check::new(options, &provider)?;
    let mut config = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| TlsFailure::Other(error.to_string()))?
        // Not less checked, but more: `Check` asks the usual verifier first.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check))
        .with_client_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesClientCert>);
    config.alpn_protocols.clone_from(&options.alpn);
    Ok(Built { config: Arc::new(config), identity })
}

/// Our certificate, and whether the server has asked for one: with TLS 1.2 the refusal itself does not say what is missing.
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        // As everybody does: whatever authorities the server names, it is told who we are, or it could not say why it refuses.
        self.key.as_ref().filter(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

/// What a server has said so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Nothing,
    Tls,
    Other,
}

/// A stream that remembers how the server began: with nothing at all, or with another protocol.
struct Heard {
    stream: Box<dyn Stream>,
    spoken: Spoken,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let (Spoken::Nothing, Some(first)) = (self.spoken, buffer.filled().get(before)) {
            // The kinds of records there are (RFC 8446, 5.1).
            self.spoken = if matches!(first, 20..=23) { Spoken::Tls } else { Spoken::Other };
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream that is secured. Its errors hold a [`TlsFailure`] where TLS is the cause.
pub struct TlsStream {
    inner: tokio_rustls::client::TlsStream<Heard>,
    identity: Arc<Identity>,
    host: String,
}

/// Asked by tests and benches only.
#[cfg(feature = "internals")]
impl TlsStream {
    /// Whether the handshake was a full one, or resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.inner.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The version that was agreed on, such as `TLSv1_3`.
    pub fn version(&self) -> Option<&'static str> {
        self.inner.get_ref().1.protocol_version().and_then(|version| version.as_str())
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        Poll::Ready(read.map_err(|error| words::established(error, &self.identity, &self.host)))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
