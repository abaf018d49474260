//! AWS IoT Core: its limits, and its three ways to say who somebody is.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use homing::internals::message::QoS;
use homing::wire::packet::{ConnAckProperties, Connect, PublishPacket, Subscribe};

use super::openssl::{decoded, encoded, hex, hmac, sha256, verify};
use super::{Fault, Rules, ensure, now_s};
use crate::front::{Greeting, Upgrade};

/// How clients say who they are.
pub enum Clients {
    /// By a certificate; on the port that is shared this protocol says so.
    Certificate(Option<&'static str>),
    /// By an authorizer of the account.
    Authorizer {
        /// Its name.
        name: &'static str,
        /// The name of the token's parameter.
        key: &'static str,
        /// The password that it sees.
        password: &'static str,
        /// The key that verifies the token's signature.
        public: PathBuf,
    },
    /// By a signed request: checked by [`signed`].
    Request,
}

/// The account's endpoint.
pub struct IotCore(pub Clients);

impl Rules for IotCore {
    fn connect(&self, connect: &Connect, greeting: &Greeting) -> Result<Option<u64>, Fault> {
        ensure(greeting.sni.is_some(), || "no TLS, or no SNI".to_owned())?;
        let length = connect.client_id.len();
        ensure((1..=128).contains(&length), || format!("a client id of {length} bytes"))?;
        ensure((30..=1_200).contains(&connect.keep_alive), || format!("keep alive {}", connect.keep_alive))?;
        if let Some(will) = &connect.will {
            self.message(will.message.topic.as_str(), &will.message.payload, will.message.qos)?;
        }
        let named = connect.credentials.as_ref();
        match &self.0 {
            Clients::Certificate(alpn) => {
                ensure(greeting.certificate, || "no certificate".to_owned())?;
                ensure(greeting.alpn.as_deref() == *alpn, || format!("ALPN {:?}", greeting.alpn))?;
                ensure(named.is_none(), || "a user name".to_owned())?;
            }
            Clients::Request => ensure(named.is_none(), || "a user name".to_owned())?,
            Clients::Authorizer { name, key, password, public } => {
                ensure(greeting.alpn.as_deref() == Some("mqtt"), || format!("ALPN {:?}", greeting.alpn))?;
                let named = named.ok_or("no user name")?;
                let (_, query) = named.user.split_once('?').ok_or("no parameters behind the user name")?;
                let given = |wanted: &str| parameter(query, wanted);
                ensure(given("x-amz-customauthorizer-name")? == *name, || format!("authorizer in {query}"))?;
                let signature = STANDARD.decode(given("x-amz-customauthorizer-signature")?);
                let signature = signature.map_err(|_| "the token's signature is not base64")?;
                let good = verify(public, given(key)?.as_bytes(), &signature);
                ensure(good, || "the token's signature is not its own".to_owned())?;
                ensure(named.password.as_deref() == Some(password.as_bytes()), || "another password".to_owned())?;
            }
        }
        Ok(None)
    }

    fn publish(&self, publish: &PublishPacket) -> Result<(), Fault> {
        self.message(publish.topic.as_str(), &publish.payload, publish.qos)
    }

    fn subscribe(&self, subscribe: &Subscribe) -> Result<(), Fault> {
        ensure(subscribe.wish.qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())?;
        topic(subscribe.wish.filter.as_str())
    }

    fn properties(&self) -> ConnAckProperties {
        ConnAckProperties {
            receive_maximum: Some(100),
            maximum_qos: Some(1),
            maximum_packet_size: Some(149_504),
            subscription_ids_available: Some(false),
            ..ConnAckProperties::default()
        }
    }

    fn connect_every(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn publishes_per_second(&self) -> usize {
        100
    }
}

impl IotCore {
    fn message(&self, name: &str, payload: &[u8], qos: QoS) -> Result<(), Fault> {
        ensure(qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())?;
        ensure(payload.len() <= 128 << 10, || format!("{} bytes", payload.len()))?;
        topic(name)
    }
}

fn topic(name: &str) -> Result<(), Fault> {
    let basic = name.strip_prefix("$aws/rules/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    let (name, slashes) = (basic.unwrap_or(name), basic.unwrap_or(name).matches('/').count());
    ensure(name.len() <= 256 && slashes <= 7, || format!("a topic of {} bytes and {slashes} slashes", name.len()))
}

/// The decoded value of a parameter that must stand in the query once.
fn parameter(query: &str, name: &str) -> Result<String, Fault> {
    let all: Vec<_> = query.split('&').filter_map(|part| part.split_once('=')).filter(|(n, _)| *n == name).collect();
    match all[..] {
        [(_, value)] => Ok(decoded(value)),
        _ => Err(format!("{name} stands {} times in {query}", all.len())),
    }
}

/// Looks at a WebSocket request as AWS does: Signature Version 4 in the query, the session token behind it and not in it.
/// Faults go to `told`.
pub fn signed(
    region: &'static str,
    key_id: &'static str,
    secret: &'static str,
    token: Option<&'static str>,
    told: std::sync::mpsc::Sender<Fault>,
) -> Upgrade {
    std::sync::Arc::new(move |target: &str, host: &str| {
        match request(target, host, (region, key_id, secret, token)) {
            Ok(()) => 101,
            Err(fault) => {
                // A test that is over does not listen any more.
                let _ = told.send(fault);
                403
            }
        }
    })
}

fn request(
    target: &str,
    host: &str,
    (region, key_id, secret, token): (&str, &str, &str, Option<&str>),
) -> Result<(), Fault> {
    let (path, query) = target.split_once('?').ok_or("no query")?;
    ensure(path == "/mqtt", || format!("path {path}"))?;
    let given = |name: &str| parameter(query, name);
    ensure(given("X-Amz-Algorithm")? == "AWS4-HMAC-SHA256", || "another algorithm".to_owned())?;
    ensure(given("X-Amz-SignedHeaders")? == "host", || "other headers are signed".to_owned())?;
    let time = given("X-Amz-Date")?;
    ensure(time.len() == 16 && clock_s(&time).abs_diff(now_s()) < 300, || format!("signed at {time}"))?;
    let date = &time[..8];
    let scope = format!("{date}/{region}/iotdevicegateway/aws4_request");
    ensure(given("X-Amz-Credential")? == format!("{key_id}/{scope}"), || format!("credential in {query}"))?;
    match token {
        Some(token) => {
            ensure(given("X-Amz-Security-Token")? == token, || "another session token".to_owned())?;
            let last = query.rsplit('&').next().unwrap_or_default();
            ensure(last.starts_with("X-Amz-Security-Token="), || "the session token is not the last".to_owned())?;
        }
        None => ensure(!query.contains("Security-Token"), || "a session token".to_owned())?,
    }
    // The canonical request anew: what is signed, decoded, sorted and encoded.
    let mut parts: Vec<(String, String)> = query
        .split('&')
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| !matches!(*name, "X-Amz-Signature" | "X-Amz-Security-Token"))
        .map(|(name, value)| (encoded(&decoded(name)), encoded(&decoded(value))))
        .collect();
    parts.sort();
    let canonical: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let canonical = format!("GET\n/mqtt\n{}\nhost:{host}\n\nhost\n{}", canonical.join("&"), sha256(b""));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, "iotdevicegateway", "aws4_request"] {
        key = hmac("sha256", &key, part.as_bytes());
    }
    let signature = hex(&hmac("sha256", &key, to_sign.as_bytes()));
    ensure(given("X-Amz-Signature")? == signature, || format!("another signature; signed should be {canonical}"))
}

/// The Unix seconds of `20260131T235959Z`.
fn clock_s(time: &str) -> u64 {
    let number = |from: usize, to: usize| time.get(from..to).and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    // Days since 1970 by the calendar that begins in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    days * 86_400 + number(9, 11) * 3_600 + number(11, 13) * 60 + number(13, 15)
}
