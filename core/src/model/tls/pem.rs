//! From PEM texts to certificates and keys, with errors that say which file and which block.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{Error as PemError, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error as RustlsError};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

use super::{CaCertificates, ClientIdentity};

const NO_CERTIFICATE: &str = "what it holds is not a certificate; was it cut short or edited?";

/// Why a certificate, key, pin or name was refused. Keys are never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsInputError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {detail}")]
    Unreadable {
        /// Which.
        file: String,
        /// The system's words.
        detail: String,
    },
    /// It is not PEM from there on.
    #[error("{file}: PEM block {block} does not parse: {problem}")]
    Pem {
        /// The file, or what the text was for.
        file: String,
        /// Counts from 1.
        block: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is no block of the kind in it.
    #[error("{file} holds no {wanted}; is it the right file, and is it PEM, with -----BEGIN lines?")]
    Missing {
        /// The file, or what the text was for.
        file: String,
        /// What was looked for.
        wanted: &'static str,
    },
    /// A certificate that does not parse.
    #[error("{file}: the certificate in PEM block {block} is not valid: {problem}")]
    Certificate {
        /// The file, or what the text was for.
        file: String,
        /// Counts from 1.
        block: usize,
        /// What is wrong.
        problem: String,
    },
    /// A key that does not parse, or of a kind that is not known.
    #[error(
        "{file}: the key in PEM block {block} is not one that can be used: RSA from 2048 bits, P-256, P-384 or Ed25519"
    )]
    Key {
        /// The file, or what the text was for.
        file: String,
        /// Counts from 1.
        block: usize,
    },
    /// The key is locked by a passphrase.
    #[error("{file}: the key is encrypted; decrypt it first: openssl pkey -in {file} -out key.pem")]
    EncryptedKey {
        /// The file, or what the text was for.
        file: String,
    },
    /// Key and certificate do not belong together.
    #[error(
        "{key} is not the key of the first certificate in {certificate}; the client's own certificate stands first"
    )]
    KeyMismatch {
        /// Where the certificate is from.
        certificate: String,
        /// Where the key is from.
        key: String,
    },
    /// A pin that is not a SHA-256.
    #[error(
        "a pin is the SHA-256 of a public key: 32 bytes, as 44 characters of base64 or 64 hex digits; this one is {problem}"
    )]
    Pin {
        /// What is wrong.
        problem: String,
    },
    /// A host that no certificate can name.
    #[error("{name:?} is neither a host name nor an address")]
    ServerName {
        /// The name.
        name: String,
    },
}

/// The file's bytes, and its name for errors. Any file may hold a key.
pub(super) fn read(file: &Path) -> Result<(Zeroizing<Vec<u8>>, String), TlsInputError> {
    let name = file.display().to_string();
    match super::file::read(file) {
        Ok(text) => Ok((text, name)),
        Err(error) => Err(TlsInputError::Unreadable { file: name, detail: error.to_string() }),
    }
}

/// A block's number, from 1, its kind, and what it holds.
type Block = (usize, SectionKind, Zeroizing<Vec<u8>>);

/// The blocks of a PEM text of the kinds that the parser knows; all are counted, as people do.
fn blocks(text: &[u8], file: &str) -> Result<Vec<Block>, TlsInputError> {
    // Windows' editors put a byte order mark in front; with it the first block would be none.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let begins =
        |at: &usize| text[*at..].starts_with(b"-----BEGIN") && (*at == 0 || matches!(text[*at - 1], b'\n' | b'\r'));
    let starts: Vec<usize> = (0..text.len()).filter(begins).collect();
    let mut blocks = Vec::new();
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(text.len());
        for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text[*start..end]) {
            let (kind, der) = block.map_err(|error| {
                let problem = match error {
                    PemError::MissingSectionEnd { .. } => "its -----END line is missing".to_owned(),
                    PemError::IllegalSectionStart { .. } => "its -----BEGIN line is wrong".to_owned(),
                    PemError::Base64Decode(_) => "its base64 is wrong".to_owned(),
                    _ => "it is too large".to_owned(),
                };
                TlsInputError::Pem { file: file.to_owned(), block: at + 1, problem }
            })?;
            blocks.push((at + 1, kind, Zeroizing::new(der)));
        }
    }
    Ok(blocks)
}

fn certificates(text: &[u8], file: &str) -> Result<Vec<(usize, CertificateDer<'static>)>, TlsInputError> {
    let of_kind = |(block, kind, der): Block| {
        (kind == SectionKind::Certificate).then(|| (block, CertificateDer::from(der.to_vec())))
    };
    let found: Vec<_> = blocks(text, file)?.into_iter().filter_map(of_kind).collect();
    if found.is_empty() {
        return Err(TlsInputError::Missing { file: file.to_owned(), wanted: "certificate" });
    }
    Ok(found)
}

pub(super) fn authorities(text: &[u8], file: &str) -> Result<CaCertificates, TlsInputError> {
    let mut roots = RootCertStore::empty();
    for (block, der) in certificates(text, file)? {
        roots.add(der).map_err(|error| TlsInputError::Certificate {
            file: file.to_owned(),
            block,
            problem: match error {
                RustlsError::InvalidCertificate(CertificateError::BadEncoding) => NO_CERTIFICATE.to_owned(),
                error => error.to_string(),
            },
        })?;
    }
    Ok(CaCertificates(Arc::new(roots)))
}

pub(super) fn identity(
    (text, file): (&[u8], &str),
    (key_text, key_file): (&[u8], &str),
) -> Result<ClientIdentity, TlsInputError> {
    // First: the lines that say so in the old form are no base64, which is a worse word for it.
    let locked = |mark: &[u8]| key_text.windows(mark.len()).any(|part| part == mark);
    if locked(b"BEGIN ENCRYPTED PRIVATE KEY") || locked(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsInputError::EncryptedKey { file: key_file.to_owned() });
    }
    let certificates = certificates(text, file)?;
    let own = parsed(&certificates[0], file)?;
    let chain = certificates.into_iter().map(|(_, der)| der).collect();
    let (block, mut der) = private_key(key_text, key_file)?;
    // By reference, so that the DER can be overwritten.
    let key = any_supported_type(&der);
    der.zeroize();
    let key = key.map_err(|_| TlsInputError::Key { file: key_file.to_owned(), block })?;
    // Not by rustls' `keys_match`: it refuses certificates of version 1, which brokers take and their manuals make.
    let public = own.tbs_certificate.subject_public_key_info.to_der().ok();
    if key.public_key().is_some_and(|known| public.as_deref() != Some(known.as_ref())) {
        return Err(TlsInputError::KeyMismatch { certificate: file.to_owned(), key: key_file.to_owned() });
    }
    let not_after_s = own.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    Ok(ClientIdentity { key: Arc::new(CertifiedKey::new(chain, key)), not_after_s })
}

fn parsed((block, der): &(usize, CertificateDer<'_>), file: &str) -> Result<Certificate, TlsInputError> {
    Certificate::from_der(der).map_err(|error| {
        let (file, problem) = (file.to_owned(), format!("{NO_CERTIFICATE} ({error})"));
        TlsInputError::Certificate { file, block: *block, problem }
    })
}

/// The first private key, and the number of its block.
fn private_key(text: &[u8], file: &str) -> Result<(usize, PrivateKeyDer<'static>), TlsInputError> {
    let is_key =
        |kind| matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey);
    let first = blocks(text, file)?.into_iter().find(|(_, kind, _)| is_key(*kind));
    let found = first
        .and_then(|(block, kind, mut der)| Some((block, PrivateKeyDer::from_pem(kind, std::mem::take(&mut *der))?)));
    found.ok_or_else(|| TlsInputError::Missing { file: file.to_owned(), wanted: "private key" })
}
