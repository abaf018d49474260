//! The upgrade: what is asked, and every answer that is none. The servers are a thread and a blocking socket each.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, accept_hdr};

use super::dial::dial;
use super::http::AnswerError;
use super::tests::run;
use super::tls::Connector;
use super::websocket::WebSocketError;
use super::{Link, LinkError};
use crate::model::broker_url::BrokerUrl;
use crate::model::http_header::HttpHeader;
use crate::model::options::Options;
use crate::model::tls::TlsOptions;

/// A server for one connection; its URL ends without a slash.
fn server<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (url, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Reads a request's head.
fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let found = request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {request}"))
}

fn plain() -> Connector {
    Connector::new(&TlsOptions::default())
}

async fn link(url: &str, headers: Vec<HttpHeader>) -> Result<Link, LinkError> {
    let mut options = Options::new("unused");
    options.websocket_headers = headers;
    dial(&BrokerUrl::parse(url).unwrap(), &options, &plain(), Duration::from_secs(20)).await
}

/// How a server that answers with this text fails; `ACCEPT` stands for the right key.
async fn answered(answer: &'static str) -> LinkError {
    let (url, serving) = server(move |mut stream| {
        let request = request(&mut stream);
        let accept = derive_accept_key(header(&request, "Sec-WebSocket-Key").as_bytes());
        stream.write_all(answer.replace("ACCEPT", &accept).as_bytes()).unwrap();
    });
    let error = link(&url, vec![]).await.err().unwrap();
    serving.join().unwrap();
    error
}

#[test]
fn the_request_holds_what_the_options_and_the_url_say() {
    run(async {
        let (url, serving) = server(|mut stream| request(&mut stream));
        let token = HttpHeader::new("X-Token", "sesame").unwrap();
        let url = url.replace("ws://", "ws://user:secret@") + "/mqtt/a%20b?token=1";
        let error = link(&url, vec![token]).await.err().unwrap();
        assert_eq!(error, LinkError::WebSocket(WebSocketError::Answer(AnswerError::Closed)));
        let request = serving.join().unwrap();
        assert!(request.starts_with("GET /mqtt/a%20b?token=1 HTTP/1.1\r\n"), "{request}");
        assert_eq!(header(&request, "Sec-WebSocket-Protocol"), "mqtt");
        assert_eq!(header(&request, "X-Token"), "sesame");
        assert!(url.contains(header(&request, "Host")) && !request.contains("secret"), "{request}");
    });
}

#[test]
fn the_host_is_written_as_http_wants_it() {
    for (url, host) in [
        ("ws://home", "home"),
        ("ws://home:80/x", "home"),
        ("wss://home:443", "home"),
        ("wss://home:80", "home:80"),
        ("ws://[::1]", "[::1]"),
        ("wss://[fd00::1]:8443/mqtt", "[fd00::1]:8443"),
    ] {
        let request = super::websocket::request(&BrokerUrl::parse(url).unwrap(), &[], "key");
        assert_eq!(header(&request, "Host"), host, "{url}");
    }
}

#[test]
fn statuses_are_told_apart() {
    run(async {
        for (answer, status, words) in [
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", 401, "refuses the credentials"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", 403, "refuses the credentials"),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", 404, "check the path"),
            ("HTTP/1.0 503 Unavailable\r\n\r\n", 503, "cannot serve"),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, "refused the WebSocket"),
            ("HTTP/1.1 301 Moved\r\nLocation: https://new/mqtt?token=1\r\n\r\n", 301, "moved to https://new/mqtt; "),
        ] {
            let error = answered(answer).await;
            assert!(error.to_string().contains(words) && !error.to_string().contains("token"), "{error}");
            assert_eq!(error.refuses_credentials(), matches!(status, 401 | 403), "{error}");
            let LinkError::WebSocket(WebSocketError::Refused { status: found, .. }) = error else { panic!("{error}") };
            assert_eq!(found, status);
        }
    });
}

#[test]
fn an_answer_that_is_not_an_upgrade_to_mqtt_is_refused() {
    run(async {
        const UP: &str =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
        let wrong = |error: LinkError| match error {
            LinkError::WebSocket(error) => error,
            other => panic!("{other}"),
        };
        let answers: [(&'static str, &str); 4] = [
            ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n", "does not say that it upgrades"),
            (concat_up("Sec-WebSocket-Accept: AAAA\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", UP), "our key"),
            (
                concat_up(
                    "Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: mqtt\r\n\
                     Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                    UP,
                ),
                "extension",
            ),
            ("SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        ];
        for (answer, words) in answers {
            let error = wrong(answered(answer).await);
            assert!(error.to_string().contains(words), "{error}");
        }
        for (protocol, chosen) in [("", None), ("Sec-WebSocket-Protocol: mqttv3.1\r\n", Some("mqttv3.1"))] {
            let answer = format!("Sec-WebSocket-Accept: ACCEPT\r\n{protocol}\r\n");
            let error = wrong(answered(concat_up(&answer, UP)).await);
            assert_eq!(error, WebSocketError::Subprotocol { chosen: chosen.map(str::to_owned) });
        }
    });
}

fn concat_up(rest: &str, up: &str) -> &'static str {
    Box::leak(format!("{up}{rest}").into_boxed_str())
}

#[test]
fn an_endless_head_and_a_silent_server_are_given_up() {
    run(async {
        let (url, serving) = server(|mut stream| {
            request(&mut stream);
            let line = format!("X: {}\r\n", "y".repeat(1000));
            stream.write_all(b"HTTP/1.1 101 Yes\r\n").unwrap();
            while stream.write_all(line.as_bytes()).is_ok() {}
        });
        let error = link(&url, vec![]).await.err();
        assert_eq!(error, Some(LinkError::WebSocket(WebSocketError::Answer(AnswerError::TooLong))));
        serving.join().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = BrokerUrl::parse(&format!("ws://{}", listener.local_addr().unwrap())).unwrap();
        let error = dial(&url, &Options::new("unused"), &plain(), Duration::from_millis(200)).await.err().unwrap();
        assert!(error.to_string().contains("no answer within 200ms from the WebSocket server"), "{error}");
    });
}

/// `tungstenite` as an independent server.
#[test]
#[allow(clippy::result_large_err, reason = "tungstenite's own type")]
fn another_implementation_understands_us() {
    run(async {
        let (url, serving) = server(|stream| {
            let agree = |request: &Request, mut response: Response| {
                assert_eq!(request.headers()["sec-websocket-protocol"], "mqtt");
                response.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().unwrap());
                Ok(response)
            };
            let mut socket = accept_hdr(stream, agree).unwrap();
            let (mut got, mut pongs) = (Vec::new(), 0);
            socket.send(Message::Ping(b"there?".to_vec().into())).unwrap();
            while got.len() < 200_000 || pongs == 0 {
                match socket.read().unwrap() {
                    Message::Binary(bytes) => got.extend_from_slice(&bytes),
                    Message::Pong(bytes) => pongs += usize::from(&bytes[..] == b"there?"),
                    other => panic!("{other:?}"),
                }
            }
            socket.send(Message::Binary(got.into())).unwrap();
            while let Ok(message) = socket.read() {
                assert!(message.is_close(), "{message:?}");
            }
            pongs
        });
        let mut link = link(&format!("{url}/mqtt"), vec![]).await.unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        link.output().extend_from_slice(&bytes);
        while link.input().len() < bytes.len() {
            assert_eq!(link.failure(), None);
            std::future::poll_fn(|cx| link.poll_io(cx, true)).await;
            link.take_drained();
        }
        assert!(link.input()[..] == bytes);
        Box::new(link).finish().await;
        assert_eq!(serving.join().unwrap(), 1);
    });
}
