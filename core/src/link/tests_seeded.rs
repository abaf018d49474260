//! Servers driven by a seed: right answers of WebSocket servers and proxies, spoilt somewhere; and servers that never stop.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::handshake::derive_accept_key;

use super::LinkError;
use super::dial::dial;
use super::tests::run;
use super::tls::Connector;
use crate::model::broker_url::BrokerUrl;
use crate::model::message::Publish;
use crate::model::options::Options;
use crate::model::proxy::{Proxy, ProxyUrl};
use crate::model::tls::TlsOptions;
use crate::model::topic::TopicName;

/// Reads until a head is complete; what it was is None if the client has gone.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    String::from_utf8(head).ok()
}

fn upgraded(request: &str) -> Vec<u8> {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    .into_bytes()
}

/// Cuts, flips, doubles, inserts: one to three times.
fn spoilt(mut bytes: Vec<u8>, rng: &mut fastrand::Rng) -> Vec<u8> {
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..bytes.len().max(1)).min(bytes.len());
        match rng.u8(..5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            2 => bytes.insert(at, rng.u8(..)),
            3 => {
                let tail = bytes[at..].to_vec();
                bytes.extend(tail);
            }
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes
}

/// Plays a server whose words are spoilt, for one connection.
fn serve(mut stream: TcpStream, scheme: &str, seed: u64) -> Option<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut say = |stream: &mut TcpStream, right: Vec<u8>| {
        for part in spoilt(right, &mut rng).chunks(7) {
            stream.write_all(part).ok()?;
        }
        Some(())
    };
    match scheme {
        "ws" => {
            let mut right = upgraded(&request(&mut stream)?);
            right.extend(b"\x02\x02\x20\x03\x89\x01p\x80\x03\x00\x00\x00\x88\x02\x03\xe8");
            say(&mut stream, right)?;
        }
        "http" => {
            request(&mut stream)?;
            say(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\n".to_vec())?;
        }
        _ => {
            stream.read_exact(&mut [0; 3]).ok()?;
            say(&mut stream, b"\x05\x00".to_vec())?;
            stream.read_exact(&mut [0; 10]).ok()?;
            say(&mut stream, b"\x05\x00\x00\x03\x04name\x01\xbb".to_vec())?;
        }
    }
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    stream.read_to_end(&mut Vec::new()).ok().map(drop)
}

#[test]
fn spoilt_answers_end_in_time_and_in_order() {
    for scheme in ["ws", "http", "socks5"] {
        for seed in 0..60_u64 {
            run(async {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                thread::spawn(move || serve(listener.accept().unwrap().0, scheme, seed));
                let mut options = Options::new("unused");
                let url = match scheme {
                    "ws" => format!("ws://{address}/mqtt"),
                    _ => {
                        options.proxy = Proxy::Url(ProxyUrl::parse(&format!("{scheme}://{address}")).unwrap());
                        "mqtt://127.0.0.1:1883".to_owned()
                    }
                };
                let broker = BrokerUrl::parse(&url).unwrap();
                let connector = Connector::new(&TlsOptions::default());
                match dial(&broker, &options, &connector, Duration::from_millis(300)).await {
                    Err(LinkError::WebSocket(_)) => assert_eq!(scheme, "ws", "seed {seed}"),
                    Err(LinkError::Proxy { .. }) => assert_ne!(scheme, "ws", "seed {seed}"),
                    // Both wait for the other.
                    Err(LinkError::Other(text)) if text.contains("no answer within 300ms from the proxy") => {}
                    Err(other) => panic!("{scheme}, seed {seed}: {other:?}"),
                    Ok(mut link) => {
                        while link.failure().is_none() {
                            std::future::poll_fn(|cx| link.poll_io(cx, true)).await;
                            link.take_drained();
                        }
                    }
                }
            });
        }
    }
}

#[test]
fn a_server_that_never_stops_sending_nothing_holds_nothing_up() {
    // A ping, a frame without a payload, a pong nobody asked for.
    for frame in [&b"\x89\x01p"[..], b"\x82\x00", b"\x8a\x00"] {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("ws://{}/mqtt", listener.local_addr().unwrap());
            let flooding = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let up = upgraded(&request(&mut stream).unwrap());
                stream.write_all(&up).unwrap();
                let many = frame.repeat(20_000);
                let mut sent = 0_u64;
                // It reads nothing either: pongs have nowhere to go.
                while stream.write_all(&many).is_ok() {
                    sent += many.len() as u64;
                }
                sent
            });
            let folder = tempfile::tempdir().unwrap();
            let mut options = Options::new(folder.path().join("store.db"));
            options.broker = Some(BrokerUrl::parse(&url).unwrap());
            let client = crate::Homing::open(options).await.unwrap();
            let began = Instant::now();
            for _ in 0..20 {
                let asked = Instant::now();
                client.publish(Publish::new(TopicName::new("a").unwrap(), "b")).await.unwrap();
                assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            client.close(Duration::from_secs(2)).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
            assert!(flooding.join().unwrap() > 1 << 20, "it was no flood");
        });
    }
}
