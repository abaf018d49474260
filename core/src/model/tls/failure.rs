//! Why a TLS link could not be made, in words that say what to do.

use std::time::Duration;

use super::SpkiPin;

/// Why there is no TLS link. Trying again seldom helps, but it may: a captive portal or a clock that is not yet set look like
/// a wrong certificate. So attempts go on, ever more seldom, as after any other failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server's certificate is no longer valid.
    #[error("the server's certificate expired {} ago; renew it at the broker (or the authority's in between), or set this device's clock", age(*.ago))]
    Expired {
        /// How long, by this device's clock.
        ago: Duration,
    },
    /// The server's certificate is not valid yet.
    #[error("the server's certificate is valid only in {}; set this device's clock, or the broker's certificate", age(*.ahead))]
    NotYetValid {
        /// In how long, by this device's clock.
        ahead: Duration,
    },
    /// The server's certificate is for somebody else.
    #[error("the server's certificate is not for {host}{}; name the broker as its certificate does, or set the server name", names(.presented))]
    WrongHost {
        /// Whom we wanted.
        host: String,
        /// Whom it is for, as the certificate says it.
        presented: Vec<String>,
    },
    /// Nobody whom we trust has signed it; perhaps somebody of the same name, with another key.
    #[error(
        "the server's certificate leads to no authority that is trusted here; give the broker's CA certificate, or check who \
         answers (a captive portal, a proxy that inspects)"
    )]
    UnknownRoot,
    /// The authority has taken it back.
    #[error("the server's certificate has been revoked; it must be replaced at the broker")]
    Revoked,
    /// Valid, but its key is none of the pinned ones.
    #[error(
        "the server's key {found} is none of the pins; if the broker has a new key that you can vouch for, add its pin, or \
         else somebody is in between"
    )]
    PinMismatch {
        /// The pin of the key that it has.
        found: SpkiPin,
    },
    /// More certificates in between than an authority allows, or than are followed.
    #[error(
        "the server's chain of certificates is too long: an authority in it allows fewer below it, or there are more than six"
    )]
    ChainTooLong,
    /// The certificate of an authority, used as a server's.
    #[error(
        "the server shows the certificate of an authority (CA:TRUE) as its own; make one for the server and sign it with that \
         authority"
    )]
    CaAsServer,
    /// It shows a certificate whose key it does not have.
    #[error(
        "the server cannot prove that it has the key of its certificate; certificate and key differ there, or somebody is in between"
    )]
    NotItsKey,
    /// Anything else that is wrong with its certificates.
    #[error("the server's certificates are not valid: {problem}; they must be mended at the broker")]
    BadCertificate {
        /// What.
        problem: String,
    },
    /// The app's [`ServerTrust`](crate::ServerTrust) refused it.
    #[error("the server is not trusted: {reason}")]
    NotTrusted {
        /// Its words.
        reason: String,
    },
    /// No authorities are known to the platform.
    #[error(
        "the platform's trusted authorities cannot be used: {problem}; install them (Debian: ca-certificates), or give the broker's CA certificate"
    )]
    NoPlatformTrust {
        /// What is wrong.
        problem: String,
    },
    /// The server wants a client certificate, and we have none. With TLS 1.3 this is learnt only after the handshake.
    #[error("the server asks for a client certificate; give one with its key")]
    ClientCertificateRequired,
    /// The server does not take our client certificate. With TLS 1.3 this is learnt only after the handshake.
    #[error(
        "the server refused our client certificate ({alert}); it must be one that the broker's authority signed, and not expired"
    )]
    ClientCertificateRefused {
        /// The server's word for it.
        alert: String,
    },
    /// What answers does not speak TLS.
    #[error(
        "the server does not speak TLS on this port: {seen}; use its TLS port (mostly 8883), or mqtt:// or ws:// without TLS"
    )]
    NoTls {
        /// What it did.
        seen: &'static str,
    },
    /// No version, or no way of encryption, that both sides know.
    #[error(
        "the server and this client have no TLS version or cipher in common ({detail}); 1.2 and 1.3 are spoken here"
    )]
    NoCommonVersion {
        /// What was missing.
        detail: String,
    },
    /// The server speaks none of our application protocols.
    #[error("the server takes none of the application protocols that were offered (ALPN)")]
    AlpnRefused,
    /// The server knows nobody of that name.
    #[error(
        "the server does not know the name {host} (SNI); name the broker as it is named there, or set the server name"
    )]
    NameUnknown {
        /// The name we gave.
        host: String,
    },
    /// The link ended in the middle of the handshake.
    #[error("the link was cut in the middle of the TLS handshake: {detail}")]
    Cut {
        /// The system's words.
        detail: String,
    },
    /// The handshake took too long.
    #[error("the TLS handshake was not finished within {limit:?}")]
    TimedOut {
        /// How long it might take.
        limit: Duration,
    },
    /// Anything else, in the library's words.
    #[error("{0}")]
    Other(String),
}

/// In the largest unit that says something.
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The first few: a hoster's certificate may have a hundred.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 5;
    if presented.is_empty() {
        // Many manuals make such: a common name, which nobody looks at any more (RFC 9525).
        return ", and names no host (only a subjectAltName counts, not the common name)".to_owned();
    }
    let more = if presented.len() > SHOWN { ", …" } else { "" };
    format!(" but for {}{more}", presented.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "))
}
