//! From rustls' errors and alerts to failures that say what to do.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use super::{Identity, Spoken};
use crate::model::tls::TlsFailure;

/// A handshake that failed.
pub(super) fn handshake(error: &io::Error, spoken: Spoken, identity: &Identity, host: &str) -> TlsFailure {
    match (rustls_error(error), spoken) {
        (Some(Error::InvalidMessage(_)), Spoken::Other) => {
            TlsFailure::NoTls { seen: "its answer is of another protocol" }
        }
        (Some(error), _) => failure(error, identity, host),
        (None, Spoken::Nothing) => TlsFailure::NoTls { seen: "it closed the link at our greeting" },
        (None, _) => TlsFailure::Cut { detail: error.to_string() },
    }
}

/// An error of a link that was secured: TLS 1.3 servers say only now that they do not take our certificate.
pub(super) fn established(error: io::Error, identity: &Identity, host: &str) -> io::Error {
    match rustls_error(&error) {
        Some(inner) => io::Error::new(error.kind(), failure(inner, identity, host)),
        None => error,
    }
}

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn failure(error: &Error, identity: &Identity, host: &str) -> TlsFailure {
    match error {
        Error::InvalidCertificate(error) => certificate(error, host),
        Error::AlertReceived(alert) => refusal(*alert, identity, host),
        Error::PeerIncompatible(what) => TlsFailure::NoCommonVersion { detail: format!("{what:?}") },
        Error::NoApplicationProtocol => TlsFailure::AlpnRefused,
        Error::InvalidMessage(what) => TlsFailure::Other(format!("the server does not keep to TLS: {what:?}")),
        Error::NoCertificatesPresented => TlsFailure::BadCertificate { problem: "it shows none".to_owned() },
        other => TlsFailure::Other(other.to_string()),
    }
}

fn certificate(error: &CertificateError, host: &str) -> TlsFailure {
    let bad = |problem: String| TlsFailure::BadCertificate { problem };
    match error {
        CertificateError::Expired => TlsFailure::Expired { ago: Duration::ZERO },
        CertificateError::ExpiredContext { time, not_after } => TlsFailure::Expired { ago: since(*time, *not_after) },
        CertificateError::NotValidYet => TlsFailure::NotYetValid { ahead: Duration::ZERO },
        CertificateError::NotValidYetContext { time, not_before } => {
            TlsFailure::NotYetValid { ahead: since(*not_before, *time) }
        }
        CertificateError::NotValidForName => TlsFailure::WrongHost { host: host.to_owned(), presented: Vec::new() },
        CertificateError::NotValidForNameContext { presented, .. } => TlsFailure::WrongHost {
            host: host.to_owned(),
            presented: presented.iter().map(|name| plain(name)).collect(),
        },
        CertificateError::UnknownIssuer => TlsFailure::UnknownRoot,
        // Of the handshake; that of a certificate is taken for an unknown issuer by `Check`.
        CertificateError::BadSignature => TlsFailure::NotItsKey,
        CertificateError::Revoked => TlsFailure::Revoked,
        CertificateError::Other(other) => match (other.0.downcast_ref(), other.0.downcast_ref::<webpki::Error>()) {
            (Some(ours), _) => TlsFailure::clone(ours),
            (_, Some(webpki::Error::PathLenConstraintViolated | webpki::Error::MaximumPathDepthExceeded)) => {
                TlsFailure::ChainTooLong
            }
            (_, Some(webpki::Error::CaUsedAsEndEntity)) => TlsFailure::CaAsServer,
            (_, Some(webpki::Error::EndEntityUsedAsCa)) => {
                bad("one of them is signed by a certificate that is no authority's (CA:TRUE is missing)".to_owned())
            }
            (_, Some(webpki::Error::UnsupportedCertVersion)) => {
                bad("X.509 version 1, which cannot name a host; make it anew, with a subjectAltName".to_owned())
            }
            (None, other_error) => bad(other_error.map_or_else(|| other.to_string(), |error| format!("{error:?}"))),
        },
        other => bad(other.to_string()),
    }
}

/// `DnsName("home.local")` and `IpAddress(10.0.0.1)` are how the verifier writes names.
fn plain(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').to_owned()
}

fn since(later: UnixTime, earlier: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

fn refusal(alert: AlertDescription, identity: &Identity, host: &str) -> TlsFailure {
    use AlertDescription as Alert;
    let asked = identity.asked.load(Ordering::Relaxed);
    let refused = || TlsFailure::ClientCertificateRefused { alert: format!("{alert:?}") };
    match (alert, identity.key.is_some()) {
        (Alert::CertificateRequired, false) => TlsFailure::ClientCertificateRequired,
        (
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError,
            true,
        ) => refused(),
        // Before TLS 1.3 there is no better word for it.
        (Alert::HandshakeFailure | Alert::BadCertificate, false) if asked => TlsFailure::ClientCertificateRequired,
        (Alert::HandshakeFailure, true) if asked => refused(),
        (Alert::ProtocolVersion | Alert::InsufficientSecurity | Alert::HandshakeFailure, _) => {
            TlsFailure::NoCommonVersion { detail: format!("{alert:?}") }
        }
        (Alert::NoApplicationProtocol, _) => TlsFailure::AlpnRefused,
        (Alert::UnrecognisedName, _) => TlsFailure::NameUnknown { host: host.to_owned() },
        _ => TlsFailure::Other(format!("the server ended the link with the alert {alert:?}")),
    }
}
