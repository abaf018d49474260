//! Who may sign, who may serve, and under which names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use homing::internals::tls::TlsFailure;
use homing::link::LinkError;
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{BOTH, Signer, config, greeted, name, root, run, serve, signed, trusting};

const DAY: Duration = Duration::from_secs(86_400);

/// How a server with this chain is met, under this name.
async fn met(root: &str, chain: Vec<CertificateDer<'static>>, key: &Signer, host: &str) -> Result<(), TlsFailure> {
    let mut first = None;
    for version in BOTH {
        let address = serve(config(chain.clone(), key.key(), &[version])).await;
        let met = match greeted(&trusting(root), address, host).await {
            Ok(_) => Ok(()),
            Err(LinkError::Tls(failure)) => Err(failure),
            Err(other) => panic!("not a failure of TLS: {other:?}"),
        };
        assert_eq!(first.get_or_insert(met.clone()), &met, "the version makes no difference");
    }
    first.unwrap()
}

#[test]
fn who_may_sign_and_who_may_serve_is_checked() {
    run(async {
        let (ca, pem) = root(|_| {});
        // For clients only.
        let (leaf, key) = signed(&ca, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        let told = met(&pem, vec![leaf], &key, "localhost").await.unwrap_err();
        assert!(matches!(&told, TlsFailure::BadCertificate { problem } if problem.contains("server")), "{told}");
        // Signed by somebody who is no authority.
        let (between, signer) = signed(&ca, |params| params.is_ca = IsCa::ExplicitNoCa);
        let (leaf, key) = signed(&signer, |_| {});
        let told = met(&pem, vec![leaf, between], &key, "localhost").await.unwrap_err();
        assert!(matches!(&told, TlsFailure::BadCertificate { problem } if problem.contains("no authority")), "{told}");
        // Somebody in between has expired: the server's own has not, and it would not help to renew it.
        let now = SystemTime::now();
        let (between, signer) = signed(&ca, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params.not_before, params.not_after) = ((now - 9 * DAY).into(), (now - 3 * DAY).into());
        });
        let (leaf, key) = signed(&signer, |_| {});
        let told = met(&pem, vec![leaf, between], &key, "localhost").await.unwrap_err();
        assert!(matches!(told, TlsFailure::Expired { .. }), "{told:?}");
        assert!(told.to_string().contains("in between"), "{told}");
        // A root that was given is trusted, whatever its own dates say.
        let (ca, pem) = root(|params| {
            (params.not_before, params.not_after) = ((now - 9 * DAY).into(), (now - 3 * DAY).into());
        });
        let (leaf, key) = signed(&ca, |_| {});
        assert_eq!(met(&pem, vec![leaf], &key, "localhost").await, Ok(()));
        // The server's own certificate, signed by itself and no authority, given as the root.
        let (own, pem) = root(|params| {
            params.is_ca = IsCa::ExplicitNoCa;
            params.subject_alt_names = vec![name("localhost")];
        });
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(met(&pem, vec![der], &own, "localhost").await, Ok(()));
    });
}

#[test]
fn names_are_matched_as_certificates_write_them() {
    run(async {
        let (ca, pem) = root(|_| {});
        let with = |names: Vec<SanType>| signed(&ca, |params| params.subject_alt_names = names);
        let v6 = SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST));
        let v4 = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (names, host, fits) in [
            (vec![name("*.home.example")], "broker.home.example", true),
            (vec![name("*.home.example")], "BROKER.Home.Example", true),
            (vec![name("*.home.example")], "home.example", false),
            (vec![name("*.home.example")], "a.broker.home.example", false),
            (vec![name("broker.example")], "broker.example.", true),
            (vec![name("xn--bcher-kva.example")], "xn--bcher-kva.example", true),
            (vec![name("my_broker.lan")], "my_broker.lan", true),
            (vec![v4.clone()], "127.0.0.1", true),
            (vec![v4.clone()], "127.0.0.2", false),
            (vec![v4.clone()], "localhost", false),
            (vec![v6.clone()], "::1", true),
            (vec![v6], "::2", false),
            // An address must stand there as one.
            (vec![name("127.0.0.1")], "127.0.0.1", false),
        ] {
            let (leaf, key) = with(names.clone());
            let told = met(&pem, vec![leaf], &key, host).await;
            match (told, fits) {
                (Ok(()), true) => {}
                (Err(TlsFailure::WrongHost { host: told, presented }), false) => {
                    assert_eq!((told.as_str(), presented.len()), (host, 1));
                    assert!(!presented[0].contains("IpAddress") && !presented[0].contains("Dns"), "{presented:?}");
                }
                (other, _) => panic!("{names:?} for {host}: {other:?}"),
            }
        }
        // As mosquitto's manual makes them: a common name and nothing else.
        let (leaf, key) = signed(&ca, |params| {
            params.distinguished_name.push(DnType::CommonName, "localhost");
            params.subject_alt_names = vec![];
        });
        let told = met(&pem, vec![leaf], &key, "localhost").await.unwrap_err();
        assert!(told.to_string().contains("subjectAltName"), "{told}");
    });
}
