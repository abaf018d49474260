//! The MQTT broker of an Azure Event Grid namespace: tokens that are renewed on the standing link, or certificates.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use homing::internals::message::QoS;
use homing::wire::packet::{Auth, ConnAckProperties, Connect, Protocol, PublishPacket, Subscribe};
use homing::{Credentials, ReasonCode};

use super::openssl::hmac;
use super::{Fault, Rules, ensure, now_s};
use crate::front::Greeting;

/// How clients say who they are.
pub enum Clients {
    /// By tokens of this method, signed with this key.
    Tokens(&'static str, &'static [u8]),
    /// By a certificate, and this name.
    Certificate(&'static str),
}

/// The namespace, with one client.
pub struct EventGrid {
    /// The client's session name.
    pub client_id: &'static str,
    /// How it says who it is.
    pub clients: Clients,
}

/// A token that is good until then, in Unix seconds.
pub fn token(key: &[u8], expires: u64) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode("{\"alg\":\"HS256\"}"), encode(&format!("{{\"exp\":{expires}}}")));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac("sha256", key, signed.as_bytes())))
}

/// When it ends.
fn checked(token: &[u8], key: &[u8]) -> Result<u64, Fault> {
    let text = std::str::from_utf8(token).map_err(|_| "the token is no text")?;
    let (signed, code) = text.rsplit_once('.').ok_or("the token has no signature")?;
    let code = URL_SAFE_NO_PAD.decode(code).map_err(|_| "the signature is not base64url")?;
    ensure(hmac("sha256", key, signed.as_bytes()) == code, || "another signature".to_owned())?;
    let claims = signed.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims: Option<serde_json::Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let expires = claims.and_then(|claims| claims["exp"].as_u64()).ok_or("no exp")?;
    ensure(expires > now_s(), || "the token is over".to_owned())?;
    Ok(expires)
}

impl Rules for EventGrid {
    fn connect(&self, connect: &Connect, greeting: &Greeting) -> Result<Option<u64>, Fault> {
        ensure(greeting.sni.is_some(), || "no TLS, or no SNI".to_owned())?;
        ensure(connect.protocol == Protocol::V5, || "MQTT 3.1.1".to_owned())?;
        ensure(connect.client_id == self.client_id, || format!("client id {}", connect.client_id))?;
        ensure(connect.session_expiry <= 8 * 3600, || format!("session expiry {}", connect.session_expiry))?;
        match (&self.clients, &connect.credentials) {
            (Clients::Certificate(name), Some(Credentials { user, password, enhanced, .. })) => {
                ensure(greeting.certificate, || "no certificate".to_owned())?;
                ensure(user == name && password.is_none() && enhanced.is_none(), || format!("user name {user}"))?;
                Ok(None)
            }
            (Clients::Tokens(method, key), Some(Credentials { user, password, enhanced: Some(enhanced), .. })) => {
                ensure(user.is_empty() && password.is_none(), || "a user name beside the token".to_owned())?;
                ensure(enhanced.method == *method, || format!("method {}", enhanced.method))?;
                checked(enhanced.data.as_ref().ok_or("no token")?.as_bytes(), key).map(Some)
            }
            _ => Err("no credentials of the wanted kind".to_owned()),
        }
    }

    fn auth(&self, auth: &Auth) -> Result<Option<u64>, Fault> {
        let Clients::Tokens(method, key) = &self.clients else { return Err("AUTH beside a certificate".to_owned()) };
        ensure(auth.reason == ReasonCode::ReAuthenticate, || format!("{:?}", auth.reason))?;
        ensure(auth.method.as_deref() == Some(method), || format!("method {:?}", auth.method))?;
        checked(auth.data.as_ref().ok_or("no token")?.as_bytes(), key).map(Some)
    }

    fn publish(&self, publish: &PublishPacket) -> Result<(), Fault> {
        ensure(publish.qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())?;
        ensure(publish.payload.len() <= 512 << 10, || format!("{} bytes", publish.payload.len()))
    }

    fn subscribe(&self, subscribe: &Subscribe) -> Result<(), Fault> {
        ensure(subscribe.wish.qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())
    }

    fn properties(&self) -> ConnAckProperties {
        let method = match &self.clients {
            Clients::Tokens(method, _) => Some((*method).to_owned()),
            Clients::Certificate(_) => None,
        };
        ConnAckProperties {
            maximum_qos: Some(1),
            maximum_packet_size: Some(512 << 10),
            server_keep_alive: Some(1_160),
            authentication_method: method,
            ..ConnAckProperties::default()
        }
    }
}
