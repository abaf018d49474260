//! What a server says of our certificate, or of there being none, and when it says so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use homing::internals::tls::{ClientIdentity, ServerName, TlsFailure};
use homing::link::LinkError;
use homing::link::dial::dial;
use homing::link::tls::Connector;
use homing::{BrokerUrl, ByteStream, Connecting, Options, Transport};
use homing_testkit::certificates::{Authority, Wrong};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{BOTH, PATIENCE, Signer, failure, root, run, serve, signed, trusting};

/// A client's certificate for whom `ca` signs is asked for.
fn asking(
    ca: &str,
    chain: Vec<CertificateDer<'static>>,
    key: &Signer,
    version: &'static SupportedProtocolVersion,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let key = PrivateKeyDer::try_from(key.key().serialize_der()).unwrap();
    builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
}

/// TCP whose writing breaks once the handshake is over, as it does if the server has closed meanwhile.
struct Breaking(TcpStream, u32);

impl AsyncRead for Breaking {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.1 {
            0 => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {
                self.1 -= 1;
                Pin::new(&mut self.0).poll_write(cx, bytes)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct BreaksAfter(u32);

impl Transport for BreaksAfter {
    fn connect<'a>(&'a self, broker: &'a BrokerUrl) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect((broker.host(), broker.port())).await?;
            Ok(Box::new(Breaking(stream, self.0)) as Box<dyn ByteStream>)
        })
    }
}

#[test]
fn a_refused_client_certificate_is_told_though_the_request_could_not_be_written() {
    run(async {
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        let address = serve(asking(&pem, vec![leaf], &key, &TLS13)).await;
        let mut options = Options::new("unused");
        options.tls = trusting(&pem);
        let mut told = Vec::new();
        for writes in 1..8 {
            options.transport = Some(Arc::new(BreaksAfter(writes)));
            let url = BrokerUrl::parse(&format!("wss://{address}/mqtt")).unwrap();
            let error = dial(&url, &options, &Connector::new(&options.tls), PATIENCE).await.err().unwrap();
            match error {
                // It broke within the handshake.
                LinkError::Tls(TlsFailure::Cut { .. }) => assert!(told.is_empty()),
                error => told.push(error),
            }
        }
        assert!(told.len() > 1, "the request was never what broke");
        assert!(told.iter().all(|error| *error == LinkError::Tls(TlsFailure::ClientCertificateRequired)), "{told:?}");
    });
}

#[test]
fn a_foreign_certificate_is_told_in_both_versions() {
    run(async {
        let authority = Authority::new();
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        let held = authority.client("phone", &Wrong::default());
        let mut options = trusting(&pem);
        options.server_name = Some(ServerName::new("localhost").unwrap());
        options.identity = Some(ClientIdentity::from_pem_files(&held.chain, &held.key).unwrap());
        for version in BOTH {
            let address = serve(asking(&pem, vec![leaf.clone()], &key, version)).await;
            let told = failure(&options, address).await;
            assert!(matches!(told, TlsFailure::ClientCertificateRefused { .. }), "{version:?}: {told:?}");
        }
    });
}
