//! TLS links against a server made of rustls, so that its version and its faults can be chosen: each fault has its own error.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use homing::internals::tls::{
    CaCertificates, ClientIdentity, ServerName, ServerTrust, SpkiPin, TlsFailure, TlsOptions, TlsVersion, Trust,
};
use homing::link::LinkError;
use homing::link::dial::dial;
use homing::link::tls::{Connector, TlsStream};
use homing::{BrokerUrl, Options};
use homing_testkit::certificates::{Authority, Held, Wrong};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::proxy::{Cut, Proxy};
use ring::digest::{SHA256, digest};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);
const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") });
}

fn trusting(authority: &Authority) -> TlsOptions {
    let mut options = TlsOptions::default();
    options.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
    options
}

fn identity(held: &Held) -> Option<ClientIdentity> {
    Some(ClientIdentity::from_pem_files(&held.chain, &held.key).unwrap())
}

fn pin(held: &Held) -> SpkiPin {
    SpkiPin::new(digest(&SHA256, &held.spki).as_ref().try_into().unwrap())
}

fn chain(files: &[&Held]) -> Vec<CertificateDer<'static>> {
    files.iter().flat_map(|held| CertificateDer::pem_file_iter(&held.chain).unwrap().map(Result::unwrap)).collect()
}

fn key(held: &Held) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(&held.key).unwrap()
}

fn config(held: &Held, versions: &[&'static SupportedProtocolVersion], clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&authority.file).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    builder.with_single_cert(chain(&[held]), key(held)).unwrap()
}

/// Says `hello` to everybody who gets through, and keeps the link until the client ends it.
async fn serve(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handshake = acceptor.accept(stream);
            tokio::spawn(async move {
                if let Ok(mut stream) = handshake.await {
                    stream.write_all(b"hello").await.unwrap();
                    stream.flush().await.unwrap();
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    });
    address
}

async fn connect(connector: &Connector, address: SocketAddr) -> Result<TlsStream, LinkError> {
    connector.connect(TcpStream::connect(address).await.unwrap(), &address.ip().to_string(), PATIENCE).await
}

/// The handshake and the first read.
async fn greeted(connector: &Connector, address: SocketAddr) -> Result<TlsStream, LinkError> {
    let mut stream = connect(connector, address).await?;
    let mut said = [0; 5];
    stream.read_exact(&mut said).await.map_err(LinkError::from)?;
    assert_eq!(&said, b"hello");
    Ok(stream)
}

async fn passes(options: &TlsOptions, address: SocketAddr) {
    greeted(&Connector::new(options), address).await.unwrap_or_else(|error| panic!("refused: {error}"));
}

async fn failure(options: &TlsOptions, address: SocketAddr) -> TlsFailure {
    match greeted(&Connector::new(options), address).await {
        Err(LinkError::Tls(failure)) => failure,
        Err(other) => panic!("not a failure of TLS: {other:?}"),
        Ok(_) => panic!("the server was let through"),
    }
}

#[test]
fn each_fault_of_a_servers_certificate_has_its_own_error() {
    run(async {
        let (ours, same_name, foreign) = (Authority::new(), Authority::new(), Authority::named("another authority"));
        let days = |from, to| Wrong { days: Some((from, to)), ..Wrong::default() };
        let elsewhere = Wrong { host: Some("other.example".to_owned()), ..Wrong::default() };
        let cases = [
            (ours.server(&days(-9, -3)), "expired 3 days ago"),
            (ours.server(&days(4, 9)), "valid only in"),
            (ours.server(&elsewhere), "not for 127.0.0.1 but for other.example"),
            (foreign.server(&Wrong::default()), "no authority that is trusted"),
            (same_name.server(&Wrong::default()), "no authority that is trusted"),
            (ours.server(&Wrong { between: 7, ..Wrong::default() }), "too long"),
            (ours.as_server(), "CA:TRUE"),
        ];
        for (held, words) in cases {
            for version in BOTH {
                let address = serve(config(&held, &[version], None)).await;
                let failure = failure(&trusting(&ours), address).await;
                assert!(failure.to_string().contains(words), "{words}: {failure:?}: {failure}");
                let right = match &failure {
                    TlsFailure::Expired { ago } => ago.as_secs() / 86_400 == 3,
                    TlsFailure::NotYetValid { ahead } => (3..=4).contains(&(ahead.as_secs() / 86_400)),
                    TlsFailure::WrongHost { presented, .. } => presented == &["other.example"],
                    other => {
                        matches!(other, TlsFailure::UnknownRoot | TlsFailure::ChainTooLong | TlsFailure::CaAsServer)
                    }
                };
                assert!(right, "{failure:?}");
            }
        }
    });
}

#[test]
fn chains_as_long_as_allowed_are_followed() {
    run(async {
        let ours = Authority::new();
        let long = serve(config(&ours.server(&Wrong { between: 6, ..Wrong::default() }), &BOTH, None)).await;
        passes(&trusting(&ours), long).await;
        let strict = Wrong { between: 2, allow_below: Some(0), ..Wrong::default() };
        let address = serve(config(&ours.server(&strict), &BOTH, None)).await;
        assert_eq!(failure(&trusting(&ours), address).await, TlsFailure::ChainTooLong);
    });
}

#[test]
fn a_server_is_let_through_by_any_of_the_pins_and_by_no_other_key() {
    run(async {
        let ours = Authority::new();
        let [now, next, revoked] = [(); 3].map(|()| ours.server(&Wrong::default()));
        let mut options = trusting(&ours);
        options.pins = vec![pin(&revoked), pin(&now)];
        for version in BOTH {
            passes(&options, serve(config(&now, &[version], None)).await).await;
            let after = serve(config(&next, &[version], None)).await;
            assert_eq!(failure(&options, after).await, TlsFailure::PinMismatch { found: pin(&next) });
        }
        // A pin replaces nothing: a pinned key of a foreign authority stays outside, unless nothing else is asked for.
        let foreign = Authority::new().server(&Wrong::default());
        options.pins = vec![pin(&foreign)];
        let address = serve(config(&foreign, &BOTH, None)).await;
        assert_eq!(failure(&options, address).await, TlsFailure::UnknownRoot);
        options.trust = Trust::DangerousAcceptAnyServer;
        passes(&options, address).await;
        // What a server shows beside its own certificate counts for nothing: anybody could show it.
        let liar = ours.server(&Wrong::default());
        let mut config = config(&liar, &BOTH, None);
        let both = CertifiedKey::new(chain(&[&liar, &foreign]), any_supported_type(&key(&liar)).unwrap());
        config.cert_resolver = Arc::new(SingleCertAndKey::from(both));
        assert_eq!(failure(&options, serve(config).await).await, TlsFailure::PinMismatch { found: pin(&liar) });
    });
}

#[test]
fn whoever_has_the_certificate_but_not_its_key_is_refused_even_without_verification() {
    run(async {
        let server = Authority::new().server(&Wrong::default());
        let thief = Authority::new().server(&Wrong::default());
        let mut options = TlsOptions::default();
        options.trust = Trust::DangerousAcceptAnyServer;
        options.pins = vec![pin(&server)];
        for version in BOTH {
            let mut config = config(&thief, &[version], None);
            let stolen = CertifiedKey::new(chain(&[&server]), any_supported_type(&key(&thief)).unwrap());
            config.cert_resolver = Arc::new(SingleCertAndKey::from(stolen));
            let failure = failure(&options, serve(config).await).await;
            assert_eq!(failure, TlsFailure::NotItsKey);
        }
    });
}

#[test]
fn client_certificates_are_shown_and_what_the_server_says_of_them_is_told() {
    run(async {
        let (ours, foreign) = (Authority::new(), Authority::new());
        let server = ours.server(&Wrong::default());
        let good = ours.client("phone", &Wrong { between: 1, ..Wrong::default() });
        let stranger = foreign.client("stranger", &Wrong::default());
        let expired = ours.client("old", &Wrong { days: Some((-9, -1)), ..Wrong::default() });
        for version in BOTH {
            let address = serve(config(&server, &[version], Some(&ours))).await;
            let mut options = trusting(&ours);
            assert_eq!(failure(&options, address).await, TlsFailure::ClientCertificateRequired, "{version:?}");
            options.identity = identity(&good);
            passes(&options, address).await;
            for bad in [&stranger, &expired] {
                options.identity = identity(bad);
                let failure = failure(&options, address).await;
                assert!(matches!(failure, TlsFailure::ClientCertificateRefused { .. }), "{version:?}: {failure:?}");
            }
        }
    });
}

#[test]
fn over_websocket_a_missing_client_certificate_is_told_the_same() {
    run(async {
        let ours = Authority::new();
        let server = ours.server(&Wrong::default());
        for version in BOTH {
            let address = serve(config(&server, &[version], Some(&ours))).await;
            let mut options = Options::new("unused");
            options.tls = trusting(&ours);
            let url = BrokerUrl::parse(&format!("wss://{address}/mqtt")).unwrap();
            let error = dial(&url, &options, &Connector::new(&options.tls), PATIENCE).await.err().unwrap();
            assert_eq!(error, LinkError::Tls(TlsFailure::ClientCertificateRequired), "{version:?}");
        }
    });
}

#[test]
fn the_second_link_resumes_the_session_of_the_first() {
    run(async {
        let ours = Authority::new();
        let server = ours.server(&Wrong::default());
        for version in BOTH {
            let address = serve(config(&server, &[version], None)).await;
            let connector = Connector::new(&trusting(&ours));
            let first = greeted(&connector, address).await.unwrap().is_resumed();
            let second = greeted(&connector, address).await.unwrap().is_resumed();
            let other = greeted(&Connector::new(&trusting(&ours)), address).await.unwrap().is_resumed();
            assert_eq!([first, second, other], [false, true, false], "{version:?}");
        }
        // And with OpenSSL behind a real broker.
        let broker = Mosquitto::start_tls(&server, None, "");
        let connector = Connector::new(&trusting(&ours));
        for resumed in [false, true] {
            let mut stream = connect(&connector, broker.address()).await.unwrap_or_else(|error| panic!("{error}"));
            stream.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00").await.unwrap();
            stream.flush().await.unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!((answer, stream.is_resumed()), ([0x20, 2, 0, 0], resumed));
        }
    });
}

#[test]
fn what_is_no_tls_or_never_answers_is_told_apart() {
    run(async {
        let options = trusting(&Authority::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let told = failure(&options, web).await;
        assert!(matches!(told, TlsFailure::NoTls { seen } if seen.contains("another protocol")), "{told:?}");

        let plain = Mosquitto::start(Inflight::Default);
        let told = failure(&options, plain.address()).await;
        assert!(matches!(told, TlsFailure::NoTls { seen } if seen.contains("closed the link")), "{told:?}");

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(silent.local_addr().unwrap()).await.unwrap();
        let limit = Duration::from_millis(200);
        let ended = Connector::new(&options).connect(stream, "localhost", limit).await.err().unwrap();
        assert_eq!(ended, LinkError::Tls(TlsFailure::TimedOut { limit }));
    });
}

#[test]
fn a_link_cut_in_the_middle_of_the_handshake_is_told_and_the_next_one_works() {
    run(async {
        let ours = Authority::new();
        let server = ours.server(&Wrong::default());
        for version in BOTH {
            let address = serve(config(&server, &[version], None)).await;
            let connector = Connector::new(&trusting(&ours));
            // From the second on a session is resumed, which takes few bytes.
            for bytes in [400, 1, 60, 120] {
                let proxy = Proxy::start(address, [Cut { up: None, down: Some(bytes) }]);
                let through = proxy.url().trim_start_matches("mqtt://").parse().unwrap();
                let error = connect(&connector, through).await.err().unwrap();
                assert!(matches!(error, LinkError::Tls(TlsFailure::Cut { .. })), "{bytes}: {error:?}");
                greeted(&connector, through).await.unwrap_or_else(|error| panic!("{error}"));
            }
        }
    });
}

#[test]
fn versions_and_protocols_must_be_common() {
    run(async {
        let ours = Authority::new();
        let server = ours.server(&Wrong::default());
        let mut options = trusting(&ours);
        options.min_version = TlsVersion::V13;
        let old = serve(config(&server, &[&TLS12], None)).await;
        let told = failure(&options, old).await;
        assert!(matches!(told, TlsFailure::NoCommonVersion { .. }), "{told:?}");
        let new = serve(config(&server, &BOTH, None)).await;
        assert_eq!(greeted(&Connector::new(&options), new).await.unwrap().version(), Some("TLSv1_3"));

        let mut config = config(&server, &BOTH, None);
        config.alpn_protocols = vec![b"mqtt".to_vec()];
        let address = serve(config).await;
        options.alpn = vec![b"x-amzn-mqtt-ca".to_vec()];
        assert_eq!(failure(&options, address).await, TlsFailure::AlpnRefused);
        options.alpn.push(b"mqtt".to_vec());
        passes(&options, address).await;
    });
}

#[test]
fn the_name_that_counts_can_be_another_than_the_address() {
    run(async {
        let ours = Authority::new();
        let server = ours.server(&Wrong { host: Some("broker.example".to_owned()), ..Wrong::default() });
        let address = serve(config(&server, &BOTH, None)).await;
        let mut options = trusting(&ours);
        options.server_name = Some(ServerName::new("broker.example").unwrap());
        passes(&options, address).await;
        options.server_name = Some(ServerName::new("another.example").unwrap());
        assert!(matches!(failure(&options, address).await, TlsFailure::WrongHost { .. }));
        options.trust = Trust::System(Arc::new(OnlyChains));
        assert!(matches!(failure(&options, address).await, TlsFailure::WrongHost { .. }));
        options.server_name = Some(ServerName::new("broker.example").unwrap());
        passes(&options, address).await;
    });
}

struct OnlyChains;
impl ServerTrust for OnlyChains {
    fn check(&self, _: &[&[u8]], _: &str) -> Result<(), String> {
        Ok(())
    }
}

struct Callback(Result<(), String>, Vec<u8>);

impl ServerTrust for Callback {
    fn check(&self, chain: &[&[u8]], host: &str) -> Result<(), String> {
        assert_eq!((chain.len(), chain[0], host), (2, &self.1[..], "127.0.0.1"));
        self.0.clone()
    }
}

#[test]
fn the_apps_own_trust_replaces_the_usual_one_but_not_the_pins() {
    run(async {
        let unknown = Authority::new();
        let server = unknown.server(&Wrong { between: 1, ..Wrong::default() });
        let leaf = chain(&[&server])[0].to_vec();
        let address = serve(config(&server, &BOTH, None)).await;
        let mut options = TlsOptions::default();
        options.trust = Trust::Custom(Arc::new(Callback(Ok(()), leaf.clone())));
        passes(&options, address).await;
        options.pins = vec![SpkiPin::new([7; 32])];
        assert_eq!(failure(&options, address).await, TlsFailure::PinMismatch { found: pin(&server) });
        options.trust = Trust::Custom(Arc::new(Callback(Err("not by us".to_owned()), leaf)));
        assert_eq!(failure(&options, address).await, TlsFailure::NotTrusted { reason: "not by us".to_owned() });
    });
}
