//! Whoever answers a CONNECT, and is no MQTT broker.

/// What a link that began with these bytes speaks in place of MQTT, and what to write; None: it may be MQTT, or anything. `tls`:
/// they came through TLS.
pub fn speaks(first: &[u8], tls: bool) -> Option<&'static str> {
    const HTTP: &[u8] = b"HTTP/";
    match first {
        // A record of TLS (RFC 8446, 5.1), mostly an alert; to MQTT a CONNECT with flags, which no broker sends.
        [20..=23] | [20..=23, 3, ..] => Some("what answers on this port speaks TLS; write mqtts:// (or wss://)"),
        [b'H', ..] if HTTP.starts_with(&first[..first.len().min(HTTP.len())]) => Some(match tls {
            true => "what answers on this port speaks HTTP; write wss:// with the broker's path, or another port",
            false => "what answers on this port speaks HTTP; write ws:// with the broker's path, or another port",
        }),
        _ => None,
    }
}
