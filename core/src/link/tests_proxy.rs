//! Proxies that say no, or nonsense. Real ones are in the testkit's tests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::LinkError;
use super::http::AnswerError;
use super::proxy::{ProxyError, connect};
use super::tests::run;
use crate::model::proxy::ProxyUrl;

const LIMIT: Duration = Duration::from_secs(20);

/// So many bytes are read, then these are written.
type Step = (usize, &'static [u8]);

/// How a proxy that plays these steps fails.
async fn played(scheme: &str, steps: &'static [Step]) -> ProxyError {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = ProxyUrl::parse(&format!("{scheme}{}", listener.local_addr().unwrap())).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        for (read, write) in steps {
            stream.read_exact(&mut vec![0; *read]).unwrap();
            stream.write_all(write).unwrap();
        }
        // Closing with unread bytes would be a reset.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = connect(&proxy, "127.0.0.1", 1883, LIMIT).await.err().unwrap();
    serving.join().unwrap();
    assert!(error.to_string().starts_with(&format!("proxy {proxy}: ")) && !error.to_string().contains("sesame"));
    let LinkError::Proxy { error, .. } = error else { panic!("{error}") };
    error
}

#[test]
fn connect_is_refused_in_words() {
    run(async {
        let anonymous = "http://";
        let known = "http://user:sesame@";
        // The request is at least so long; the rest is read at the end.
        let refused = |status| ProxyError::Refused { status };
        assert_eq!(played(anonymous, &[(40, b"HTTP/1.1 403 No\r\n\r\n")]).await, refused(403));
        assert_eq!(played(anonymous, &[(40, b"HTTP/1.0 500 Not now\r\n\r\n")]).await, refused(500));
        let credentials = |given| ProxyError::Credentials { given };
        assert_eq!(played(anonymous, &[(40, b"HTTP/1.1 407 Who\r\n\r\n")]).await, credentials(false));
        assert_eq!(played(known, &[(40, b"HTTP/1.1 407 Who\r\n\r\n")]).await, credentials(true));
        assert_eq!(played(known, &[(40, b"HTTP/1.0 401 Wrong\r\n\r\n")]).await, credentials(true));
        assert_eq!(played(known, &[(40, b"\x05\xff")]).await, ProxyError::Answer(AnswerError::NotHttp));
        assert_eq!(played(known, &[(40, b"HTTP/1.1 200")]).await, ProxyError::Answer(AnswerError::Closed));
        assert_eq!(played(known, &[(40, b"HTTP/1.1 200 OK\r\n\r\nHello")]).await, ProxyError::Early);
    });
}

#[test]
fn socks_refuses_in_words() {
    run(async {
        let known = "socks5h://user:sesame@";
        let credentials = |given| ProxyError::Credentials { given };
        assert_eq!(played("socks5://", &[(3, b"\x05\xff")]).await, credentials(false));
        assert_eq!(played("socks5://", &[(3, b"\x05\x02")]).await, credentials(false));
        assert_eq!(played(known, &[(4, b"\x05\xff")]).await, credentials(true));
        assert_eq!(played(known, &[(4, b"\x05\x02"), (13, b"\x01\x01")]).await, credentials(true));
        assert_eq!(played(known, &[(4, b"HT")]).await, ProxyError::NotSocks);
        assert_eq!(played(known, &[(4, b"\x05\x00"), (10, b"\x05\x63\x00\x01")]).await, ProxyError::NotSocks);
        assert_eq!(played(known, &[(4, b"\x05")]).await, ProxyError::Answer(AnswerError::Closed));
        // A bound address that is a name, and none in UTF-8: of no interest, but no answer either.
        const NAMED: &[u8] = b"\x05\x00\x00\x03\x02\xff\xfe\x00\x01";
        assert_eq!(played("socks5://", &[(3, b"\x05\x00"), (10, NAMED)]).await, ProxyError::NotSocks);
        assert_eq!(played("socks5://", &[(3, b"\x05\x00"), (10, b"\x05\x00\x00\x09")]).await, ProxyError::NotSocks);
        assert_eq!(played("socks5://", &[(3, b"\x05\x01")]).await, ProxyError::NotSocks);
        assert_eq!(played("socks5://", &[(3, b"\x04\x5a")]).await, ProxyError::NotSocks);
        let replies: [(&'static [Step], &str); 3] = [
            (&[(3, b"\x05\x00"), (10, b"\x05\x02\x00\x01")], "connection not allowed by its rules"),
            (&[(3, b"\x05\x00"), (10, b"\x05\x04\x00\x01")], "host unreachable"),
            (&[(3, b"\x05\x00"), (10, b"\x05\x05\x00\x01")], "connection refused"),
        ];
        for (steps, words) in replies {
            assert_eq!(played("socks5://", steps).await, ProxyError::Reply(words));
        }
    });
}

#[test]
fn a_proxy_that_is_not_there_and_a_name_that_is_none() {
    run(async {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for scheme in ["http", "socks5", "socks5h"] {
            let proxy = ProxyUrl::parse(&format!("{scheme}://{free}")).unwrap();
            let error = connect(&proxy, "127.0.0.1", 1883, LIMIT).await.err().unwrap();
            assert!(matches!(&error, LinkError::Proxy { error: ProxyError::Unreachable(_), .. }), "{error}");
            assert!(error.to_string().contains("refused") && !error.refuses_credentials(), "{error}");
        }
        let proxy = ProxyUrl::parse(&format!("socks5h://{free}")).unwrap();
        let error = connect(&proxy, &"x".repeat(256), 1883, LIMIT).await.err().unwrap();
        assert!(matches!(&error, LinkError::Proxy { error: ProxyError::Name(_), .. }), "{error}");
    });
}
