//! Flags for `mqtts://` and `wss://`. There is none that turns verification off.

use std::path::PathBuf;

use clap::Args;
use homing::{CaCertificates, ClientIdentity, SpkiPin, TlsInputError, TlsOptions, Trust};

#[derive(Args, Clone, Default)]
pub(crate) struct TlsArgs {
    /// Authorities to trust, in PEM [default: those of the system]
    #[arg(long = "tls-ca", global = true, value_name = "FILE", env = "HOMING_TLS_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate, for brokers that ask for one, in PEM; the ones between it and its authority follow it
    #[arg(long = "tls-cert", global = true, value_name = "FILE", env = "HOMING_TLS_CERT", hide_env_values = true)]
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long = "tls-key", global = true, value_name = "FILE", env = "HOMING_TLS_KEY", hide_env_values = true)]
    pub(crate) key: Option<PathBuf>,
    /// The server's key must be this one, by the SHA-256 of its SPKI in base64 or hex; may be given several times
    #[arg(
        long = "tls-pin",
        global = true,
        value_name = "SHA256",
        value_delimiter = ',',
        env = "HOMING_TLS_PIN",
        hide_env_values = true
    )]
    pub(crate) pins: Vec<SpkiPin>,
}

impl TlsArgs {
    /// The SDK's options; an error's text says which file and which block.
    pub(crate) fn options(&self) -> Result<TlsOptions, String> {
        let text = |error: TlsInputError| error.to_string();
        let mut options = TlsOptions::default();
        if let Some(ca) = &self.ca {
            options.trust = Trust::Roots(CaCertificates::from_pem_file(ca).map_err(text)?);
        }
        options.identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(ClientIdentity::from_pem_files(cert, key).map_err(text)?),
            (None, None) => None,
            (Some(_), None) => return Err("--tls-cert needs its key: give --tls-key too".to_owned()),
            (None, Some(_)) => return Err("--tls-key needs its certificate: give --tls-cert too".to_owned()),
        };
        options.pins.clone_from(&self.pins);
        Ok(options)
    }
}
