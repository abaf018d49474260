//! Azure IoT Hub, for one device with a symmetric key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use homing::internals::message::QoS;
use homing::wire::packet::{Connect, Protocol, PublishPacket, Subscribe};

use super::openssl::{decoded, encoded, hmac};
use super::{Fault, Rules, ensure, now_s};
use crate::front::Greeting;

/// The device.
pub struct IotHub {
    /// The hub's host name.
    pub hub: &'static str,
    /// The device's name.
    pub device: &'static str,
    /// Its key, in base64.
    pub key: &'static str,
}

impl IotHub {
    /// When the token ends.
    fn token(&self, token: &str) -> Result<u64, Fault> {
        let fields = token.strip_prefix("SharedAccessSignature ").ok_or("the password is no SharedAccessSignature")?;
        let field = |name: &str| {
            let found = fields.split('&').filter_map(|field| field.split_once('='));
            found.filter(|(known, _)| *known == name).map(|(_, value)| value).next().ok_or(format!("no {name}"))
        };
        let (resource, signature, expiry) = (field("sr")?, field("sig")?, field("se")?);
        ensure(fields.split('&').count() == 3, || format!("other fields: {fields}"))?;
        let ours = format!("{}/devices/{}", self.hub, self.device);
        ensure(resource == encoded(&ours), || format!("resource {resource}, not that of {ours}"))?;
        let key = STANDARD.decode(self.key).expect("base64");
        let code = STANDARD.encode(hmac("sha256", &key, format!("{resource}\n{expiry}").as_bytes()));
        ensure(decoded(signature) == code && signature == encoded(&code), || "another signature".to_owned())?;
        let expiry: u64 = expiry.parse().map_err(|_| "the expiry is no number")?;
        ensure(expiry > now_s(), || "the token is over".to_owned())?;
        Ok(expiry)
    }
}

impl Rules for IotHub {
    fn connect(&self, connect: &Connect, greeting: &Greeting) -> Result<Option<u64>, Fault> {
        let Self { hub, device, .. } = self;
        ensure(greeting.sni.is_some(), || "no TLS, or no SNI".to_owned())?;
        ensure(connect.protocol == Protocol::V4, || "MQTT 5".to_owned())?;
        ensure(connect.client_id == *device, || format!("client id {}", connect.client_id))?;
        ensure((1..=1_177).contains(&connect.keep_alive), || format!("keep alive {}", connect.keep_alive))?;
        let credentials = connect.credentials.as_ref().ok_or("no user name")?;
        let version = credentials.user.strip_prefix(&format!("{hub}/{device}/?api-version="));
        let date = |text: &str| text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        ensure(version.is_some_and(date), || format!("user name {}", credentials.user))?;
        if let Some(will) = &connect.will {
            self.publish_to(will.message.topic.as_str(), will.message.qos)?;
        }
        let password = credentials.password.clone().ok_or("no password")?;
        self.token(&String::from_utf8(password).map_err(|_| "the password is no text")?).map(Some)
    }

    fn publish(&self, publish: &PublishPacket) -> Result<(), Fault> {
        ensure(!publish.retain, || "retained".to_owned())?;
        ensure(publish.payload.len() <= 256 << 10, || format!("{} bytes", publish.payload.len()))?;
        self.publish_to(publish.topic.as_str(), publish.qos)
    }

    fn subscribe(&self, subscribe: &Subscribe) -> Result<(), Fault> {
        let filter = subscribe.wish.filter.as_str();
        let known = [format!("devices/{}/messages/devicebound/#", self.device), "$iothub/methods/POST/#".to_owned()];
        ensure(known.iter().any(|known| known == filter), || format!("filter {filter}"))?;
        ensure(subscribe.wish.qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())
    }
}

impl IotHub {
    fn publish_to(&self, topic: &str, qos: QoS) -> Result<(), Fault> {
        ensure(qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())?;
        let events = format!("devices/{}/messages/events/", self.device);
        ensure(topic.starts_with(&events) || topic.starts_with("$iothub/"), || format!("topic {topic}"))
    }
}
