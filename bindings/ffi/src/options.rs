//! What a client is opened with, as it crosses. Both wrappers hold the defaults of `homing::Options`, and a test of each
//! compares them with [`default_settings`].

use std::sync::Arc;
use std::time::Duration;

use homing::{
    BrokerUrl, ClientId, CredentialsSource, DeviceToken, Glance, HttpHeader, Limit, Options, Proxy, ProxyUrl, Version,
    Will,
};

use crate::callbacks::{CredentialSet, CredentialsProvider, Provider, StoreKeyProvider};
use crate::error::Result;
use crate::message::{Outgoing, duration, filters};
use crate::profile::BrokerProfile;
use crate::tls::TlsSettings;

/// Which version of MQTT to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum MqttVersion {
    /// 5, or 3.1.1 if the broker does not know 5.
    Auto,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Durability {
    /// When it would survive a power cut.
    PowerLoss,
    /// When it would survive the death of the process.
    ProcessKill,
}

/// What to do with a session of the broker's that the store does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ForeignSession {
    /// End it.
    Discard,
    /// Take it over.
    Adopt,
}

/// What happens at the inbox's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum InboxFull {
    /// The broker has to wait.
    Pause,
    /// The oldest go.
    DropOldest,
}

/// What happens at the outbox's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum OutboxFull {
    /// Publishing is refused.
    Refuse,
    /// The oldest go.
    DropOldest,
    /// The new one goes.
    DropNewest,
}

/// QoS 0 without a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Qos0Offline {
    /// It waits.
    Queue,
    /// Publishing is refused.
    Refuse,
    /// It is dropped.
    Drop,
}

/// A queue's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct QueueLimit {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<QueueLimit> for Limit {
    fn from(limit: QueueLimit) -> Self {
        Self { messages: limit.messages, bytes: limit.bytes }
    }
}

/// The will.
#[derive(Clone, uniffi::Record)]
pub struct WillMessage {
    /// What the broker publishes.
    pub message: Outgoing,
    /// How long it waits.
    pub delay_ms: i64,
}

/// A header of the WebSocket request.
#[derive(Clone, uniffi::Record)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How the broker is reached.
#[derive(Clone, uniffi::Enum)]
pub enum ProxyChoice {
    /// Straight.
    Direct,
    /// As the environment's variables say.
    System,
    /// Through this one.
    Url {
        /// `http://` or `socks5://`.
        url: String,
    },
}

/// A file with last values for widgets.
#[derive(Debug, Clone, uniffi::Record)]
pub struct GlanceFile {
    /// Last values of these topics.
    pub filters: Vec<String>,
    /// Alerts.
    pub alerts: Vec<String>,
}

/// Everything that a client is opened with.
#[derive(Clone, uniffi::Record)]
pub struct Settings {
    /// The store's file.
    pub store: String,
    /// The broker; None: the one that the store knows.
    pub broker: Option<String>,
    /// More addresses of the same broker.
    pub other_addresses: Vec<String>,
    /// The broker has moved.
    pub same_broker: bool,
    /// None: the store's own.
    pub client_id: Option<String>,
    /// TLS; None: the defaults.
    pub tls: Option<TlsSettings>,
    /// Fixed credentials.
    pub credentials: Option<CredentialSet>,
    /// Or a provider.
    pub provider: Option<Arc<dyn CredentialsProvider>>,
    /// The service that the broker belongs to.
    pub profile: BrokerProfile,
    /// How the broker is reached.
    pub proxy: ProxyChoice,
    /// Further headers of the WebSocket request.
    pub websocket_headers: Vec<Header>,
    /// The MQTT version.
    pub version: MqttVersion,
    /// Keep alive.
    pub keep_alive_ms: i64,
    /// Session expiry.
    pub session_expiry_ms: i64,
    /// When a commit counts.
    pub durability: Durability,
    /// Unfinished outgoing messages.
    pub inflight: u16,
    /// Of them QoS 2 with MQTT 3.1.1.
    pub inflight_qos2: u16,
    /// Receive maximum.
    pub receive_maximum: u16,
    /// Maximum packet size.
    pub max_packet: u32,
    /// The largest payload to publish.
    pub max_payload: u64,
    /// The outbox's limit.
    pub outbox_limit: QueueLimit,
    /// What happens there.
    pub outbox_full: OutboxFull,
    /// QoS 0 without a connection.
    pub qos0_offline: Qos0Offline,
    /// The inbox's limit.
    pub inbox_limit: QueueLimit,
    /// What happens there.
    pub inbox_full: InboxFull,
    /// How long the broker keeps messages.
    pub broker_keeps_ms: Option<i64>,
    /// How long done messages stay.
    pub retention_ms: i64,
    /// Foreign sessions.
    pub foreign_session: ForeignSession,
    /// The will.
    pub will: Option<WillMessage>,
    /// The shortest wait between two attempts.
    pub retry_min_ms: i64,
    /// The longest one.
    pub retry_max_ms: i64,
    /// The shortest time between two CONNECTs.
    pub connect_pace_ms: i64,
    /// The first consumer's name.
    pub first_consumer: String,
    /// What it wants.
    pub first_consumer_filters: Vec<String>,
    /// The key of an encrypted store.
    pub key: Option<Arc<dyn StoreKeyProvider>>,
    /// Names this installation.
    pub device_token: Option<Vec<u8>>,
    /// A file with last values.
    pub glance: Option<GlanceFile>,
    /// Connect at once.
    pub connect: bool,
}

/// What `homing::Options` holds for a store when nothing was chosen.
#[uniffi::export]
pub fn default_settings(store: String) -> Result<Settings> {
    let options = Options::new(store);
    let limit = |limit: Limit| QueueLimit { messages: limit.messages, bytes: limit.bytes };
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Ok(Settings {
        store: options.store.to_string_lossy().into_owned(),
        broker: None,
        other_addresses: Vec::new(),
        same_broker: options.same_broker,
        client_id: None,
        tls: None,
        credentials: None,
        provider: None,
        profile: BrokerProfile::Generic,
        proxy: ProxyChoice::Direct,
        websocket_headers: Vec::new(),
        version: MqttVersion::Auto,
        keep_alive_ms: ms(options.keep_alive),
        session_expiry_ms: ms(options.session_expiry),
        durability: Durability::PowerLoss,
        inflight: options.inflight,
        inflight_qos2: options.inflight_qos2,
        receive_maximum: options.receive_maximum,
        max_packet: options.max_packet,
        max_payload: options.max_payload as u64,
        outbox_limit: limit(options.outbox_limit),
        outbox_full: OutboxFull::Refuse,
        qos0_offline: Qos0Offline::Queue,
        inbox_limit: limit(options.inbox_limit),
        inbox_full: InboxFull::Pause,
        broker_keeps_ms: None,
        retention_ms: ms(options.retention),
        foreign_session: ForeignSession::Discard,
        will: None,
        retry_min_ms: ms(options.retry.0),
        retry_max_ms: ms(options.retry.1),
        connect_pace_ms: ms(options.connect_pace),
        first_consumer: options.first_consumer,
        first_consumer_filters: Vec::new(),
        key: None,
        device_token: None,
        glance: None,
        connect: options.connect,
    })
}

impl Settings {
    pub(crate) fn translate(self) -> Result<Options> {
        let mut options = Options::new(self.store);
        options.broker = self.broker.as_deref().map(BrokerUrl::parse).transpose()?;
        let addresses = self.other_addresses.iter().map(|address| BrokerUrl::parse(address));
        options.other_addresses = addresses.collect::<std::result::Result<_, _>>()?;
        options.same_broker = self.same_broker;
        options.client_id = self.client_id.map(ClientId::new).transpose()?;
        options.tls = self.tls.map(TlsSettings::translate).transpose()?.unwrap_or_default();
        options.credentials =
            self.credentials.map(CredentialSet::translate).transpose()?.map(CredentialsSource::Static);
        if let Some(provider) = self.provider {
            options.credentials = Some(CredentialsSource::provider(Provider(provider)));
        }
        options.profile = self.profile.translate()?;
        options.proxy = match self.proxy {
            ProxyChoice::Direct => Proxy::Direct,
            ProxyChoice::System => Proxy::System,
            ProxyChoice::Url { url } => Proxy::Url(ProxyUrl::parse(&url)?),
        };
        let headers = self.websocket_headers.into_iter().map(|header| HttpHeader::new(header.name, header.value));
        options.websocket_headers = headers.collect::<std::result::Result<_, _>>()?;
        options.version = match self.version {
            MqttVersion::Auto => Version::Auto,
            MqttVersion::V311 => Version::V311,
            MqttVersion::V5 => Version::V5,
        };
        options.keep_alive = duration("keep_alive", self.keep_alive_ms)?;
        options.session_expiry = duration("session_expiry", self.session_expiry_ms)?;
        options.durability = match self.durability {
            Durability::PowerLoss => homing::Durability::PowerLoss,
            Durability::ProcessKill => homing::Durability::ProcessKill,
        };
        options.inflight = self.inflight;
        options.inflight_qos2 = self.inflight_qos2;
        options.receive_maximum = self.receive_maximum;
        options.max_packet = self.max_packet;
        options.max_payload = usize::try_from(self.max_payload).unwrap_or(usize::MAX);
        options.outbox_limit = self.outbox_limit.into();
        options.outbox_full = match self.outbox_full {
            OutboxFull::Refuse => homing::OutboxFull::Refuse,
            OutboxFull::DropOldest => homing::OutboxFull::DropOldest,
            OutboxFull::DropNewest => homing::OutboxFull::DropNewest,
        };
        options.qos0_offline = match self.qos0_offline {
            Qos0Offline::Queue => homing::Qos0Offline::Queue,
            Qos0Offline::Refuse => homing::Qos0Offline::Refuse,
            Qos0Offline::Drop => homing::Qos0Offline::Drop,
        };
        options.inbox_limit = self.inbox_limit.into();
        options.inbox_full = match self.inbox_full {
            InboxFull::Pause => homing::InboxFull::Pause,
            InboxFull::DropOldest => homing::InboxFull::DropOldest,
        };
        options.broker_keeps = self.broker_keeps_ms.map(|ms| duration("broker_keeps", ms)).transpose()?;
        options.retention = duration("retention", self.retention_ms)?;
        options.foreign_session = match self.foreign_session {
            ForeignSession::Discard => homing::ForeignSession::Discard,
            ForeignSession::Adopt => homing::ForeignSession::Adopt,
        };
        if let Some(will) = self.will {
            let mut translated = Will::new(will.message.translate()?);
            translated.delay = duration("will delay", will.delay_ms)?;
            options.will = Some(translated);
        }
        options.retry = (duration("retry", self.retry_min_ms)?, duration("retry", self.retry_max_ms)?);
        options.connect_pace = duration("connect_pace", self.connect_pace_ms)?;
        options.first_consumer = self.first_consumer;
        options.first_consumer_filters = filters(self.first_consumer_filters)?;
        #[cfg(feature = "encryption")]
        {
            options.key = self.key.map(crate::callbacks::store_key).transpose()?;
        }
        #[cfg(not(feature = "encryption"))]
        if self.key.is_some() {
            return Err(crate::callbacks::no_encryption());
        }
        options.device_token = self.device_token.map(DeviceToken::new).transpose()?;
        if let Some(glance) = self.glance {
            options.glance = Some(Glance::new(filters(glance.filters)?).alerts(filters(glance.alerts)?));
        }
        options.connect = self.connect;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use homing::Options;

    use super::default_settings;

    #[test]
    fn the_defaults_are_those_of_the_core() {
        let ours = default_settings("store.db".to_owned()).unwrap().translate().unwrap();
        let core = Options::new("store.db");
        macro_rules! same {
            ($($field:ident),*) => { $(
                assert_eq!(format!("{:?}", ours.$field), format!("{:?}", core.$field), stringify!($field));
            )* };
        }
        same!(store, broker, other_addresses, same_broker, client_id, tls, profile, proxy, websocket_headers, version);
        same!(
            keep_alive,
            session_expiry,
            durability,
            inflight,
            inflight_qos2,
            receive_maximum,
            max_packet,
            max_payload
        );
        same!(outbox_limit, outbox_full, qos0_offline, inbox_limit, inbox_full, broker_keeps, retention);
        same!(
            foreign_session,
            retry,
            connect_pace,
            first_consumer,
            first_consumer_filters,
            device_token,
            glance,
            connect
        );
        assert!(ours.credentials.is_none() && core.credentials.is_none());
        assert!(ours.will.is_none() && core.will.is_none());
    }
}
