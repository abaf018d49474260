//! Profiles of cloud services as they cross.

use std::sync::Arc;

use homing::{Aws, AzureEventGrid, AzureIotHub, CustomAuthorizer, Hmac, Profile, Tencent};

use crate::callbacks::{AwsKeyProvider, aws_keys};
use crate::error::{FfiError, Result};
use crate::message::duration;

/// How AWS IoT Core knows the device.
#[derive(Clone, uniffi::Enum)]
pub enum AwsAccess {
    /// By its certificate, on port 8883.
    X509,
    /// By its certificate, on port 443.
    X509On443,
    /// By an authorizer of the account.
    CustomAuthorizer {
        /// User name.
        user: String,
        /// The authorizer's name; None: the account's default.
        name: Option<String>,
        /// The token's key.
        token_key: Option<String>,
        /// The token.
        token: Option<String>,
        /// Its signature.
        signature: Option<String>,
        /// Password.
        password: Option<Vec<u8>>,
    },
    /// By a signed URL.
    SigV4 {
        /// None: out of the endpoint.
        region: Option<String>,
        /// Keys for each connect.
        keys: Arc<dyn AwsKeyProvider>,
    },
}

/// The service that the broker belongs to.
#[derive(Clone, uniffi::Enum)]
pub enum BrokerProfile {
    /// None of these.
    Generic,
    /// Tencent IoT Hub.
    Tencent {
        /// Product.
        product_id: String,
        /// Device.
        device_name: String,
        /// Its key in base64.
        secret: String,
        /// Signs with HMAC-SHA-1 in place of SHA-256.
        sha1: bool,
        /// None: the product's own.
        host: Option<String>,
        /// How long a signature is good, in milliseconds; None: an hour.
        lifetime_ms: Option<i64>,
    },
    /// AWS IoT Core.
    Aws {
        /// The account's endpoint.
        endpoint: String,
        /// How the device is known.
        access: AwsAccess,
    },
    /// Azure IoT Hub.
    AzureIotHub {
        /// The hub.
        hub: String,
        /// The device.
        device_id: String,
        /// Its key in base64.
        key: String,
        /// How long a token is good, in milliseconds; None: an hour.
        lifetime_ms: Option<i64>,
    },
    /// Azure Event Grid's MQTT 5 broker.
    AzureEventGrid {
        /// The namespace's MQTT host.
        host: String,
        /// The client's session name.
        client_id: String,
    },
}

impl BrokerProfile {
    pub(crate) fn translate(self) -> Result<Profile> {
        Ok(match self {
            Self::Generic => Profile::Generic,
            Self::Tencent { product_id, device_name, secret, sha1, host, lifetime_ms } => {
                let mut tencent = Tencent::new(&product_id, &device_name, &secret)?;
                if sha1 {
                    tencent = tencent.hmac(Hmac::Sha1);
                }
                if let Some(host) = host {
                    tencent = tencent.host(&host)?;
                }
                if let Some(ms) = lifetime_ms {
                    tencent = tencent.lifetime(duration("lifetime", ms)?)?;
                }
                Profile::Tencent(tencent)
            }
            Self::Aws { endpoint, access } => Profile::Aws(aws(&endpoint, access)?),
            Self::AzureIotHub { hub, device_id, key, lifetime_ms } => {
                let mut azure = AzureIotHub::new(&hub, &device_id, &key)?;
                if let Some(ms) = lifetime_ms {
                    azure = azure.token_lifetime(duration("lifetime", ms)?)?;
                }
                Profile::AzureIotHub(azure)
            }
            Self::AzureEventGrid { host, client_id } => {
                Profile::AzureEventGrid(AzureEventGrid::new(&host, &client_id)?)
            }
        })
    }
}

fn aws(endpoint: &str, access: AwsAccess) -> Result<Aws> {
    Ok(match access {
        AwsAccess::X509 => Aws::x509(endpoint)?,
        AwsAccess::X509On443 => Aws::x509_on_443(endpoint)?,
        AwsAccess::CustomAuthorizer { user, name, token_key, token, signature, password } => {
            let mut authorizer = CustomAuthorizer::new(&user, name.as_deref())?;
            match (token_key, token) {
                (Some(key), Some(token)) => authorizer = authorizer.token(&key, &token, signature.as_deref())?,
                (None, None) if signature.is_none() => {}
                _ => {
                    let text =
                        "aws: token_key, token and signature belong together; give the first two, or none of them";
                    return Err(FfiError::invalid(text));
                }
            }
            if let Some(password) = password {
                authorizer = authorizer.password(password);
            }
            Aws::custom(endpoint, authorizer)?
        }
        AwsAccess::SigV4 { region, keys } => Aws::sigv4(endpoint, region.as_deref(), aws_keys(keys))?,
    })
}
