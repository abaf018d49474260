//! TLS as it crosses.

use std::sync::Arc;

use homing::{CaCertificates, ClientIdentity, ServerName, SpkiPin, TlsOptions, TlsVersion, Trust};

use crate::callbacks::{TrustCheck, Trusting};
use crate::error::Result;

/// Which servers are trusted.
#[derive(Clone, uniffi::Enum)]
pub enum TlsTrust {
    /// Those that the platform trusts; not on Android.
    Platform,
    /// Those of these authorities.
    Roots {
        /// Certificates in PEM.
        pem: Vec<u8>,
    },
    /// The app decides.
    Custom {
        /// How.
        check: Arc<dyn TrustCheck>,
    },
    /// Those that the platform trusts, asked by way of the app: it judges chains, we compare the host.
    System {
        /// How.
        check: Arc<dyn TrustCheck>,
    },
    /// Any server at all.
    DangerousAcceptAnyServer,
}

/// A certificate of our own and its key.
#[derive(Clone, uniffi::Record)]
pub struct ClientCertificate {
    /// The chain in PEM.
    pub certificates_pem: Vec<u8>,
    /// The key in PEM.
    pub key_pem: Vec<u8>,
}

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum TlsMinimum {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// How `mqtts://` and `wss://` are secured.
#[derive(Clone, uniffi::Record)]
pub struct TlsSettings {
    /// Which servers are trusted.
    pub trust: TlsTrust,
    /// Our own certificate.
    pub identity: Option<ClientCertificate>,
    /// Pins: `sha256/` and base64.
    pub pins: Vec<String>,
    /// The name to ask for, if not the URL's host.
    pub server_name: Option<String>,
    /// Application protocols.
    pub alpn: Vec<String>,
    /// The oldest version.
    pub minimum: TlsMinimum,
}

impl TlsSettings {
    pub(crate) fn translate(self) -> Result<TlsOptions> {
        let mut options = TlsOptions::default();
        options.trust = match self.trust {
            TlsTrust::Platform => Trust::Platform,
            TlsTrust::Roots { pem } => Trust::Roots(CaCertificates::from_pem(&pem)?),
            TlsTrust::Custom { check } => Trust::Custom(Arc::new(Trusting::new(check))),
            TlsTrust::System { check } => Trust::System(Arc::new(Trusting::new(check))),
            TlsTrust::DangerousAcceptAnyServer => Trust::DangerousAcceptAnyServer,
        };
        if let Some(identity) = self.identity {
            options.identity = Some(ClientIdentity::from_pem(&identity.certificates_pem, &identity.key_pem)?);
        }
        options.pins = self.pins.iter().map(|pin| SpkiPin::parse(pin)).collect::<std::result::Result<_, _>>()?;
        options.server_name = self.server_name.as_deref().map(ServerName::new).transpose()?;
        options.alpn = self.alpn.into_iter().map(String::into_bytes).collect();
        options.min_version = match self.minimum {
            TlsMinimum::Tls12 => TlsVersion::V12,
            TlsMinimum::Tls13 => TlsVersion::V13,
        };
        Ok(options)
    }
}
