//! Azure: IoT Hub with a device's key, and the MQTT broker of Event Grid namespaces.

use std::time::Duration;

use super::{Fields, ProfileError, Secret};
use crate::model::broker_url::BrokerUrl;
use crate::model::topic::ClientId;

const FIELDS: Fields = Fields("azure");
/// How long a token is good for: the hub ends the link with it.
const LIFETIME: Duration = Duration::from_secs(3600);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn lifetime(fields: &Fields, lifetime: Duration) -> Result<(), ProfileError> {
    match (SHORTEST..=LONGEST).contains(&lifetime) {
        true => Ok(()),
        false => Err(fields.wrong("lifetime", "is not between 60 s and 365 d")),
    }
}

/// A device of an IoT hub with a symmetric key. MQTT 3.1.1 over TLS, QoS 0 and 1, nothing retained; 256 KiB a message.
#[derive(Debug, Clone)]
pub struct AzureIotHub {
    hub: String,
    client_id: ClientId,
    broker: BrokerUrl,
    key: Secret,
    lifetime: Duration,
}

impl AzureIotHub {
    /// `hub`: its host's name, or the part before `.azure-devices.net`. `device_id`: 1 to 128 characters that Azure takes.
    /// `key`: one of the device's keys, in base64. A token is good for an hour; another one is made before it ends.
    ///
    /// # Errors
    /// [`ProfileError`] names the field.
    pub fn new(hub: &str, device_id: &str, key: &str) -> Result<Self, ProfileError> {
        FIELDS.host("hub", hub)?;
        let hub = if hub.contains('.') { hub.to_ascii_lowercase() } else { format!("{hub}.azure-devices.net") };
        let device = |byte: u8| byte.is_ascii_alphanumeric() || b"-.%_*?!(),:=@$'".contains(&byte);
        FIELDS.text("device_id", device_id, 128, device, "letters, digits and - . % _ * ? ! ( ) , : = @ $ ' are")?;
        let key = FIELDS.base64("key", key)?;
        let client_id = FIELDS.client_id("device_id", device_id)?;
        let broker = FIELDS.broker("hub", &format!("mqtts://{hub}"))?;
        Ok(Self { hub, client_id, broker, key, lifetime: LIFETIME })
    }

    /// A token is good for so long.
    ///
    /// # Errors
    /// [`ProfileError`]: less than a minute, or more than a year.
    pub fn token_lifetime(mut self, time: Duration) -> Result<Self, ProfileError> {
        lifetime(&FIELDS, time)?;
        self.lifetime = time;
        Ok(self)
    }

    pub(super) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    pub(super) fn broker(&self) -> &BrokerUrl {
        &self.broker
    }

    pub(crate) fn hub(&self) -> &str {
        &self.hub
    }

    pub(crate) fn device(&self) -> &str {
        self.client_id.as_str()
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    pub(crate) fn lifetime_s(&self) -> u64 {
        self.lifetime.as_secs()
    }
}

/// A client of an Event Grid namespace, over MQTT 5. Its tokens come from the app, as enhanced authentication
/// ([`Credentials::enhanced`](crate::Credentials::enhanced)) with the method [`AzureEventGrid::METHOD`] or
/// [`AzureEventGrid::ENTRA_METHOD`]; or it shows a client certificate, with its authentication name as the user name.
#[derive(Debug, Clone)]
pub struct AzureEventGrid {
    client_id: ClientId,
    broker: BrokerUrl,
}

impl AzureEventGrid {
    /// The authentication method of a JSON Web Token that an OpenID Connect provider has issued; renewed on the standing link
    /// by AUTH (0x19).
    pub const METHOD: &'static str = "CUSTOM-JWT";
    /// The same for one of Microsoft Entra ID.
    pub const ENTRA_METHOD: &'static str = "OAUTH2-JWT";

    /// `host`: the namespace's MQTT host name. `client_id`: the client's session name, 1 to 128 bytes.
    ///
    /// # Errors
    /// [`ProfileError`] names the field.
    pub fn new(host: &str, client_id: &str) -> Result<Self, ProfileError> {
        FIELDS.host("host", host)?;
        FIELDS.text("client_id", client_id, 128, |byte| byte != 0, "U+0000 is not")?;
        let broker = FIELDS.broker("host", &format!("mqtts://{host}"))?;
        Ok(Self { client_id: FIELDS.client_id("client_id", client_id)?, broker })
    }

    pub(super) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    pub(super) fn broker(&self) -> &BrokerUrl {
        &self.broker
    }
}
