//! TLS servers that are wrong in less usual ways, or end a link in the middle: each gets its own words.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use homing::internals::tls::{CaCertificates, ClientIdentity, ServerName, TlsFailure, TlsOptions, Trust};
use homing::link::LinkError;
use homing::link::dial::dial;
use homing::link::tls::{Connector, TlsStream};
use homing::{BrokerUrl, ByteStream, Connecting, Options, Transport};
use homing_testkit::certificates::{Authority, Wrong};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);
const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const DAY: Duration = Duration::from_secs(86_400);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(90), test).await.expect("the test hangs") });
}

/// Who signs.
type Signer = Issuer<'static, KeyPair>;

/// A root, in PEM, changed as a test wants it.
fn root(change: impl FnOnce(&mut CertificateParams)) -> (Signer, String) {
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
fn signed(signer: &Signer, change: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, Signer) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "somebody");
    params.subject_alt_names = vec![name("localhost"), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let der = params.signed_by(&key, signer).unwrap().der().clone();
    (der, Issuer::new(params, key))
}

fn name(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn config(
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
async fn serve(config: ServerConfig) -> SocketAddr {
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

fn trusting(root: &str) -> TlsOptions {
    let mut options = TlsOptions::default();
    options.trust = Trust::Roots(CaCertificates::from_pem(root.as_bytes()).unwrap());
    options
}

async fn greeted(options: &TlsOptions, address: SocketAddr, host: &str) -> Result<TlsStream, LinkError> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = Connector::new(options).connect(stream, host, PATIENCE).await?;
    let mut said = [0; 5];
    stream.read_exact(&mut said).await.map_err(LinkError::from)?;
    Ok(stream)
}

/// How a server with this chain is met, under this name.
async fn met(root: &str, chain: Vec<CertificateDer<'static>>, key: &Signer, host: &str) -> Result<(), TlsFailure> {
    let mut first = None;
    for version in BOTH {
        let address = serve(config(chain.clone(), key.key(), &[version])).await;
        let met = match greeted(&trusting(root), address, host).await {
            Ok(_) => Ok(()),
            Err(LinkError::Tls(failure)) => Err(failure),
            Err(other) => panic!("not a failure of TLS: {other:?}"),
        };
        assert_eq!(first.get_or_insert(met.clone()), &met, "the version makes no difference");
    }
    first.unwrap()
}

#[test]
fn who_may_sign_and_who_may_serve_is_checked() {
    run(async {
        let (ca, pem) = root(|_| {});
        // For clients only.
        let (leaf, key) = signed(&ca, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        let told = met(&pem, vec![leaf], &key, "localhost").await.unwrap_err();
        assert!(matches!(&told, TlsFailure::BadCertificate { problem } if problem.contains("server")), "{told}");
        // Signed by somebody who is no authority.
        let (between, signer) = signed(&ca, |params| params.is_ca = IsCa::ExplicitNoCa);
        let (leaf, key) = signed(&signer, |_| {});
        let told = met(&pem, vec![leaf, between], &key, "localhost").await.unwrap_err();
        assert!(matches!(&told, TlsFailure::BadCertificate { problem } if problem.contains("no authority")), "{told}");
        // Somebody in between has expired: the server's own has not, and it would not help to renew it.
        let now = SystemTime::now();
        let (between, signer) = signed(&ca, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params.not_before, params.not_after) = ((now - 9 * DAY).into(), (now - 3 * DAY).into());
        });
        let (leaf, key) = signed(&signer, |_| {});
        let told = met(&pem, vec![leaf, between], &key, "localhost").await.unwrap_err();
        assert!(matches!(told, TlsFailure::Expired { .. }), "{told:?}");
        assert!(told.to_string().contains("in between"), "{told}");
        // A root that was given is trusted, whatever its own dates say.
        let (ca, pem) = root(|params| {
            (params.not_before, params.not_after) = ((now - 9 * DAY).into(), (now - 3 * DAY).into());
        });
        let (leaf, key) = signed(&ca, |_| {});
        assert_eq!(met(&pem, vec![leaf], &key, "localhost").await, Ok(()));
        // The server's own certificate, signed by itself and no authority, given as the root.
        let (own, pem) = root(|params| {
            params.is_ca = IsCa::ExplicitNoCa;
            params.subject_alt_names = vec![name("localhost")];
        });
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(met(&pem, vec![der], &own, "localhost").await, Ok(()));
    });
}

#[test]
fn names_are_matched_as_certificates_write_them() {
    run(async {
        let (ca, pem) = root(|_| {});
        let with = |names: Vec<SanType>| signed(&ca, |params| params.subject_alt_names = names);
        let v6 = SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST));
        let v4 = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (names, host, fits) in [
            (vec![name("*.home.example")], "broker.home.example", true),
            (vec![name("*.home.example")], "BROKER.Home.Example", true),
            (vec![name("*.home.example")], "home.example", false),
            (vec![name("*.home.example")], "a.broker.home.example", false),
            (vec![name("broker.example")], "broker.example.", true),
            (vec![name("xn--bcher-kva.example")], "xn--bcher-kva.example", true),
            (vec![name("my_broker.lan")], "my_broker.lan", true),
            (vec![v4.clone()], "127.0.0.1", true),
            (vec![v4.clone()], "127.0.0.2", false),
            (vec![v4.clone()], "localhost", false),
            (vec![v6.clone()], "::1", true),
            (vec![v6], "::2", false),
            // An address must stand there as one.
            (vec![name("127.0.0.1")], "127.0.0.1", false),
        ] {
            let (leaf, key) = with(names.clone());
            let told = met(&pem, vec![leaf], &key, host).await;
            match (told, fits) {
                (Ok(()), true) => {}
                (Err(TlsFailure::WrongHost { host: told, presented }), false) => {
                    assert_eq!((told.as_str(), presented.len()), (host, 1));
                    assert!(!presented[0].contains("IpAddress") && !presented[0].contains("Dns"), "{presented:?}");
                }
                (other, _) => panic!("{names:?} for {host}: {other:?}"),
            }
        }
        // As mosquitto's manual makes them: a common name and nothing else.
        let (leaf, key) = signed(&ca, |params| {
            params.distinguished_name.push(DnType::CommonName, "localhost");
            params.subject_alt_names = vec![];
        });
        let told = met(&pem, vec![leaf], &key, "localhost").await.unwrap_err();
        assert!(told.to_string().contains("subjectAltName"), "{told}");
    });
}

/// A server that answers the greeting with these bytes and closes.
async fn answering(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    address
}

async fn failure(options: &TlsOptions, address: SocketAddr) -> TlsFailure {
    match greeted(options, address, "localhost").await {
        Err(LinkError::Tls(failure)) => failure,
        Err(other) => panic!("not a failure of TLS: {other:?}"),
        Ok(_) => panic!("let through"),
    }
}

#[test]
fn each_alert_in_answer_to_the_greeting_has_its_meaning() {
    run(async {
        let options = trusting(&root(|_| {}).1);
        for (alert, words) in [
            (40, "no TLS version or cipher in common"),
            (70, "no TLS version or cipher in common"),
            (71, "no TLS version or cipher in common"),
            (112, "does not know the name localhost"),
            (120, "application protocols"),
            (116, "asks for a client certificate"),
            (10, "alert UnexpectedMessage"),
            (47, "alert IllegalParameter"),
            (50, "alert DecodeError"),
            (80, "alert InternalError"),
            (90, "alert UserCanceled"),
            (200, "alert AlertDescription(0xc8)"),
        ] {
            let told = failure(&options, answering(vec![21, 3, 3, 0, 2, 2, alert]).await).await;
            assert!(told.to_string().contains(words), "alert {alert}: {told:?}: {told}");
        }
        // In order, at once: it wants none of us, but it speaks TLS.
        let told = failure(&options, answering(vec![21, 3, 3, 0, 2, 1, 0]).await).await;
        assert!(!matches!(told, TlsFailure::NoTls { .. }), "{told:?}");
    });
}

#[test]
fn broken_tls_is_not_taken_for_another_protocol() {
    run(async {
        let options = trusting(&root(|_| {}).1);
        for (bytes, is_tls) in [
            (b"\x20\x02\x00\x00".to_vec(), false),
            (b"SSH-2.0-OpenSSH\r\n".to_vec(), false),
            // A record of the handshake with a ServerHello that is none.
            (vec![22, 3, 3, 0, 4, 2, 0, 0, 0], true),
            (vec![22, 3, 3, 0, 8, 2, 0, 0, 4, 3, 3, 0, 0], true),
            // Longer than a record may be.
            (vec![22, 3, 3, 255, 255], true),
            // An empty alert.
            (vec![21, 3, 3, 0, 0], true),
        ] {
            let told = failure(&options, answering(bytes.clone()).await).await;
            assert_eq!(!matches!(told, TlsFailure::NoTls { .. }), is_tls, "{bytes:?}: {told:?}");
        }
    });
}

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
fn a_handshake_that_stalls_anywhere_ends_in_time() {
    run(async {
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        let options = trusting(&pem);
        for version in BOTH {
            let server = serve(config(vec![leaf.clone()], key.key(), &[version])).await;
            for bytes in [0, 1, 4, 5, 6, 80, 130, 135, 300, 400] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let stalling = tokio::spawn(async move {
                    let (mut client, _) = listener.accept().await.unwrap();
                    let mut behind = TcpStream::connect(server).await.unwrap();
                    let (mut up, mut down) = (vec![0; 4096], vec![0; bytes]);
                    let count = client.read(&mut up).await.unwrap();
                    behind.write_all(&up[..count]).await.unwrap();
                    let mut read = 0;
                    // The whole of it may be shorter.
                    while read < bytes
                        && let Ok(count) =
                            tokio::time::timeout(Duration::from_millis(100), behind.read(&mut down[read..])).await
                    {
                        read += count.unwrap();
                    }
                    let _ = client.write_all(&down[..read]).await;
                    let _ = client.read_to_end(&mut up).await;
                });
                let began = Instant::now();
                let limit = Duration::from_millis(400);
                let stream = TcpStream::connect(address).await.unwrap();
                let error = Connector::new(&options).connect(stream, "localhost", limit).await.err();
                assert_eq!(error, Some(LinkError::Tls(TlsFailure::TimedOut { limit })), "{version:?} {bytes}");
                assert!(began.elapsed() < 5 * limit, "{:?}", began.elapsed());
                stalling.abort();
            }
        }
    });
}

#[test]
fn a_link_cut_without_a_goodbye_and_garbage_behind_the_handshake_are_told() {
    run(async {
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        for version in BOTH {
            for garbage in [
                &b""[..],
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
            ] {
                let acceptor =
                    tokio_rustls::TlsAcceptor::from(Arc::new(config(vec![leaf.clone()], key.key(), &[version])));
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                tokio::spawn(async move {
                    let (stream, _) = listener.accept().await.unwrap();
                    let mut stream = acceptor.accept(stream).await.unwrap();
                    stream.write_all(b"half a packet").await.unwrap();
                    stream.flush().await.unwrap();
                    let (tcp, _) = stream.get_mut();
                    tcp.write_all(garbage).await.unwrap();
                    tcp.shutdown().await.unwrap();
                    let _ = tcp.read_to_end(&mut Vec::new()).await;
                });
                let stream = TcpStream::connect(address).await.unwrap();
                let connector = Connector::new(&trusting(&pem));
                // What comes close behind may be met before the handshake is told to be over.
                let error = match connector.connect(stream, "localhost", PATIENCE).await {
                    Err(error) => error,
                    Ok(mut stream) => {
                        let mut all = Vec::new();
                        let error = stream.read_to_end(&mut all).await.unwrap_err();
                        // Who breaks TLS takes what came in the same breath with it; nothing of that was acknowledged.
                        assert!(all == b"half a packet" || all.is_empty() && !garbage.is_empty(), "{all:?}");
                        LinkError::from(error)
                    }
                };
                match garbage.len() {
                    0 => assert_eq!(error, LinkError::Eof),
                    _ => assert!(
                        matches!(&error, LinkError::Tls(failure) if !matches!(failure, TlsFailure::NoTls { .. })),
                        "{version:?}: {error:?}"
                    ),
                }
            }
        }
    });
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

#[test]
fn a_client_without_a_certificate_of_its_own_meets_a_server_that_only_asks() {
    run(async {
        // Asked for, not required: it gets through with none, with one of version 3, and is told if that one is foreign.
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
