//! What an app implements: credentials, trust, keys. Every callback returns a result, so that whatever an app throws arrives
//! as an error and not as a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use homing::{
    AuthData, AwsKeySource, AwsKeys, BoxFuture, Challenge, Credentials, CredentialsError, CredentialsRequest,
    ServerTrust, WhyAsked,
};

use crate::error::{FfiError, Result};
use crate::message::duration;

/// What a callback may throw. Its words stay in the app: they might hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum CallbackError {
    /// Not now; asked again after the usual back-off.
    #[error("not available now")]
    Unavailable,
    /// Not before somebody does something.
    #[error("signed out")]
    SignedOut,
    /// The other side could not prove who it is.
    #[error("not trusted")]
    NotTrusted,
    /// Anything else that the app threw.
    #[error("the callback failed")]
    Failed,
}

impl From<uniffi::UnexpectedUniFFICallbackError> for CallbackError {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed
    }
}

impl From<CallbackError> for CredentialsError {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Unavailable => Self::Unavailable("the app's provider says so"),
            CallbackError::SignedOut => Self::SignedOut("the app's provider says so"),
            CallbackError::NotTrusted => Self::BrokerNotTrusted("the app's provider says so"),
            CallbackError::Failed => Self::Unavailable("the app's provider threw"),
        }
    }
}

/// Enhanced authentication of MQTT 5 [4.12].
#[derive(Clone, uniffi::Record)]
pub struct EnhancedAuthentication {
    /// The method's name.
    pub method: String,
    /// Data of the CONNECT.
    pub data: Option<Vec<u8>>,
}

/// Credentials for one CONNECT.
#[derive(Clone, uniffi::Record)]
pub struct CredentialSet {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// Till when they are good, in Unix milliseconds.
    pub expires_at_ms: Option<i64>,
    /// Enhanced authentication.
    pub enhanced: Option<EnhancedAuthentication>,
}

impl CredentialSet {
    pub(crate) fn translate(self) -> Result<Credentials> {
        let mut credentials = Credentials::new(self.user, self.password);
        if let Some(enhanced) = self.enhanced {
            credentials = credentials.with_enhanced(enhanced.method, enhanced.data.map(AuthData::new));
        }
        if let Some(ms) = self.expires_at_ms {
            let at = UNIX_EPOCH.checked_add(duration("expires_at", ms)?);
            credentials = credentials.until(at.ok_or_else(|| FfiError::invalid("expires_at: too far in the future"))?);
        }
        Ok(credentials)
    }
}

/// Why a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum CredentialsReason {
    /// The first time since the client was opened.
    First,
    /// For another connection; the last ones were good.
    Reconnect,
    /// The last ones have expired, or will soon.
    Expired,
    /// The broker refused the last ones.
    Refused,
}

/// What a provider is told.
#[derive(Debug, Clone, uniffi::Record)]
pub struct CredentialsAsk {
    /// Why it is asked.
    pub reason: CredentialsReason,
    /// The broker's reason code, if it refused.
    pub refused: Option<u8>,
    /// The broker's host.
    pub host: String,
    /// And port.
    pub port: u16,
}

impl From<CredentialsRequest> for CredentialsAsk {
    fn from(request: CredentialsRequest) -> Self {
        let (reason, refused) = match request.why {
            WhyAsked::First => (CredentialsReason::First, None),
            WhyAsked::Expired => (CredentialsReason::Expired, None),
            WhyAsked::Refused(reason) => (CredentialsReason::Refused, Some(reason.code())),
            _ => (CredentialsReason::Reconnect, None),
        };
        Self { reason, refused, host: request.host, port: request.port }
    }
}

/// A step of the broker's in an exchange.
#[derive(Clone, uniffi::Record)]
pub struct AuthChallenge {
    /// The method.
    pub method: String,
    /// The broker's data.
    pub data: Option<Vec<u8>>,
    /// From 1.
    pub round: u32,
}

impl From<Challenge> for AuthChallenge {
    fn from(challenge: Challenge) -> Self {
        let data = challenge.data.map(|data| data.as_bytes().to_vec());
        Self { method: challenge.method, data, round: challenge.round }
    }
}

/// Makes credentials for each CONNECT; asked one call at a time, never on the driver's thread.
#[uniffi::export(foreign)]
#[async_trait::async_trait]
pub trait CredentialsProvider: Send + Sync {
    /// Before each CONNECT, and ahead of the expiry of those in use.
    async fn credentials(&self, ask: CredentialsAsk) -> std::result::Result<CredentialSet, CallbackError>;
    /// The answer to a step of the broker's.
    async fn continue_exchange(&self, challenge: AuthChallenge) -> std::result::Result<Option<Vec<u8>>, CallbackError>;
    /// Whether the broker's last word is to be trusted.
    async fn finish_exchange(&self, challenge: AuthChallenge) -> std::result::Result<(), CallbackError>;
}

/// A provider of the app, as the core knows it.
pub(crate) struct Provider(pub(crate) Arc<dyn CredentialsProvider>);

impl homing::CredentialsProvider for Provider {
    fn credentials(
        &self,
        ask: CredentialsRequest,
    ) -> BoxFuture<'_, std::result::Result<Credentials, CredentialsError>> {
        Box::pin(async {
            let set = self.0.credentials(ask.into()).await?;
            set.translate().map_err(|_| CredentialsError::Invalid("an expiry after 1970"))
        })
    }

    fn continue_exchange(
        &self,
        challenge: Challenge,
    ) -> BoxFuture<'_, std::result::Result<Option<AuthData>, CredentialsError>> {
        Box::pin(async { Ok(self.0.continue_exchange(challenge.into()).await?.map(AuthData::new)) })
    }

    fn finish_exchange(&self, challenge: Challenge) -> BoxFuture<'_, std::result::Result<(), CredentialsError>> {
        Box::pin(async { Ok(self.0.finish_exchange(challenge.into()).await?) })
    }
}

/// Keys of AWS for a signed URL.
#[derive(Clone, uniffi::Record)]
pub struct AwsKeySet {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Of temporary keys.
    pub session_token: Option<String>,
}

/// Makes keys of AWS before each connect.
#[uniffi::export(foreign)]
#[async_trait::async_trait]
pub trait AwsKeyProvider: Send + Sync {
    /// The keys for the next connect.
    async fn keys(&self) -> std::result::Result<AwsKeySet, CallbackError>;
}

pub(crate) fn aws_keys(provider: Arc<dyn AwsKeyProvider>) -> AwsKeySource {
    AwsKeySource::new(move || {
        let provider = Arc::clone(&provider);
        async move {
            let set = provider.keys().await?;
            AwsKeys::new(&set.access_key_id, &set.secret_access_key, set.session_token.as_deref())
                .map_err(|_| CredentialsError::Invalid("AWS keys: letters, digits and visible ASCII"))
        }
    })
}

/// Decides on a server's certificates, as the system's trust manager does on Android.
#[uniffi::export(foreign)]
pub trait TrustCheck: Send + Sync {
    /// `chain` in DER, the server's own first; `host` is what it must be valid for. None: trusted; else why not, in words
    /// that may be shown.
    fn check(&self, chain: Vec<Vec<u8>>, host: String) -> std::result::Result<Option<String>, CallbackError>;
}

/// How long a trust check may take: the driver waits for it.
const TRUST_LIMIT: Duration = Duration::from_secs(10);

/// The app's trust, as the core knows it.
pub(crate) struct Trusting {
    check: Arc<dyn TrustCheck>,
    /// A question that the app has not answered yet: one that never does costs one thread, not one an attempt.
    asking: Arc<AtomicBool>,
}

impl Trusting {
    pub(crate) fn new(check: Arc<dyn TrustCheck>) -> Self {
        Self { check, asking: Arc::default() }
    }
}

impl ServerTrust for Trusting {
    /// On a thread of its own: one that never comes back costs the driver ten seconds, not its life.
    fn check(&self, chain: &[&[u8]], host: &str) -> std::result::Result<(), String> {
        let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
        if self.asking.swap(true, Ordering::AcqRel) {
            return Err("the app's trust callback has not come back from an earlier question".to_owned());
        }
        let (check, asking) = (Arc::clone(&self.check), Arc::clone(&self.asking));
        let (host, (answer, answered)) = (host.to_owned(), mpsc::sync_channel(1));
        let ask = move || {
            let trusted = check.check(chain, host);
            asking.store(false, Ordering::Release);
            // Nobody listens any more if it took too long.
            let _ = answer.send(trusted);
        };
        if std::thread::Builder::new().name("homing-trust".to_owned()).spawn(ask).is_err() {
            self.asking.store(false, Ordering::Release);
            return Err("no thread could be started to ask the app".to_owned());
        }
        match answered.recv_timeout(TRUST_LIMIT) {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(why))) => Err(why),
            Ok(Err(error)) => Err(format!("the app's trust callback: {error}")),
            Err(_) => Err(format!("the app's trust callback gave no answer in {} s", TRUST_LIMIT.as_secs())),
        }
    }
}

/// Hands out the key of an encrypted store.
#[uniffi::export(foreign)]
pub trait StoreKeyProvider: Send + Sync {
    /// 32 bytes; asked each time that the file is opened.
    fn key(&self) -> std::result::Result<Vec<u8>, CallbackError>;
}

#[cfg(feature = "encryption")]
pub(crate) fn store_key(provider: Arc<dyn StoreKeyProvider>) -> Result<homing::KeyProvider> {
    Ok(homing::KeyProvider::new(move || {
        let bytes = provider.key().map_err(|error| homing::KeyError(error.to_string()))?;
        key_of(bytes).map_err(homing::KeyError)
    }))
}

#[cfg(feature = "encryption")]
pub(crate) fn key_of(bytes: Vec<u8>) -> std::result::Result<homing::StoreKey, String> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|bytes| format!("{} bytes; a key has 32", bytes.len()))?;
    Ok(homing::StoreKey::new(bytes))
}

/// A key that would protect nothing must not pass silently.
#[cfg(not(feature = "encryption"))]
pub(crate) fn no_encryption() -> FfiError {
    FfiError::new(
        crate::error::ErrorCode::Unsupported,
        "key: this build of the native library has no encryption; take the one that has it, or leave the key out",
    )
}
