//! TLS servers that are wrong in less usual ways, or end a link in the middle: each gets its own words.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![allow(unreachable_pub, reason = "a test of several files")]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use homing::internals::tls::{CaCertificates, TlsFailure, TlsOptions, Trust};
use homing::link::LinkError;
use homing::link::tls::{Connector, TlsStream};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod certificates;
mod client_certificates;
mod endings;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(90), test).await.expect("the test hangs") });
}

/// Who signs.
pub(crate) type Signer = Issuer<'static, KeyPair>;

/// A root, in PEM, changed as a test wants it.
pub(crate) fn root(change: impl FnOnce(&mut CertificateParams)) -> (Signer, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "a root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A certificate that `signer` signed, in DER, and who it would sign for.
pub(crate) fn signed(
    signer: &Signer,
    change: impl FnOnce(&mut CertificateParams),
) -> (CertificateDer<'static>, Signer) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "somebody");
    params.subject_alt_names = vec![name("localhost"), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let der = params.signed_by(&key, signer).unwrap().der().clone();
    (der, Issuer::new(params, key))
}

pub(crate) fn name(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

pub(crate) fn config(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    version: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(version).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

/// Says `hello` to everybody who gets through.
pub(crate) async fn serve(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handshake = acceptor.accept(stream);
            tokio::spawn(async move {
                if let Ok(mut stream) = handshake.await {
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.flush().await;
                    let _ = stream.read(&mut [0; 100]).await;
                }
            });
        }
    });
    address
}

pub(crate) fn trusting(root: &str) -> TlsOptions {
    let mut options = TlsOptions::default();
    options.trust = Trust::Roots(CaCertificates::from_pem(root.as_bytes()).unwrap());
    options
}

pub(crate) async fn greeted(options: &TlsOptions, address: SocketAddr, host: &str) -> Result<TlsStream, LinkError> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = Connector::new(options).connect(stream, host, PATIENCE).await?;
    let mut said = [0; 5];
    stream.read_exact(&mut said).await.map_err(LinkError::from)?;
    Ok(stream)
}

pub(crate) async fn failure(options: &TlsOptions, address: SocketAddr) -> TlsFailure {
    match greeted(options, address, "localhost").await {
        Err(LinkError::Tls(failure)) => failure,
        Err(other) => panic!("not a failure of TLS: {other:?}"),
        Ok(_) => panic!("let through"),
    }
}

#[test]
fn the_protocol_of_port_443_is_offered_and_must_be_taken() {
    run(async {
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        for version in BOTH {
            let mut demanding = config(vec![leaf.clone()], key.key(), &[version]);
            demanding.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec(), b"mqtt".to_vec()];
            let address = serve(demanding).await;
            let mut options = trusting(&pem);
            for (offered, fits) in [(&b"x-amzn-mqtt-ca"[..], true), (b"mqtt", true), (b"http/1.1", false)] {
                options.alpn = vec![offered.to_vec()];
                let told = greeted(&options, address, "localhost").await.map(drop);
                match fits {
                    true => assert_eq!(told, Ok(()), "{version:?}"),
                    false => assert_eq!(told, Err(LinkError::Tls(TlsFailure::AlpnRefused)), "{version:?}"),
                }
            }
        }
    });
}

#[test]
fn a_session_of_one_server_is_not_taken_for_anothers() {
    run(async {
        // The same name and port pattern: only the keys differ. What was learnt from the one must not let the other through.
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        let (foreign, _) = root(|_| {});
        let (stranger, stranger_key) = signed(&foreign, |_| {});
        for version in BOTH {
            let good = serve(config(vec![leaf.clone()], key.key(), &[version])).await;
            let bad = serve(config(vec![stranger.clone()], stranger_key.key(), &[version])).await;
            let connector = Connector::new(&trusting(&pem));
            for _ in 0..2 {
                let stream = TcpStream::connect(good).await.unwrap();
                let mut stream =
                    connector.connect(stream, "localhost", PATIENCE).await.unwrap_or_else(|e| panic!("{e}"));
                stream.read_exact(&mut [0; 5]).await.unwrap();
                let error =
                    connector.connect(TcpStream::connect(bad).await.unwrap(), "localhost", PATIENCE).await.err();
                assert_eq!(error, Some(LinkError::Tls(TlsFailure::UnknownRoot)), "{version:?}");
            }
        }
    });
}
