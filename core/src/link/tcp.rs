//! TCP: names looked up anew for each attempt, addresses raced over IPv6 and IPv4 (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Link, LinkError};

/// How long an address may be tried alone before the next one joins (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first address of `host` that answers, within `limit`.
///
/// # Errors
/// All that went wrong, in one line.
pub async fn connect(host: &str, port: u16, limit: Duration) -> Result<Link, LinkError> {
    match tokio::time::timeout(limit, race(host, port)).await {
        Ok(result) => result,
        Err(_) => Err(LinkError::Other(format!("{host}:{port} did not answer within {} s", limit.as_secs()))),
    }
}

async fn race(host: &str, port: u16) -> Result<Link, LinkError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| LinkError::Other(format!("{host} was not found: {error}")))?;
    let mut waiting = interleave(found.collect()).into_iter();
    let mut attempts = JoinSet::new();
    let mut errors = Vec::new();
    loop {
        let next = waiting.next();
        let more = next.is_some();
        if let Some(address) = next {
            attempts.spawn(async move { TcpStream::connect(address).await.map_err(|error| (address, error)) });
        }
        if attempts.is_empty() {
            break;
        }
        let joined = if more && waiting.len() > 0 {
            tokio::time::timeout(STAGGER, attempts.join_next()).await.unwrap_or(None)
        } else {
            attempts.join_next().await
        };
        match joined {
            Some(Ok(Ok(stream))) => return prepare(stream),
            Some(Ok(Err((address, error)))) => errors.push(format!("{address}: {error}")),
            Some(Err(_)) | None => {}
        }
    }
    match errors.is_empty() {
        true => Err(LinkError::Other(format!("{host} has no address"))),
        false => Err(LinkError::Other(errors.join("; "))),
    }
}

fn prepare(stream: TcpStream) -> Result<Link, LinkError> {
    // A turn writes all it has at once: waiting for more would only delay acknowledgements.
    stream.set_nodelay(true)?;
    Ok(Link::new(stream))
}

/// The families take turns, beginning with the one that the system prefers (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_v6);
    first.reverse();
    second.reverse();
    let mut mixed = Vec::with_capacity(first.len() + second.len());
    while let Some(address) = first.pop() {
        mixed.push(address);
        mixed.extend(second.pop());
    }
    second.reverse();
    mixed.extend(second);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mixed = interleave(vec![address("[::1]:1"), address("[::2]:1"), address("1.1.1.1:1"), address("[::3]:1")]);
        assert_eq!(mixed, [address("[::1]:1"), address("1.1.1.1:1"), address("[::2]:1"), address("[::3]:1")]);
    }

    #[tokio::test]
    async fn a_refused_port_is_told_with_its_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let error = connect("127.0.0.1", port, Duration::from_secs(5)).await.err().unwrap();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}
