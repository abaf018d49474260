//! Who we are to the broker: user name and password, enhanced authentication, and whoever makes them for each CONNECT.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroize;

use super::reason::ReasonCode;
use super::topic::MAX_STRING_BYTES;

/// A boxed future, as [`CredentialsProvider`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes of an authentication exchange: a token, a challenge, a proof; at most 65,535. Never stored, never printed, overwritten
/// in memory when dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AuthData(Vec<u8>);

impl AuthData {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for AuthData {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for AuthData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthData(redacted)")
    }
}

/// How an MQTT 5 client begins enhanced authentication [4.12].
#[derive(Clone, PartialEq, Eq)]
pub struct EnhancedAuth {
    /// The authentication method, `SCRAM-SHA-256` for instance; broker and provider agree on its meaning.
    pub method: String,
    /// The data that goes with CONNECT, or with the AUTH that begins a re-authentication.
    pub data: Option<AuthData>,
}

impl fmt::Debug for EnhancedAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnhancedAuth").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What a CONNECT says of who we are. Never stored, never printed; overwritten in memory when dropped (what the operating
/// system or a link's buffer holds of it is not).
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// The user name; left out of CONNECT if it is empty, there is no password, and there is an authentication method.
    pub user: String,
    /// The password; MQTT 3.1.1 and 5 both take any bytes.
    pub password: Option<Vec<u8>>,
    /// From when on the broker will not take them any more; None (default): not known. A provider is asked for others before.
    pub expires_at: Option<SystemTime>,
    /// Enhanced authentication; MQTT 5 only.
    pub enhanced: Option<EnhancedAuth>,
    /// A signed path and query of the WebSocket request; then CONNECT names nobody.
    pub(crate) target: Option<String>,
}

impl Credentials {
    /// A user name and, mostly, a password.
    pub fn new(user: impl Into<String>, password: Option<Vec<u8>>) -> Self {
        Self { user: user.into(), password, expires_at: None, enhanced: None, target: None }
    }

    /// Enhanced authentication without user name and password; the method's first data goes with CONNECT.
    pub fn enhanced(method: impl Into<String>, data: Option<AuthData>) -> Self {
        Self::default().with_enhanced(method, data)
    }

    /// The same beside user name and password.
    #[must_use]
    pub fn with_enhanced(mut self, method: impl Into<String>, data: Option<AuthData>) -> Self {
        self.enhanced = Some(EnhancedAuth { method: method.into(), data });
        self
    }

    /// In the URL of the WebSocket request, not in CONNECT.
    pub(crate) fn in_url(target: String) -> Self {
        let mut credentials = Self::default();
        credentials.target = Some(target);
        credentials
    }

    /// They are good until then.
    #[must_use]
    pub fn until(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// When they expire, Unix milliseconds.
    pub(crate) fn expires_ms(&self) -> Option<i64> {
        let at = self.expires_at?;
        let since = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Some(i64::try_from(since).unwrap_or(i64::MAX))
    }

    /// The authentication method.
    pub(crate) fn method(&self) -> Option<&str> {
        self.enhanced.as_ref().map(|enhanced| enhanced.method.as_str())
    }

    /// Whether a CONNECT carries a user name.
    pub(crate) fn has_user(&self) -> bool {
        !self.user.is_empty() || self.password.is_some() || self.enhanced.is_none() && self.target.is_none()
    }

    /// Whether MQTT can carry them; else what is wrong.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let short = |bytes: &[u8]| bytes.len() <= MAX_STRING_BYTES;
        if !short(self.user.as_bytes()) || self.user.contains('\0') {
            return Err("user name of at most 65535 bytes without U+0000");
        }
        if !self.password.as_deref().is_none_or(short) {
            return Err("password of at most 65535 bytes");
        }
        let Some(EnhancedAuth { method, data }) = &self.enhanced else { return Ok(()) };
        if method.is_empty() || !short(method.as_bytes()) || method.contains('\0') {
            return Err("authentication method of 1 to 65535 bytes without U+0000");
        }
        if !data.as_ref().is_none_or(|data| short(data.as_bytes())) {
            return Err("authentication data of at most 65535 bytes");
        }
        Ok(())
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.user.zeroize();
        self.password.zeroize();
        self.target.zeroize();
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// Why a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WhyAsked {
    /// For the first CONNECT since the client was opened.
    #[default]
    First,
    /// For another one: nothing is wrong with the last ones.
    Reconnect,
    /// The last ones have expired, or will soon, or the app has called
    /// [`Homing::credentials_changed`](crate::Homing::credentials_changed).
    Expired,
    /// The broker refused the last ones, with this reason (`NotAuthorized` also for its WebSocket server's 401 and 403). What is
    /// cached should not be given again.
    Refused(ReasonCode),
}

/// What a provider is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialsRequest {
    /// Why.
    pub why: WhyAsked,
    /// The broker's host, as the options name it; the path of a Unix socket.
    pub host: String,
    /// The broker's port; 0 for a Unix socket.
    pub port: u16,
}

/// A step of an exchange: what the broker sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The method; the one that the credentials named.
    pub method: String,
    /// The broker's data.
    pub data: Option<AuthData>,
    /// Counts the broker's steps in this exchange, from 1; at most 10 are taken.
    pub round: u32,
}

/// Why there are no credentials, or an exchange failed. The words are fixed at compile time: no secret can get into them (P12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// From a provider: they cannot be had right now (no network, the token service does not answer). Asked again after the
    /// usual back-off.
    #[error("not available now: {0}")]
    Unavailable(&'static str),
    /// From a provider: there are none before somebody does something (signed out). Asked again after 5 minutes, or when
    /// [`Homing::credentials_changed`](crate::Homing::credentials_changed) is called.
    #[error("signed out: {0}")]
    SignedOut(&'static str),
    /// From a provider: the broker could not prove who it is.
    #[error("the broker is not trusted: {0}")]
    BrokerNotTrusted(&'static str),
    /// The provider gave no answer in time.
    #[error("the provider gave no answer in time")]
    TimedOut,
    /// The provider panicked, or no thread could be started for it.
    #[error("the provider panicked")]
    Panicked,
    /// What the provider gave does not fit MQTT; what would.
    #[error("the provider's answer does not fit MQTT: {0}")]
    Invalid(&'static str),
    /// The broker wants an exchange, and nobody can go on with it: the credentials are static, or the provider does not
    /// implement [`CredentialsProvider::continue_exchange`].
    #[error("the broker wants a further step of authentication, and the provider knows none")]
    NoExchange,
    /// They name an authentication method, and the broker speaks MQTT 3.1.1 (or the options say so).
    #[error("an authentication method needs MQTT 5, and the link speaks 3.1.1")]
    NeedsMqtt5,
    /// The broker did not answer a step of a re-authentication in time.
    #[error("the broker did not answer the re-authentication in time")]
    NoAnswer,
}

impl CredentialsError {
    /// Whether asking again soon is of no use.
    pub(crate) const fn is_lasting(self) -> bool {
        matches!(self, Self::SignedOut(_) | Self::NoExchange | Self::NeedsMqtt5)
    }
}

/// Makes credentials for each CONNECT. Called on a thread of its own with a runtime of its own, one call at a time: it may block,
/// and a panic is an error like others. Each answer is waited for at most 30 s (15 s in an exchange), then the future is dropped.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use homing::{
///     BoxFuture, Credentials, CredentialsError, CredentialsProvider, CredentialsRequest, CredentialsSource, Options, WhyAsked,
/// };
///
/// struct Tokens;
///
/// # async fn fetch(_fresh: bool) -> Option<Vec<u8>> { None }
/// impl CredentialsProvider for Tokens {
///     fn credentials(&self, ask: CredentialsRequest) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
///         Box::pin(async move {
///             let fresh = !matches!(ask.why, WhyAsked::First | WhyAsked::Reconnect);
///             let token = fetch(fresh).await.ok_or(CredentialsError::Unavailable("token service"))?;
///             Ok(Credentials::new("phone", Some(token)).until(SystemTime::now() + Duration::from_secs(3600)))
///         })
///     }
/// }
///
/// let mut options = Options::new("home.db");
/// options.credentials = Some(CredentialsSource::provider(Tokens));
/// ```
pub trait CredentialsProvider: Send + Sync {
    /// Called before each CONNECT, and ahead of the expiry of those in use: never more often than connections are tried, and
    /// for a link that stands at most every 5 s.
    ///
    /// # Errors
    /// [`CredentialsError::Unavailable`] or [`CredentialsError::SignedOut`]; the attempt counts as failed.
    fn credentials(&self, ask: CredentialsRequest) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;

    /// The broker wants a further step of the exchange (AUTH 0x18) [4.12]; the answer goes back with the same method. The
    /// default knows none: [`CredentialsError::NoExchange`].
    ///
    /// # Errors
    /// The link is closed, with DISCONNECT 0x83.
    fn continue_exchange(&self, challenge: Challenge) -> BoxFuture<'_, Result<Option<AuthData>, CredentialsError>> {
        drop(challenge);
        Box::pin(std::future::ready(Err(CredentialsError::NoExchange)))
    }

    /// The broker says that the exchange has succeeded; `challenge` has the data of its CONNACK, or of the AUTH that ends a
    /// re-authentication. Nothing is sent on a new link before. The default trusts.
    ///
    /// # Errors
    /// The link is closed, with DISCONNECT 0x83; a CONNACK then counts for nothing.
    fn finish_exchange(&self, challenge: Challenge) -> BoxFuture<'_, Result<(), CredentialsError>> {
        drop(challenge);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Where the credentials of a CONNECT come from.
#[derive(Clone)]
#[non_exhaustive]
pub enum CredentialsSource {
    /// The same for each CONNECT.
    Static(Credentials),
    /// Asked before each CONNECT.
    Provider(Arc<dyn CredentialsProvider>),
}

impl CredentialsSource {
    /// Whoever is asked before each CONNECT.
    pub fn provider(provider: impl CredentialsProvider + 'static) -> Self {
        Self::Provider(Arc::new(provider))
    }
}

impl From<Credentials> for CredentialsSource {
    fn from(credentials: Credentials) -> Self {
        Self::Static(credentials)
    }
}

impl<P: CredentialsProvider + 'static> From<Arc<P>> for CredentialsSource {
    fn from(provider: Arc<P>) -> Self {
        Self::Provider(provider)
    }
}

impl fmt::Debug for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static(redacted)",
            Self::Provider(_) => "Provider(redacted)",
        })
    }
}

/// What became of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsEvent {
    /// New ones are in use, ahead of the expiry of the last ones.
    Refreshed {
        /// By re-authentication on the standing link [4.12.1]; else by a new link to the same session.
        in_place: bool,
    },
    /// The broker refused them (0x85, 0x86, 0x87, 0x8A, 0x8C; 3.1.1: 2, 4, 5; a WebSocket's 401 or 403 is `NotAuthorized`).
    Refused {
        /// Why.
        reason: ReasonCode,
        /// When they, or others of the provider, are tried again: milliseconds from now.
        retry_in_ms: u64,
    },
    /// None could be had; the link that stands, if there is one, goes on.
    Failed(CredentialsError),
}
