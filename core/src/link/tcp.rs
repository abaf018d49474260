//! TCP: names looked up anew for each attempt, addresses raced over IPv6 and IPv4 (RFC 8305, "happy eyeballs").

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::LinkError;

/// How long an address is tried alone before the next one joins (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// MQTT's keep alive notices a dead link much earlier; this is for those who turned it off. So long that it wakes no phone's
/// radio which an app has set a long keep alive to spare.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Connects to the first address of `host` that answers, within `limit`, the look-up included. `host` is a name or an address,
/// IPv6 without brackets.
///
/// # Errors
/// [`LinkError::Other`] with what went wrong at each address.
pub async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, LinkError> {
    let mut errors = Vec::new();
    let race = async {
        // Anew each time: on a phone the network, and with it the answer, may have changed.
        match tokio::net::lookup_host((host, port)).await {
            Ok(found) => race(interleave(found.collect()), &mut errors).await,
            Err(error) => {
                errors.push(format!("name not found: {error}"));
                None
            }
        }
    };
    let in_time = timeout(limit, race).await;
    if let Ok(Some(stream)) = in_time {
        return prepare(stream);
    }
    if in_time.is_err() {
        errors.push(format!("no answer within {limit:?}"));
    } else if errors.is_empty() {
        errors.push("the name has no address".to_owned());
    }
    Err(LinkError::Other(format!("{host}, port {port}: {}", errors.join("; "))))
}

/// The first to connect wins; dropping the set ends the others.
async fn race(addresses: Vec<SocketAddr>, errors: &mut Vec<String>) -> Option<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = waiting.next() {
            attempts
                .spawn(async move { TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}")) });
        }
        let finished = if waiting.len() == 0 {
            attempts.join_next().await?
        } else {
            match timeout(STAGGER, attempts.join_next()).await {
                Ok(finished) => finished?,
                Err(_) => continue,
            }
        };
        match finished {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => errors.push(error),
            Err(error) => errors.push(error.to_string()),
        }
    }
}

/// The families take turns, beginning with the one that the system puts first (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let v6_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv6() == v6_first);
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|at| [first.get(at).copied(), second.get(at).copied()]).flatten().collect()
}

fn prepare(stream: TcpStream) -> Result<TcpStream, LinkError> {
    // A turn hands over all it has at once; to wait for more would only delay acknowledgements.
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::*;
    use crate::link::tests::run;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// A port on which nobody listens; it was free a moment ago.
    fn refusing() -> SocketAddr {
        listener().local_addr().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let mixed = interleave(vec![address("[::1]:1"), address("[::2]:1"), address("1.1.1.1:1"), address("[::3]:1")]);
        assert_eq!(mixed, [address("[::1]:1"), address("1.1.1.1:1"), address("[::2]:1"), address("[::3]:1")]);
        let mixed = interleave(vec![address("1.1.1.1:1"), address("1.1.1.2:1"), address("[::1]:1")]);
        assert_eq!(mixed, [address("1.1.1.1:1"), address("[::1]:1"), address("1.1.1.2:1")]);
        assert_eq!(interleave(vec![]), []);
    }

    #[test]
    fn a_link_has_no_delay_and_a_keep_alive() {
        run(async {
            let listener = listener();
            let address = listener.local_addr().unwrap();
            let mut errors = Vec::new();
            let stream = race(vec![address], &mut errors).await.unwrap();
            let (raw, socket) = (stream.into_std().unwrap(), listener.accept().unwrap().0);
            let raw2 = raw.try_clone().unwrap();
            prepare(TcpStream::from_std(raw).unwrap()).unwrap();
            assert!(raw2.nodelay().unwrap() && SockRef::from(&raw2).keepalive().unwrap());
            drop(socket);
        });
    }

    #[test]
    fn after_a_refusal_the_next_address_is_tried_at_once() {
        run(async {
            let listener = listener();
            let mut errors = Vec::new();
            let started = std::time::Instant::now();
            let refusals = (0..20).map(|_| refusing());
            let stream = race(refusals.chain([listener.local_addr().unwrap()]).collect(), &mut errors).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
            assert_eq!(errors.len(), 20);
            // Twenty staggers would be five seconds.
            assert!(started.elapsed() < 8 * STAGGER, "{:?}", started.elapsed());
        });
    }

    /// A listener whose queue is full: further SYNs get no answer.
    fn silent() -> (TcpListener, Vec<std::net::TcpStream>) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address("127.0.0.1:0").into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, STAGGER) {
            held.push(stream);
            assert!(held.len() < 100, "the queue never fills");
        }
        (listener, held)
    }

    #[test]
    fn a_silent_address_does_not_hold_up_the_next() {
        run(async {
            let (silent, _held) = silent();
            let listener = listener();
            let addresses = vec![silent.local_addr().unwrap(), listener.local_addr().unwrap()];
            let stream = race(addresses, &mut Vec::new()).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        });
    }

    #[test]
    fn all_that_went_wrong_stands_in_one_text() {
        run(async {
            let refusing = refusing();
            let error = connect("127.0.0.1", refusing.port(), Duration::from_secs(5)).await.err().unwrap();
            let text = error.to_string();
            assert!(text.contains(&refusing.to_string()) && text.contains("refused"), "{text}");

            let (silent, _held) = silent();
            let port = silent.local_addr().unwrap().port();
            let error = connect("127.0.0.1", port, Duration::from_millis(50)).await.err().unwrap();
            assert!(error.to_string().ends_with("no answer within 50ms"), "{error}");

            let error = connect("", 1, Duration::from_secs(5)).await.err().unwrap();
            assert!(error.to_string().contains("name not found"), "{error}");
        });
    }

    #[test]
    fn an_ipv6_address_is_taken_without_brackets() {
        // A machine without IPv6 cannot show it; then the refusal must at least name the address.
        run(async {
            let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
            let port = listener.as_ref().map_or(1, |listener| listener.local_addr().unwrap().port());
            match connect("::1", port, Duration::from_secs(5)).await {
                Ok(_) => assert!(listener.is_ok()),
                Err(error) => assert!(listener.is_err() && error.to_string().contains("[::1]"), "{error}"),
            }
        });
    }
}
