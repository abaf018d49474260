//! Input that does not fit: each has an error that says where.

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::*;
use keys::{EC_CERTIFICATE, EC_SEC1, RSA_CERTIFICATE, RSA_PKCS1, V1_CERTIFICATE};

mod keys;

fn made() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn authorities(text: &str) -> TlsInputError {
    CaCertificates::from_pem(text.as_bytes()).unwrap_err()
}

fn identity(certificate: &str, key: &str) -> TlsInputError {
    ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err()
}

#[test]
fn authorities_that_do_not_parse_are_named_by_their_block() {
    let (good, key) = made();
    assert_eq!(CaCertificates::from_pem(format!("{good}{good}").as_bytes()).unwrap().0.len(), 2);
    for empty in ["", "no PEM at all", &key] {
        assert!(matches!(authorities(empty), TlsInputError::Missing { wanted: "certificate", .. }), "{empty}");
    }
    let cut = &good[..good.len() / 2];
    assert!(matches!(authorities(&format!("{good}{cut}")), TlsInputError::Pem { block: 2, .. }));
    let spoilt = good.replacen("MII", "AII", 1);
    assert_ne!(spoilt, good);
    let error = authorities(&format!("{good}{good}{spoilt}"));
    assert!(matches!(error, TlsInputError::Certificate { block: 3, .. }), "{error}");
    assert!(!error.to_string().contains("BadEncoding"), "no word of the library's own: {error}");
    // People count every block, also of kinds that say nothing here.
    let parameters = "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n";
    let error = authorities(&format!("{parameters}{good}{spoilt}"));
    assert!(matches!(error, TlsInputError::Certificate { block: 3, .. }), "{error}");
    let base64 = good.replacen("MII", "M!I", 1);
    assert!(matches!(authorities(&base64), TlsInputError::Pem { block: 1, .. }));
}

#[test]
fn a_file_is_named_in_every_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let error = CaCertificates::from_pem_file(&missing).unwrap_err();
    assert!(matches!(&error, TlsInputError::Unreadable { file, .. } if file.ends_with("missing.pem")), "{error}");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let error = ClientIdentity::from_pem_files(&empty, &empty).unwrap_err();
    assert!(error.to_string().contains("empty.pem holds no certificate"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_none_is_refused_in_time_and_a_pipe_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let start = std::time::Instant::now();
    let refused = |name: &str| CaCertificates::from_pem_file(folder.path().join(name)).unwrap_err().to_string();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    assert!(refused("folder").contains("folder cannot be read: "), "{}", refused("folder"));
    std::fs::File::create(folder.path().join("huge")).unwrap().set_len(1 << 30).unwrap();
    assert!(refused("huge").contains("longer than 4 MiB"), "{}", refused("huge"));
    let endless = CaCertificates::from_pem_file("/dev/zero").unwrap_err().to_string();
    assert!(endless.contains("longer than 4 MiB"), "{endless}");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(refused("pipe").contains("nobody writes into it"), "{}", refused("pipe"));
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    let (good, _) = made();
    let (end, text) = (pipe.clone(), good.clone());
    let writer = std::thread::spawn(move || std::fs::write(end, text).unwrap());
    assert_eq!(CaCertificates::from_pem_file(&pipe).unwrap().0.len(), 1);
    writer.join().unwrap();
}

#[test]
fn key_and_certificate_must_belong_together() {
    let (certificate, key) = made();
    let (other_certificate, other_key) = made();
    let identity_ = ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert!(identity_.not_after_s() > 1_000_000_000);
    let both = format!("{key}{certificate}");
    ClientIdentity::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
    assert!(matches!(identity(&certificate, &other_key), TlsInputError::KeyMismatch { .. }));
    // The client's own certificate must stand first.
    let swapped = format!("{other_certificate}{certificate}");
    assert!(matches!(identity(&swapped, &key), TlsInputError::KeyMismatch { .. }));
    assert!(matches!(identity(&certificate, &certificate), TlsInputError::Missing { wanted: "private key", .. }));
    let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert!(matches!(identity(&certificate, &locked), TlsInputError::EncryptedKey { .. }));
    let old = RSA_PKCS1.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1);
    for certificate in [RSA_CERTIFICATE, &format!("{RSA_CERTIFICATE}{old}")] {
        assert!(matches!(identity(certificate, &old), TlsInputError::EncryptedKey { .. }), "{old}");
    }
    let spoilt = key.replacen("MI", "AI", 1);
    let error = identity(&certificate, &spoilt);
    assert!(matches!(error, TlsInputError::Key { block: 1, .. }), "{error}");
}

#[test]
fn keys_are_read_in_all_three_forms() {
    for (certificate, key) in [(RSA_CERTIFICATE, RSA_PKCS1), (EC_CERTIFICATE, EC_SEC1)] {
        ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    }
}

#[test]
fn pins_are_32_bytes_in_base64_or_hex() {
    let hex = "00".repeat(31) + "ff";
    let base64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8=";
    let colons = format!("{}FF", "00:".repeat(31));
    let mut expected = [0; 32];
    expected[31] = 0xff;
    for text in [&hex, base64, &format!("sha256/{base64}"), &format!("sha256//{base64}"), &colons] {
        assert_eq!(SpkiPin::parse(text), Ok(SpkiPin(expected)), "{text}");
    }
    assert_eq!(SpkiPin(expected).to_string(), format!("sha256/{base64}"));
    for wrong in ["", "AAAA", &hex[2..], &format!("{hex}00"), "sha1/AAAA", "ÄÖÜ", &"é".repeat(32)] {
        assert!(matches!(SpkiPin::parse(wrong), Err(TlsInputError::Pin { .. })), "{wrong}");
    }
    assert!(SpkiPin::parse("AAAA").unwrap_err().to_string().contains("3 bytes long"));
}

#[test]
fn names_are_hosts_or_addresses() {
    for good in ["localhost", "broker.example", "127.0.0.1", "::1"] {
        assert_eq!(ServerName::new(good).unwrap().to_string(), good);
    }
    for bad in ["", "a b", "-x", "a..b"] {
        assert!(ServerName::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let (certificate, key) = made();
    let options = TlsOptions {
        identity: Some(ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()),
        ..TlsOptions::default()
    };
    assert!(format!("{options:?}").contains("ClientIdentity(redacted)"), "{options:?}");
}

#[test]
fn a_certificate_of_version_1_is_shown_as_it_is() {
    // `openssl x509 -req` without extensions makes such, and mosquitto's manual says so. Whether it is good is the broker's word.
    let read = ClientIdentity::from_pem(V1_CERTIFICATE.as_bytes(), EC_SEC1.as_bytes());
    assert!(read.is_ok(), "{read:?}");
    assert!(matches!(identity(V1_CERTIFICATE, RSA_PKCS1), TlsInputError::KeyMismatch { .. }));
}

#[test]
fn texts_as_other_systems_write_them_are_read() {
    let (first, key) = made();
    let second = made().0;
    let both = format!("{first}{second}");
    for (written, what) in [
        (format!("\u{feff}{both}"), "a byte order mark"),
        (both.replace('\n', "\r\n"), "CRLF"),
        (both.replace('\n', "\r"), "CR"),
        (format!("\u{feff}# comment\r\n\r\n{}trailing", both.replace('\n', "  \r\n")), "spaces at the ends"),
        (format!("subject=/CN=x\n{first}issuer=/CN=y\n\n{second}"), "openssl's words between"),
        (format!("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n{both}"), "another kind"),
        (both.trim_end().to_owned(), "no end of line"),
    ] {
        let read = CaCertificates::from_pem(written.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(read.0.len(), 2, "{what}");
    }
    let crlf = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    ClientIdentity::from_pem(crlf(&first).as_bytes(), crlf(&key).as_bytes()).unwrap();
}

#[test]
fn what_is_no_pem_says_that_it_should_be() {
    let (good, _) = made();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let der = CertificateDer::from_pem_slice(good.as_bytes()).unwrap();
    for text in [&utf16[..], &der[..], b"\xff\xfe", b"\0", b"\xef\xbb\xbf"] {
        let error = CaCertificates::from_pem(text).unwrap_err().to_string();
        assert!(error.contains("is it PEM"), "{error}");
    }
}
