//! Tencent Cloud IoT Hub, for one device with a key.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use homing::internals::message::QoS;
use homing::wire::packet::{Connect, Protocol, PublishPacket, Subscribe};

use super::openssl::{hex, hmac};
use super::{Fault, Rules, ensure, now_s};
use crate::front::Greeting;

/// The device.
pub struct IotHub {
    /// Its product.
    pub product: &'static str,
    /// Its name.
    pub device: &'static str,
    /// Its key, in base64.
    pub secret: &'static str,
    /// `sha1` or `sha256`.
    pub hash: &'static str,
}

impl Rules for IotHub {
    fn connect(&self, connect: &Connect, _: &Greeting) -> Result<Option<u64>, Fault> {
        let id = format!("{}{}", self.product, self.device);
        ensure(connect.protocol == Protocol::V4, || "MQTT 5".to_owned())?;
        ensure(connect.client_id == id, || format!("client id {}", connect.client_id))?;
        ensure(connect.keep_alive <= 900, || format!("keep alive {}", connect.keep_alive))?;
        ensure(connect.will.is_none(), || "a will".to_owned())?;
        let credentials = connect.credentials.as_ref().ok_or("no user name")?;
        let parts: Vec<&str> = credentials.user.split(';').collect();
        let [client, application, connection, expiry] = parts[..] else {
            return Err(format!("user name {}", credentials.user));
        };
        ensure(client == id && application == "12010126", || format!("user name {}", credentials.user))?;
        let fresh = connection.len() == 5 && connection.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ensure(fresh, || format!("connection id {connection}"))?;
        let over = expiry.parse::<u64>().map_err(|_| "the expiry is no number")? <= now_s();
        ensure(!over, || "the signature is over".to_owned())?;
        let secret = STANDARD.decode(self.secret).expect("base64");
        let code = hex(&hmac(self.hash, &secret, credentials.user.as_bytes()));
        let wanted = format!("{code};hmac{}", self.hash);
        ensure(credentials.password.as_deref() == Some(wanted.as_bytes()), || "another password".to_owned())?;
        Ok(None)
    }

    fn publish(&self, publish: &PublishPacket) -> Result<(), Fault> {
        let topic = publish.topic.as_str();
        ensure(publish.qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())?;
        ensure(!publish.retain, || "retained".to_owned())?;
        ensure(publish.payload.len() <= 16 << 10, || format!("{} bytes", publish.payload.len()))?;
        ensure(topic.len() <= 255, || format!("a topic of {} bytes", topic.len()))?;
        self.owns(topic)
    }

    fn subscribe(&self, subscribe: &Subscribe) -> Result<(), Fault> {
        ensure(subscribe.wish.qos <= QoS::AtLeastOnce, || "QoS 2".to_owned())?;
        self.owns(subscribe.wish.filter.as_str())
    }

    fn connect_every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn publishes_per_second(&self) -> usize {
        30
    }
}

impl IotHub {
    fn owns(&self, topic: &str) -> Result<(), Fault> {
        ensure(topic.starts_with(&format!("{}/{}/", self.product, self.device)), || format!("topic {topic}"))
    }
}
