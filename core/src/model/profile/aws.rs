//! AWS IoT Core: by client certificate, by a custom authorizer, or by a URL that is signed for each WebSocket.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Fields, ProfileError, Secret};
use crate::model::broker_url::BrokerUrl;
use crate::model::credentials::{BoxFuture, CredentialsError};

const FIELDS: Fields = Fields("aws");
/// What TLS offers on port 443, so that the service knows which way of authentication is meant.
const ALPN_X509: &str = "x-amzn-mqtt-ca";
const ALPN_CUSTOM: &str = "mqtt";

/// Keys of an AWS identity, for a signature. Never printed, overwritten in memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
    pub(crate) session_token: Option<Zeroizing<String>>,
}

impl AwsKeys {
    /// The session token belongs to temporary keys.
    ///
    /// # Errors
    /// [`ProfileError`] names the field that is missing or wrong.
    pub fn new(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
    ) -> Result<Self, ProfileError> {
        let id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        FIELDS.text("access_key_id", access_key_id, 128, id, "letters, digits and '_' are")?;
        let graphic = |byte: u8| byte.is_ascii_graphic();
        FIELDS.text("secret_access_key", secret_access_key, 1_024, graphic, "visible ASCII is")?;
        if let Some(token) = session_token {
            FIELDS.text("session_token", token, 32_768, graphic, "visible ASCII is")?;
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: Zeroizing::new(secret_access_key.to_owned()),
            session_token: session_token.map(|token| Zeroizing::new(token.to_owned())),
        })
    }
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsKeys(redacted)")
    }
}

type Ask = dyn Fn() -> BoxFuture<'static, Result<AwsKeys, CredentialsError>> + Send + Sync;

/// Asked for keys before each connect, on a thread of its own with a runtime of its own, for at most 30 s.
#[derive(Clone)]
pub struct AwsKeySource(Arc<Ask>);

impl AwsKeySource {
    /// A callback of the app.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<AwsKeys, CredentialsError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    /// Always the same keys.
    pub fn fixed(keys: AwsKeys) -> Self {
        Self::new(move || std::future::ready(Ok(keys.clone())))
    }

    pub(crate) fn keys(&self) -> BoxFuture<'static, Result<AwsKeys, CredentialsError>> {
        (self.0)()
    }
}

impl fmt::Debug for AwsKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsKeySource(redacted)")
    }
}

/// What a custom authorizer (a Lambda function of the account) is given.
#[derive(Debug, Clone)]
pub struct CustomAuthorizer {
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    /// Key of the token, the token, its signature.
    pub(crate) token: Option<(String, Secret, Option<String>)>,
    pub(crate) password: Option<Secret>,
}

impl CustomAuthorizer {
    /// `user`: may be empty. `name`: the authorizer's; None: the account's default one.
    ///
    /// # Errors
    /// [`ProfileError`] names the field.
    pub fn new(user: &str, name: Option<&str>) -> Result<Self, ProfileError> {
        if user.contains(['?', '\0']) || user.len() > 1_024 {
            return Err(FIELDS.wrong("user", "is over 1024 bytes, or holds '?' or U+0000, which end a user name"));
        }
        if let Some(name) = name {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_=,@-".contains(&byte);
            FIELDS.text("authorizer", name, 128, word, "letters, digits and _ = , @ - are")?;
        }
        Ok(Self { user: user.to_owned(), name: name.map(str::to_owned), token: None, password: None })
    }

    /// With a token under the authorizer's token key name, and the token's signature (base64) unless the authorizer has
    /// signing turned off.
    ///
    /// # Errors
    /// [`ProfileError`] names the field.
    pub fn token(mut self, key: &str, token: &str, signature: Option<&str>) -> Result<Self, ProfileError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        FIELDS.text("token_key", key, 128, word, "letters, digits, '_' and '-' are")?;
        FIELDS.text("token", token, 8_192, |byte| byte != 0, "U+0000 is not")?;
        if let Some(signature) = signature
            && (signature.is_empty() || STANDARD.decode(signature).is_err())
        {
            return Err(FIELDS.wrong("token_signature", "is not base64; it is percent-encoded by itself"));
        }
        self.token = Some((key.to_owned(), Secret::new(token), signature.map(str::to_owned)));
        Ok(self)
    }

    /// With a password, which the authorizer sees as it is.
    #[must_use]
    pub fn password(mut self, password: impl Into<Vec<u8>>) -> Self {
        self.password = Some(Secret::new(password));
        self
    }
}

/// How AWS learns who we are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AwsAuth {
    /// By the client certificate of the TLS options.
    X509,
    /// By an authorizer of the account, on port 443.
    Custom(CustomAuthorizer),
    /// By a signed URL (Signature Version 4), over WebSocket on port 443.
    SigV4 {
        /// The region of the endpoint.
        region: String,
        /// Who signs.
        keys: AwsKeySource,
    },
}

/// An endpoint of an account. QoS 0 and 1; 128 KiB a message; keep alive 30 to 1,200 s.
#[derive(Debug, Clone)]
pub struct Aws {
    auth: AwsAuth,
    broker: BrokerUrl,
    alpn: Option<&'static str>,
}

impl Aws {
    /// By client certificate, on port 8883.
    ///
    /// # Errors
    /// [`ProfileError`]: the endpoint is not a host's name.
    pub fn x509(endpoint: &str) -> Result<Self, ProfileError> {
        Self::new(endpoint, AwsAuth::X509, "mqtts", 8883, None)
    }

    /// By client certificate, on port 443 for networks that let nothing else through.
    ///
    /// # Errors
    /// [`ProfileError`]: the endpoint is not a host's name.
    pub fn x509_on_443(endpoint: &str) -> Result<Self, ProfileError> {
        Self::new(endpoint, AwsAuth::X509, "mqtts", 443, Some(ALPN_X509))
    }

    /// By a custom authorizer, on port 443.
    ///
    /// # Errors
    /// [`ProfileError`]: the endpoint is not a host's name.
    pub fn custom(endpoint: &str, authorizer: CustomAuthorizer) -> Result<Self, ProfileError> {
        Self::new(endpoint, AwsAuth::Custom(authorizer), "mqtts", 443, Some(ALPN_CUSTOM))
    }

    /// Over WebSocket with a URL that is signed for each connect. `region`: None takes it from the endpoint.
    ///
    /// # Errors
    /// [`ProfileError`] names the field.
    pub fn sigv4(endpoint: &str, region: Option<&str>, keys: AwsKeySource) -> Result<Self, ProfileError> {
        FIELDS.host("endpoint", endpoint)?;
        // As in xxxx-ats.iot.eu-west-1.amazonaws.com.
        let named = endpoint.split('.').skip_while(|label| *label != "iot").nth(1);
        let region = region.or(named).unwrap_or_default();
        let takes = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        FIELDS.text("region", region, 32, takes, "lower case letters, digits and '-' are")?;
        Self::new(endpoint, AwsAuth::SigV4 { region: region.to_owned(), keys }, "wss", 443, None)
    }

    fn new(
        endpoint: &str,
        auth: AwsAuth,
        scheme: &str,
        port: u16,
        alpn: Option<&'static str>,
    ) -> Result<Self, ProfileError> {
        FIELDS.host("endpoint", endpoint)?;
        let path = if matches!(auth, AwsAuth::SigV4 { .. }) { "/mqtt" } else { "" };
        let broker = FIELDS.broker("endpoint", &format!("{scheme}://{endpoint}:{port}{path}"))?;
        Ok(Self { auth, broker, alpn })
    }

    /// How AWS learns who we are.
    pub const fn auth(&self) -> &AwsAuth {
        &self.auth
    }

    pub(super) fn broker(&self) -> &BrokerUrl {
        &self.broker
    }

    pub(super) const fn alpn(&self) -> Option<&'static str> {
        self.alpn
    }
}
