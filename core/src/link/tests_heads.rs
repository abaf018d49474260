//! Answers of WebSocket servers and proxies that come late, in pieces, in several parts, or with more behind them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;

use super::dial::dial;
use super::http::AnswerError;
use super::proxy::ProxyError;
use super::tests::run;
use super::tls::Connector;
use super::websocket::WebSocketError;
use super::{Link, LinkError};
use crate::model::broker_url::BrokerUrl;
use crate::model::options::Options;
use crate::model::proxy::{Proxy, ProxyUrl};
use crate::model::tls::TlsOptions;

const UP: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";

/// Writes so many bytes at a time.
#[derive(Clone, Copy)]
struct Pace(usize);

fn write(stream: &mut TcpStream, bytes: &[u8], Pace(pace): Pace) {
    stream.set_nodelay(true).unwrap();
    for part in bytes.chunks(pace) {
        // A client that has given up is no fault of the server.
        if stream.write_all(part).is_err() {
            return;
        }
    }
}

fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// A link to a server that answers with this head (`ACCEPT` stands for the right key) and these bytes behind it.
async fn answered(head: &str, behind: &[u8], pace: Pace) -> Result<Link, LinkError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/mqtt", listener.local_addr().unwrap());
    let (head, behind) = (head.to_owned(), behind.to_vec());
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let request = request(&mut stream);
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let head = head.replace("ACCEPT", &derive_accept_key(key.as_bytes()));
        write(&mut stream, &[head.as_bytes(), &behind].concat(), pace);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let options = Options::new("unused");
    let connector = Connector::new(&TlsOptions::default());
    let link = dial(&BrokerUrl::parse(&url).unwrap(), &options, &connector, Duration::from_secs(20)).await;
    drop(serving);
    link
}

/// Everything until the link ends.
async fn all(mut link: Link) -> Vec<u8> {
    while link.failure().is_none() {
        std::future::poll_fn(|cx| link.poll_io(cx, true)).await;
        // Told once, or the runtime would never look at its sockets.
        link.take_drained();
    }
    assert_eq!(link.failure(), Some(&LinkError::Eof));
    link.input().to_vec()
}

/// An unmasked binary frame.
fn frame(payload: &[u8]) -> Vec<u8> {
    [&[0x82, 126, (payload.len() >> 8) as u8, payload.len() as u8], payload].concat()
}

#[test]
fn interim_answers_are_skipped_before_the_upgrade() {
    run(async {
        let head = format!("HTTP/1.1 100 Continue\r\n\r\n{EARLY}{EARLY}{UP}");
        for pace in [Pace(1), Pace(usize::MAX)] {
            let link = answered(&head, &frame(b"early"), pace).await.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(all(link).await, b"early");
        }
        let refused = answered(&format!("{EARLY}HTTP/1.1 404 Not Found\r\n\r\n"), b"", Pace(7)).await.err();
        let refused = refused.map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|error| error.starts_with("HTTP 404")), "{refused:?}");
    });
}

#[test]
fn interim_answers_without_end_are_given_up() {
    run(async {
        let too_long = LinkError::WebSocket(WebSocketError::Answer(AnswerError::TooLong));
        let endless = EARLY.repeat(1000);
        assert_eq!(answered(&endless, b"", Pace(1000)).await.err(), Some(too_long));
        let closed = LinkError::WebSocket(WebSocketError::Answer(AnswerError::Closed));
        assert_eq!(answered(EARLY, b"", Pace(1000)).await.err(), Some(closed));
    });
}

#[test]
fn an_answer_in_single_bytes_with_data_glued_behind_it_loses_nothing() {
    run(async {
        let bytes: Vec<u8> = (0..30_000_u32).map(|at| at as u8).collect();
        for pace in [Pace(1), Pace(333), Pace(usize::MAX)] {
            let link = answered(UP, &frame(&bytes), pace).await.unwrap_or_else(|error| panic!("{error}"));
            assert!(all(link).await == bytes);
        }
        // The longest head that is taken, byte by byte.
        let long = UP.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "y".repeat(15_000)));
        let began = std::time::Instant::now();
        let link = answered(&long, &frame(b"x"), Pace(1)).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(all(link).await, b"x");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
}

#[test]
fn heads_that_break_http_are_refused_with_their_own_error() {
    run(async {
        let answer = |error| LinkError::WebSocket(WebSocketError::Answer(error));
        let many = UP.replace("\r\n\r\n", &format!("\r\n{}\r\n", "a: b\r\n".repeat(100)));
        for (head, error) in [
            ("", AnswerError::Closed),
            ("HTTP/1.1 101", AnswerError::Closed),
            (&UP[..UP.len() - 2], AnswerError::Closed),
            ("HTTP/2 101 Yes\r\n\r\n", AnswerError::NotHttp),
            ("HTTP/1.1 1010 Yes\r\n\r\n", AnswerError::NotHttp),
            ("HTTP/1.1 abc Yes\r\n\r\n", AnswerError::NotHttp),
            ("HTTP/1.1 101 Yes\r\nno colon\r\n\r\n", AnswerError::NotHttp),
            ("HTTP/1.1 101 Yes\r\nA\0: b\r\n\r\n", AnswerError::NotHttp),
            ("\x16\x03\x01\x02\x00", AnswerError::NotHttp),
            ("\x20\x02\x00\x00", AnswerError::NotHttp),
            (&many, AnswerError::TooLong),
        ] {
            assert_eq!(answered(head, b"", Pace(5)).await.err(), Some(answer(error)), "{head:?}");
        }
    });
}

/// A link through a proxy that answers CONNECT like this, then plays the broker.
async fn tunnelled(answer: &'static str) -> Result<Link, LinkError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = ProxyUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        request(&mut stream);
        write(&mut stream, answer.as_bytes(), Pace(3));
        let mut heard = [0; 4];
        if stream.read_exact(&mut heard).is_ok() {
            write(&mut stream, &heard, Pace(1));
        }
    });
    let mut options = Options::new("unused");
    options.proxy = Proxy::Url(proxy);
    let broker = BrokerUrl::parse("mqtt://broker.example").unwrap();
    dial(&broker, &options, &Connector::new(&TlsOptions::default()), Duration::from_secs(20)).await
}

#[test]
fn interim_answers_of_a_proxy_are_skipped() {
    run(async {
        for answer in [
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.0 200\r\nContent-Length: 0\r\n\r\n",
        ] {
            let mut link = tunnelled(answer).await.unwrap_or_else(|error| panic!("{error}"));
            link.output().extend_from_slice(b"ping");
            assert_eq!(all(link).await, b"ping");
        }
        for (answer, expected) in [
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 Who\r\n\r\n", ProxyError::Credentials { given: false }),
            ("HTTP/1.1 101 Switching\r\n\r\n", ProxyError::Refused { status: 101 }),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\x20", ProxyError::Early),
        ] {
            let Some(LinkError::Proxy { error, .. }) = tunnelled(answer).await.err() else { panic!("{answer}") };
            assert_eq!(error, expected, "{answer}");
        }
    });
}
