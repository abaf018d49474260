//! Servers that end a link, or leave it, at any point.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use homing::internals::tls::TlsFailure;
use homing::link::LinkError;
use homing::link::tls::Connector;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{BOTH, PATIENCE, config, failure, root, run, serve, signed, trusting};

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

/// Forwards one connection, and flips a bit of the server's byte number `at`.
async fn flipping(server: SocketAddr, at: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut behind = TcpStream::connect(server).await.unwrap();
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), behind.split());
        let up = tokio::io::copy(&mut from_client, &mut to_server);
        let down = async {
            let (mut sent, mut buffer) = (0, [0; 4096]);
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                if (sent..sent + count).contains(&at) {
                    buffer[at - sent] ^= 1 << (at % 8);
                }
                sent += count;
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { _ = up => {}, () = down => {} }
    });
    address
}

#[test]
fn a_flipped_bit_in_what_a_server_says_never_gets_through() {
    run(async {
        let (ca, pem) = root(|_| {});
        let (leaf, key) = signed(&ca, |_| {});
        let connector = Connector::new(&trusting(&pem));
        for version in BOTH {
            let server = serve(config(vec![leaf.clone()], key.key(), &[version])).await;
            let (mut refused, mut passed) = (0, 0);
            for at in (0..1000).step_by(11) {
                let address = flipping(server, at).await;
                let stream = TcpStream::connect(address).await.unwrap();
                // A length that grew makes both sides wait.
                let met = async {
                    let limit = Duration::from_millis(300);
                    let mut stream = connector.connect(stream, "localhost", limit).await?;
                    let mut said = [0; 5];
                    match tokio::time::timeout(limit, stream.read_exact(&mut said)).await {
                        Ok(read) => read.map(|_| said).map_err(LinkError::from),
                        Err(_) => Err(LinkError::Eof),
                    }
                };
                match met.await {
                    Ok(said) => {
                        assert_eq!(&said, b"hello");
                        passed += 1;
                    }
                    Err(LinkError::Tls(_) | LinkError::Eof) => refused += 1,
                    Err(other) => panic!("{version:?}, byte {at}: {other:?}"),
                }
            }
            // Behind the greeting nothing is flipped any more, and the version in a record's head means nothing.
            assert!(refused > 20, "{version:?}: {refused} refused, {passed} passed");
        }
    });
}
