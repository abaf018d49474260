//! Handshakes: full, and with a session that is resumed. Client and server are two threads of this process, over
//! loopback; only a server that remembers sessions lets them be resumed.
//!
//! `cargo bench -p homing --features internals --bench tls [-- COUNT]` (500). Times are microseconds: median and 99% of connecting
//! until the first byte from the server, and what the client's thread computed on average (Linux).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may panic, and prints")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::cpu;
use homing::link::tls::Connector;
use homing::{CaCertificates, ClientIdentity, TlsOptions, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use tokio::io::AsyncReadExt;

const PATIENCE: Duration = Duration::from_secs(10);

struct Made {
    root: String,
    root_der: CertificateDer<'static>,
    certificate: (String, CertificateDer<'static>),
    key: KeyPair,
}

fn made() -> Made {
    let root_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(params, root_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    Made { root: root.pem(), root_der: root.der().clone(), certificate: (leaf.pem(), leaf.der().clone()), key }
}

/// Greets every client with one byte.
fn serve(made: &Made, version: &'static SupportedProtocolVersion, mutual: bool, resume: bool) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(made.root_der.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(made.key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![made.certificate.1.clone()], key).unwrap();
    if !resume {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            if stream.write_all(b"!").is_ok() {
                // The client's end; an error is as good.
                let _ = stream.read(&mut [0]);
            }
        }
    });
    address
}

async fn once(connector: &Connector, address: SocketAddr) -> bool {
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut stream = connector.connect(tcp, "localhost", PATIENCE).await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    stream.is_resumed()
}

async fn measure(name: &str, made: &Made, version: &'static SupportedProtocolVersion, mutual: bool, count: usize) {
    let mut options = TlsOptions::default();
    options.trust = Trust::Roots(CaCertificates::from_pem(made.root.as_bytes()).unwrap());
    if mutual {
        let key = made.key.serialize_pem();
        options.identity = Some(ClientIdentity::from_pem(made.certificate.0.as_bytes(), key.as_bytes()).unwrap());
    }
    for resumed in [false, true] {
        let address = serve(made, version, mutual, resumed);
        let connector = Connector::new(&options);
        once(&connector, address).await;
        let mut times = Vec::with_capacity(count);
        let mut computed = Duration::ZERO;
        for _ in 0..count {
            let (before, start) = (cpu(), Instant::now());
            assert_eq!(once(&connector, address).await, resumed);
            times.push(start.elapsed());
            computed += cpu() - before;
        }
        times.sort_unstable();
        let kind = if resumed { "resumed" } else { "full" };
        let mean = computed.as_micros() / count as u128;
        let (median, late) = (times[count / 2].as_micros(), times[count * 99 / 100].as_micros());
        println!("{name:16} {kind:8} median {median:6} µs  99% {late:6} µs  client computes {mean:6} µs");
    }
}

fn main() {
    let count = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(500);
    let made = made();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        measure("TLS 1.2", &made, &TLS12, false, count).await;
        measure("TLS 1.3", &made, &TLS13, false, count).await;
        measure("TLS 1.2 mutual", &made, &TLS12, true, count).await;
        measure("TLS 1.3 mutual", &made, &TLS13, true, count).await;
    });
}
