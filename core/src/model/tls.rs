//! What an app chooses for TLS: whom to trust, who we are, pins. Types that cannot be wrong once they are made.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;

pub use failure::TlsFailure;
pub use pem::TlsInputError;

mod failure;
mod file;
mod pem;
#[cfg(test)]
mod tests;

/// How `mqtts://` and `wss://` links are secured. The defaults fit a broker with a public certificate: the platform's trust,
/// TLS 1.2 or 1.3, no client certificate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Which servers are trusted; default: those that the platform trusts.
    pub trust: Trust,
    /// Our own certificate, for a broker that asks for one (mutual TLS).
    pub identity: Option<ClientIdentity>,
    /// If there are any, the server's key must be one of them, beside everything that `trust` asks for. Name the next key
    /// too before the broker changes to it.
    pub pins: Vec<SpkiPin>,
    /// The name that is sent to the server (SNI) and that its certificate must hold, if it is not the URL's host.
    pub server_name: Option<ServerName>,
    /// Application protocols to offer (ALPN), best first, as in `b"mqtt"`; each of 1 to 255 bytes. Default: none.
    pub alpn: Vec<Vec<u8>>,
    /// The oldest version that is spoken; default: TLS 1.2.
    pub min_version: TlsVersion,
}

impl TlsOptions {
    /// Whether anything was chosen.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.trust, Trust::Platform | Trust::System(_))
            && self.identity.is_none()
            && self.pins.is_empty()
            && self.server_name.is_none()
            && self.alpn.is_empty()
            && self.min_version == TlsVersion::default()
    }
}

/// Which servers are trusted.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Those that the platform trusts (default): the system's verifier on Apple and Windows, the system's authorities
    /// elsewhere. Not on Android, where the app hands over the system's trust manager as `System`.
    #[default]
    Platform,
    /// Those whose certificate leads to one of these authorities, and no others.
    Roots(CaCertificates),
    /// Those that the platform trusts, asked by way of the app, as Android's trust manager is. Such a one judges chains only, so
    /// the names in the certificate are compared with the host here. Like `Platform` it is no choice that a broker without
    /// TLS would refuse.
    System(Arc<dyn ServerTrust>),
    /// Those that this callback accepts; it answers for the host too.
    Custom(Arc<dyn ServerTrust>),
    /// Every server, whoever it is: anyone on the way can read and change everything. For a test bench only. Pins are
    /// compared all the same; with them nobody but the holder of a pinned key gets through.
    DangerousAcceptAnyServer,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("Platform"),
            Self::Roots(roots) => f.debug_tuple("Roots").field(roots).finish(),
            Self::System(_) => f.write_str("System"),
            Self::Custom(_) => f.write_str("Custom"),
            Self::DangerousAcceptAnyServer => f.write_str("DangerousAcceptAnyServer"),
        }
    }
}

/// Decides on a server's certificates in place of the SDK: on Android by the system's `X509TrustManager`. That the server
/// holds the certificate's key, and that the key is pinned, is checked beside it.
pub trait ServerTrust: Send + Sync {
    /// `chain` is in DER, the server's own certificate first; `host` is the name or address that it must be valid for. Called
    /// at every full handshake on the driver's thread: nothing else moves meanwhile.
    ///
    /// # Errors
    /// Why it is not to be trusted, in words that may be shown and logged. A panic counts as a refusal.
    fn check(&self, chain: &[&[u8]], host: &str) -> Result<(), String>;
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), the oldest there is here (default).
    #[default]
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

/// Certificates of authorities; at least one.
#[derive(Clone)]
pub struct CaCertificates(pub(crate) Arc<RootCertStore>);

impl CaCertificates {
    /// From the text of a PEM file with one or more certificates.
    ///
    /// # Errors
    /// [`TlsInputError`]: no certificate in it, or one that does not parse, by its number.
    pub fn from_pem(text: &[u8]) -> Result<Self, TlsInputError> {
        pem::authorities(text, "the CA certificates")
    }

    /// From a PEM file.
    ///
    /// # Errors
    /// The same, or that it cannot be read.
    pub fn from_pem_file(file: impl AsRef<Path>) -> Result<Self, TlsInputError> {
        let (text, name) = pem::read(file.as_ref())?;
        pem::authorities(&text, &name)
    }
}

impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificates({})", self.0.len())
    }
}

/// Our certificate with its chain, and the key that belongs to it. The key is never printed. What a file held is overwritten in
/// memory, ring's own copy lives as long as this; a text is the caller's to overwrite.
#[derive(Clone)]
pub struct ClientIdentity {
    pub(crate) key: Arc<CertifiedKey>,
    not_after_s: u64,
}

impl ClientIdentity {
    /// From PEM texts: the certificate, then those between it and the authority; the key as PKCS#8, PKCS#1 (RSA) or SEC1
    /// (EC). Both may stand in one text.
    ///
    /// # Errors
    /// [`TlsInputError`]: what does not parse and where, or a key that is not the certificate's.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsInputError> {
        pem::identity((certificates, "the client certificate"), (key, "the client's key"))
    }

    /// From PEM files; both may be the same.
    ///
    /// # Errors
    /// The same, or that a file cannot be read.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsInputError> {
        let (certificates, certificates_name) = pem::read(certificates.as_ref())?;
        let (key, key_name) = pem::read(key.as_ref())?;
        pem::identity((&certificates, &certificates_name), (&key, &key_name))
    }

    /// Until when the certificate is valid, in Unix seconds.
    pub const fn not_after_s(&self) -> u64 {
        self.not_after_s
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(redacted)")
    }
}

/// A server's public key, as the SHA-256 of its SubjectPublicKeyInfo in DER (RFC 7469). It stays the same when a certificate is
/// renewed for the same key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpkiPin(pub(crate) [u8; 32]);

impl SpkiPin {
    /// From the 32 bytes of the hash.
    pub const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// From text: base64 (44 characters), or hex (64 digits, with or without colons); `sha256/` may stand before it.
    ///
    /// # Errors
    /// [`TlsInputError::Pin`].
    pub fn parse(text: &str) -> Result<Self, TlsInputError> {
        let wrong = |problem: String| TlsInputError::Pin { problem };
        let text = text.trim();
        let text = text.strip_prefix("sha256/").map_or(text, |rest| rest.strip_prefix('/').unwrap_or(rest));
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let hash = if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok();
            (0..32).map(byte).collect::<Option<Vec<u8>>>().ok_or_else(|| wrong("not hex".to_owned()))?
        } else {
            BASE64.decode(text).map_err(|_| wrong("neither base64 nor 64 hex digits".to_owned()))?
        };
        let length = hash.len();
        hash.try_into().map(Self).map_err(|_| wrong(format!("{length} bytes long")))
    }
}

impl std::str::FromStr for SpkiPin {
    type Err = TlsInputError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpkiPin({self})")
    }
}

/// A host's name or address that can stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerName(pub(crate) rustls::pki_types::ServerName<'static>);

impl ServerName {
    /// Checks the form.
    ///
    /// # Errors
    /// [`TlsInputError::ServerName`].
    pub fn new(name: &str) -> Result<Self, TlsInputError> {
        let checked = rustls::pki_types::ServerName::try_from(name.to_owned());
        checked.map(Self).map_err(|_| TlsInputError::ServerName { name: name.to_owned() })
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}
