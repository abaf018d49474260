//! Certificates made for one test: authorities, servers, clients, good ones and bad ones.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate with the chain that its holder shows, and its key; in files, as programs want them.
#[derive(Debug)]
pub struct Held {
    /// PEM: itself, then those between it and the authority that is trusted.
    pub chain: PathBuf,
    /// PEM, PKCS#8.
    pub key: PathBuf,
    /// The SHA-256 pin of its public key would be made of these bytes.
    pub spki: Vec<u8>,
    folder: TempDir,
}

impl Held {
    fn new(chain: &str, key: &KeyPair) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (chain_file, key_file) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        fs::write(&chain_file, chain).expect("write the chain");
        fs::write(&key_file, key.serialize_pem()).expect("write the key");
        Self { chain: chain_file, key: key_file, spki: key.subject_public_key_info(), folder }
    }

    /// Another file beside them, for a test that breaks something.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).expect("write a file");
        file
    }
}

/// What is wrong with a server's certificate; `Wrong::default()` is nothing.
#[derive(Debug, Clone, Default)]
pub struct Wrong {
    /// The days from now of its validity, if not the usual.
    pub days: Option<(i64, i64)>,
    /// The host it is for, if not localhost and 127.0.0.1.
    pub host: Option<String>,
    /// How many authorities stand between the root and it.
    pub between: usize,
    /// How many authorities each of them allows below it; None: any number.
    pub allow_below: Option<u8>,
}

/// A root authority of one test, and its certificate as a file.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM of the root itself.
    pub file: PathBuf,
    _folder: TempDir,
}

fn authority_params(name: &str, below: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(below.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        Self::named("the test's authority")
    }

    /// A new one with a name of its own; those of others do not differ but by their keys.
    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = authority_params(name, None);
        let certificate = params.self_signed(&key).expect("a root certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("ca.pem");
        fs::write(&file, certificate.pem()).expect("write the root");
        Self { issuer: Issuer::new(params, key), file, _folder: folder }
    }

    /// A certificate for a server on this machine, with or without something wrong.
    pub fn server(&self, wrong: &Wrong) -> Held {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the test's broker");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = match &wrong.host {
            Some(host) => vec![SanType::DnsName(host.as_str().try_into().expect("a name"))],
            None => vec![
                SanType::DnsName("localhost".try_into().expect("a name")),
                SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ],
        };
        self.sign(params, wrong)
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str, wrong: &Wrong) -> Held {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, wrong)
    }

    /// The authority's own certificate, used as a server's.
    pub fn as_server(&self) -> Held {
        Held::new(&fs::read_to_string(&self.file).expect("the root"), self.issuer.key())
    }

    fn sign(&self, mut params: CertificateParams, wrong: &Wrong) -> Held {
        let at = |days: i64| {
            let distance = DAY * u32::try_from(days.unsigned_abs()).expect("few days");
            let now = SystemTime::now();
            let time = if days < 0 { now - distance } else { now + distance };
            time.into()
        };
        let (from, to) = wrong.days.unwrap_or((-1, 30));
        (params.not_before, params.not_after) = (at(from), at(to));
        let mut chain = String::new();
        let mut above: Option<Issuer<'static, KeyPair>> = None;
        for number in 0..wrong.between {
            let key = KeyPair::generate().expect("a key");
            let between = authority_params(&format!("authority {number} in between"), wrong.allow_below);
            let issuer = above.as_ref().unwrap_or(&self.issuer);
            let certificate = between.signed_by(&key, issuer).expect("a certificate in between");
            chain.insert_str(0, &certificate.pem());
            above = Some(Issuer::new(between, key));
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, above.as_ref().unwrap_or(&self.issuer)).expect("a certificate");
        chain.insert_str(0, &certificate.pem());
        Held::new(&chain, &key)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
