//! Broker profiles: what a cloud service wants of a client, checked when they are made (docs/clouds.md).

mod aws;
mod azure;
mod limits;
mod tencent;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

pub use aws::{Aws, AwsAuth, AwsKeySource, AwsKeys, CustomAuthorizer};
pub use azure::{AzureEventGrid, AzureIotHub};
pub use limits::ServiceLimits;
pub use tencent::{Hmac, Tencent};

use super::broker_url::BrokerUrl;
use super::options::Version;
use super::topic::ClientId;

/// Why a profile could not be made. Never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} profile: {field} {problem}")]
#[non_exhaustive]
pub struct ProfileError {
    /// `tencent`, `aws` or `azure`.
    pub service: &'static str,
    /// The field, as it is named in configuration files.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// A key or token of the profile: never printed, overwritten in memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Which service the broker belongs to: its credentials, its limits and its pace.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Profile {
    /// Any broker: what it says of itself holds (default).
    #[default]
    Generic,
    /// Tencent Cloud IoT Hub.
    Tencent(Tencent),
    /// AWS IoT Core.
    Aws(Aws),
    /// Azure IoT Hub.
    AzureIotHub(AzureIotHub),
    /// An MQTT broker of Azure Event Grid namespaces.
    AzureEventGrid(AzureEventGrid),
}

impl Profile {
    /// The service's name, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Generic => "the broker",
            Self::Tencent(_) => "Tencent IoT Hub",
            Self::Aws(_) => "AWS IoT Core",
            Self::AzureIotHub(_) => "Azure IoT Hub",
            Self::AzureEventGrid(_) => "Azure Event Grid",
        }
    }

    /// What the service takes, whatever its CONNACK says.
    pub const fn limits(&self) -> ServiceLimits {
        match self {
            Self::Generic => ServiceLimits::NONE,
            Self::Tencent(_) => ServiceLimits::TENCENT,
            Self::Aws(_) => ServiceLimits::AWS,
            Self::AzureIotHub(_) => ServiceLimits::AZURE_IOT_HUB,
            Self::AzureEventGrid(_) => ServiceLimits::AZURE_EVENT_GRID,
        }
    }

    /// The client identifier, if the service derives it from the profile's fields.
    pub fn client_id(&self) -> Option<&ClientId> {
        match self {
            Self::Generic | Self::Aws(_) => None,
            Self::Tencent(tencent) => Some(tencent.client_id()),
            Self::AzureIotHub(hub) => Some(hub.client_id()),
            Self::AzureEventGrid(grid) => Some(grid.client_id()),
        }
    }

    /// Where the service listens: used when neither the options nor the store name a broker; before the store's if the service
    /// gives no client id, for then the store could be of any broker.
    pub fn broker(&self) -> Option<&BrokerUrl> {
        match self {
            Self::Generic => None,
            Self::Tencent(tencent) => Some(tencent.broker()),
            Self::Aws(aws) => Some(aws.broker()),
            Self::AzureIotHub(hub) => Some(hub.broker()),
            Self::AzureEventGrid(grid) => Some(grid.broker()),
        }
    }

    /// The only version that the service, or its way of authentication, speaks.
    pub const fn version(&self) -> Option<Version> {
        match self {
            Self::Tencent(_) | Self::AzureIotHub(_) => Some(Version::V311),
            Self::AzureEventGrid(_) => Some(Version::V5),
            Self::Generic | Self::Aws(_) => None,
        }
    }

    /// The application protocol that TLS has to offer (ALPN).
    pub const fn alpn(&self) -> Option<&'static str> {
        match self {
            Self::Aws(aws) => aws.alpn(),
            _ => None,
        }
    }

    /// Whether user name and password, or a signed URL, are computed for every CONNECT.
    pub const fn makes_credentials(&self) -> bool {
        match self {
            Self::Tencent(_) | Self::AzureIotHub(_) => true,
            Self::Aws(aws) => !matches!(aws.auth(), AwsAuth::X509),
            Self::Generic | Self::AzureEventGrid(_) => false,
        }
    }
}

/// Checks fields of one service.
struct Fields(&'static str);

impl Fields {
    fn wrong(&self, field: &'static str, problem: impl Into<String>) -> ProfileError {
        ProfileError { service: self.0, field, problem: problem.into() }
    }

    /// A text of 1 to `longest` bytes of which every one is allowed; `allowed` says so in words.
    fn text(
        &self,
        field: &'static str,
        text: &str,
        longest: usize,
        takes: impl Fn(u8) -> bool,
        allowed: &str,
    ) -> Result<(), ProfileError> {
        match text.len() {
            0 => Err(self.wrong(field, "is missing")),
            length if length > longest => {
                Err(self.wrong(field, format!("is {length} bytes long; at most {longest} are taken")))
            }
            _ if text.bytes().all(takes) => Ok(()),
            _ => Err(self.wrong(field, format!("holds a character that is not taken; {allowed}"))),
        }
    }

    fn base64(&self, field: &'static str, text: &str) -> Result<Secret, ProfileError> {
        if text.is_empty() {
            return Err(self.wrong(field, "is missing"));
        }
        let bytes = STANDARD.decode(text).map_err(|_| {
            self.wrong(field, "is not base64 (RFC 4648, with padding); copy it as the console shows it")
        })?;
        Ok(Secret::new(bytes))
    }

    /// A host's name as it stands in a URL, without scheme, port and path.
    fn host(&self, field: &'static str, host: &str) -> Result<(), ProfileError> {
        let takes = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        self.text(field, host, 253, takes, "a host's name is letters, digits, '-' and '.', without scheme and port")?;
        let label = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        match host.split('.').all(label) {
            true => Ok(()),
            false => Err(self.wrong(field, "is not a host's name; write it like broker.example.com")),
        }
    }

    fn broker(&self, field: &'static str, url: &str) -> Result<BrokerUrl, ProfileError> {
        BrokerUrl::parse(url).map_err(|error| self.wrong(field, error.to_string()))
    }

    fn client_id(&self, field: &'static str, id: &str) -> Result<ClientId, ProfileError> {
        ClientId::new(id).map_err(|error| self.wrong(field, error.to_string()))
    }
}
