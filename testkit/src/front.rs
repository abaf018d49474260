//! What stands before a service's broker: TLS with ALPN and client certificates, and WebSocket. It hands bytes on to a plain
//! listener and remembers how each link was made.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, BytesMut};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Held;

/// How a link was made.
#[derive(Debug, Clone, Default)]
pub struct Greeting {
    /// The protocol that was agreed on.
    pub alpn: Option<String>,
    /// The name that the client wanted.
    pub sni: Option<String>,
    /// Whether it showed a certificate; one of another authority does not get so far.
    pub certificate: bool,
    /// Path and query, and the host that the request names.
    pub request: Option<(String, String)>,
}

/// The status that a WebSocket request is answered with, by path and query and by host.
pub type Upgrade = Arc<dyn Fn(&str, &str) -> u16 + Send + Sync>;

/// What a front asks for.
#[derive(Clone)]
pub struct Wanted<'a> {
    /// Its own certificate.
    pub server: &'a Held,
    /// The authority of clients, if they must show a certificate.
    pub clients: Option<PathBuf>,
    /// The protocols that it knows; none: it does not look.
    pub alpn: &'a [&'a str],
    /// MQTT in WebSocket frames.
    pub websocket: Option<Upgrade>,
}

/// A running front; it ends when dropped.
pub struct Front {
    port: u16,
    greetings: Greetings,
    _end: oneshot::Sender<()>,
}

/// By the address from which the front comes to the broker.
type Greetings = Arc<Mutex<HashMap<SocketAddr, Greeting>>>;

impl Front {
    /// On a free loopback port, before `target`.
    pub fn start(target: SocketAddr, wanted: &Wanted<'_>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(wanted)));
        let upgrade = wanted.websocket.clone();
        let greetings = Greetings::default();
        let kept = Arc::clone(&greetings);
        let (end, ended) = oneshot::channel::<()>();
        let (told, port) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("its address");
                told.send(address.port()).expect("somebody waits");
                let serve = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (acceptor, upgrade, kept) = (acceptor.clone(), upgrade.clone(), Arc::clone(&kept));
                        // A client that goes away in the middle is no fault of anybody's.
                        tokio::spawn(async move { one(stream, acceptor, upgrade, &kept, target).await });
                    }
                };
                tokio::select! { () = serve => {} _ = ended => {} }
            });
        });
        Self { port: port.recv().expect("it listens"), greetings, _end: end }
    }

    /// As `--broker` takes it; by name, so that the client can say whom it wants.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }

    /// How the link was made that comes to the broker from this address.
    pub fn greetings(&self) -> Arc<dyn Fn(SocketAddr) -> Greeting + Send + Sync> {
        let greetings = Arc::clone(&self.greetings);
        Arc::new(move |from| greetings.lock().expect("greetings").get(&from).cloned().unwrap_or_default())
    }
}

fn config(wanted: &Wanted<'_>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("versions");
    let builder = match &wanted.clients {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            chain(file).into_iter().for_each(|root| roots.add(root).expect("an authority"));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_file(&wanted.server.key).expect("the server's key");
    let mut config = builder.with_single_cert(chain(&wanted.server.chain), key).expect("the server's certificate");
    config.alpn_protocols = wanted.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

fn chain(file: &Path) -> Vec<CertificateDer<'static>> {
    let chain = CertificateDer::pem_file_iter(file).expect("a file of certificates");
    chain.map(|one| one.expect("a certificate")).collect()
}

async fn one(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    upgrade: Option<Upgrade>,
    kept: &Mutex<HashMap<SocketAddr, Greeting>>,
    target: SocketAddr,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let tls = stream.get_ref().1;
    let mut greeting = Greeting {
        alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        sni: tls.server_name().map(str::to_owned),
        certificate: tls.peer_certificates().is_some(),
        request: None,
    };
    if let Some(upgrade) = &upgrade {
        match answer(&mut stream, upgrade).await? {
            Some(request) => greeting.request = Some(request),
            None => return Ok(()),
        }
    }
    let mut broker = TcpStream::connect(target).await?;
    // Before the first byte: whoever reads that looks it up.
    kept.lock().expect("greetings").insert(broker.local_addr()?, greeting);
    match upgrade {
        Some(_) => framed(stream, broker).await,
        None => copy_bidirectional(&mut stream, &mut broker).await.map(drop),
    }
}

/// Reads the request, answers it, and returns path and host if it was accepted.
async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    upgrade: &Upgrade,
) -> std::io::Result<Option<(String, String)>> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let header = |name: &str| {
        let found = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = found.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let host = header("host");
    let status = match header("sec-websocket-protocol").as_str() {
        "mqtt" => upgrade(&target, &host),
        _ => 400,
    };
    let reply = match status {
        101 => {
            let key = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", header("sec-websocket-key"));
            let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()));
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
        }
        other => format!("HTTP/1.1 {other} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    };
    stream.write_all(reply.as_bytes()).await?;
    stream.flush().await?;
    Ok((status == 101).then_some((target, host)))
}

/// Takes the client's frames apart, and puts the broker's bytes into frames.
async fn framed(stream: impl AsyncRead + AsyncWrite, broker: TcpStream) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let (mut from_broker, mut to_broker) = broker.into_split();
    let up = async {
        while let Some(payload) = frame(&mut from_client).await? {
            to_broker.write_all(&payload).await?;
        }
        to_broker.shutdown().await
    };
    let down = async {
        let mut bytes = [0; 60_000];
        loop {
            let count = from_broker.read(&mut bytes).await?;
            let mut head = BytesMut::new();
            match count {
                0 => head.put_slice(&[0x88, 0]),
                1..126 => head.put_slice(&[0x82, count as u8]),
                _ => {
                    head.put_slice(&[0x82, 126]);
                    head.put_u16(count as u16);
                }
            }
            to_client.write_all(&head).await?;
            to_client.write_all(&bytes[..count]).await?;
            to_client.flush().await?;
            if count == 0 {
                return to_client.shutdown().await;
            }
        }
    };
    tokio::select! { ended = up => ended, ended = down => ended }
}

/// The payload of the next frame of the client; None: it says goodbye.
async fn frame(client: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<BytesMut>> {
    let head = [client.read_u8().await?, client.read_u8().await?];
    assert_eq!(head[1] & 0x80, 0x80, "a client masks its frames");
    let length = match head[1] & 0x7f {
        126 => usize::from(client.read_u16().await?),
        127 => client.read_u64().await? as usize,
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    client.read_exact(&mut mask).await?;
    let mut payload = BytesMut::zeroed(length);
    client.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    match head[0] & 0x0f {
        0 | 2 => Ok(Some(payload)),
        8 => Ok(None),
        // A ping or pong carries nothing for the broker.
        _ => {
            payload.advance(length);
            Ok(Some(payload))
        }
    }
}
