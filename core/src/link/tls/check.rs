//! Who the server is: the usual verification, or the app's, and then the pins.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::model::tls::{ServerTrust, SpkiPin, TlsFailure, TlsOptions, Trust};

pub(super) struct Check {
    trust: By,
    pins: Vec<SpkiPin>,
    algorithms: WebPkiSupportedAlgorithms,
}

enum By {
    Verifier(Arc<dyn ServerCertVerifier>),
    App {
        trust: Arc<dyn ServerTrust>,
        /// It does not look at names.
        only_chains: bool,
    },
    Nobody,
}

impl Check {
    pub(super) fn new(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> Result<Self, TlsFailure> {
        let trust = match &options.trust {
            Trust::Platform => By::Verifier(platform(provider)?),
            Trust::Roots(roots) => {
                let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), Arc::clone(provider));
                By::Verifier(builder.build().map_err(|error| TlsFailure::Other(error.to_string()))?)
            }
            Trust::System(trust) => By::App { trust: Arc::clone(trust), only_chains: true },
            Trust::Custom(trust) => By::App { trust: Arc::clone(trust), only_chains: false },
            Trust::DangerousAcceptAnyServer => By::Nobody,
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { trust, pins: options.pins.clone(), algorithms })
    }

    /// The server's own key only. A pin of an authority would have to be looked for in the path that was verified, which
    /// the verifiers keep to themselves; in what the server has sent, anybody could add the pinned authority's certificate.
    fn pinned(&self, server: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let key = ParsedCertificate::try_from(server)?.subject_public_key_info();
        let mut found = SpkiPin::new([0; 32]);
        found.0.copy_from_slice(digest(&SHA256, &key).as_ref());
        if self.pins.contains(&found) { Ok(()) } else { Err(refused(TlsFailure::PinMismatch { found })) }
    }
}

/// Ours inside of theirs; `words` takes it out again.
fn refused(failure: TlsFailure) -> Error {
    CertificateError::Other(OtherError(Arc::new(failure))).into()
}

#[cfg(not(target_os = "android"))]
fn platform(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsFailure> {
    match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(error) => Err(TlsFailure::NoPlatformTrust { problem: error.to_string() }),
    }
}

#[cfg(target_os = "android")]
fn platform(_: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsFailure> {
    // Also refused when a client is opened; see `client/check.rs`.
    Err(TlsFailure::NoPlatformTrust { problem: "on Android the app hands over the system's trust manager".to_owned() })
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            By::Verifier(verifier) => {
                let verified = verifier.verify_server_cert(server, between, name, ocsp, now);
                let _verified = verified.map_err(|error| match error {
                    // An authority that was made anew under its old name: to the app it is another authority.
                    Error::InvalidCertificate(CertificateError::BadSignature) => CertificateError::UnknownIssuer.into(),
                    error => error,
                })?;
            }
            By::App { trust, only_chains } => {
                let chain: Vec<&[u8]> = std::iter::once(server).chain(between).map(AsRef::as_ref).collect();
                // A callback in another language may panic here where it throws there; it has not said yes.
                let checked = catch_unwind(AssertUnwindSafe(|| trust.check(&chain, &name.to_str())))
                    .unwrap_or_else(|_| Err("the app's check panicked".to_owned()));
                checked.map_err(|reason| refused(TlsFailure::NotTrusted { reason }))?;
                if *only_chains {
                    verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
                }
            }
            By::Nobody => {}
        }
        self.pinned(server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, server, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, server, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("pins", &self.pins).finish_non_exhaustive()
    }
}
