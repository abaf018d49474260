//! Tencent Cloud IoT Hub: a product's device and its key.

use std::time::Duration;

use super::{Fields, ProfileError, Secret};
use crate::model::broker_url::BrokerUrl;
use crate::model::topic::ClientId;

const FIELDS: Fields = Fields("tencent");
/// How long a user name and its password are good for.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Which hash signs the user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Hmac {
    /// HMAC-SHA-256 (default).
    #[default]
    Sha256,
    /// HMAC-SHA-1, for devices that were registered with it.
    Sha1,
}

/// A device with a key. MQTT 3.1.1, QoS 0 and 1, no will, nothing retained; 16 KiB a message, 30 messages a second,
/// a CONNECT every 5 s; 150 messages are kept for 24 h.
#[derive(Debug, Clone)]
pub struct Tencent {
    client_id: ClientId,
    broker: BrokerUrl,
    secret: Secret,
    hmac: Hmac,
    lifetime: Duration,
}

impl Tencent {
    /// `product_id`: letters and digits. `device_name`: 1 to 48 letters, digits, `-`, `_` and `:`. `secret`: the device's
    /// key, in base64 as the console shows it. Signs with HMAC-SHA-256; a signature is good for an hour.
    ///
    /// # Errors
    /// [`ProfileError`] names the field.
    pub fn new(product_id: &str, device_name: &str, secret: &str) -> Result<Self, ProfileError> {
        let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
        FIELDS.text("product_id", product_id, 32, alphanumeric, "letters and digits are")?;
        let device = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
        FIELDS.text("device_name", device_name, 48, device, "letters, digits, '-', '_' and ':' are")?;
        let secret = FIELDS.base64("secret", secret)?;
        let client_id = FIELDS.client_id("device_name", &format!("{product_id}{device_name}"))?;
        let broker = FIELDS.broker("product_id", &format!("mqtt://{product_id}.iotcloud.tencentdevices.com"))?;
        Ok(Self { client_id, broker, secret, hmac: Hmac::default(), lifetime: LIFETIME })
    }

    /// Signed with this hash.
    #[must_use]
    pub fn hmac(mut self, hmac: Hmac) -> Self {
        self.hmac = hmac;
        self
    }

    /// At this host instead of the public cloud's, port 1883: a private deployment. For another port or scheme name a
    /// broker in the options.
    ///
    /// # Errors
    /// [`ProfileError`]: not a host's name.
    pub fn host(mut self, host: &str) -> Result<Self, ProfileError> {
        FIELDS.host("host", host)?;
        self.broker = FIELDS.broker("host", &format!("mqtt://{host}"))?;
        Ok(self)
    }

    /// A signature is good for so long: it has to outlast what the device's clock is wrong by.
    ///
    /// # Errors
    /// [`ProfileError`]: less than a minute, or more than a year.
    pub fn lifetime(mut self, lifetime: Duration) -> Result<Self, ProfileError> {
        super::azure::lifetime(&FIELDS, lifetime)?;
        self.lifetime = lifetime;
        Ok(self)
    }

    pub(super) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    pub(super) fn broker(&self) -> &BrokerUrl {
        &self.broker
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    pub(crate) fn hash(&self) -> Hmac {
        self.hmac
    }

    pub(crate) fn lifetime_s(&self) -> u64 {
        self.lifetime.as_secs()
    }

    /// The client identifier, which the user name begins with.
    pub(crate) fn id(&self) -> &str {
        self.client_id.as_str()
    }
}
