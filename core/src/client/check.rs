//! Refuses bad input before anything is stored, with the field and the limit in words.

use std::time::Duration;

use super::command::Outgoing;
use crate::link::system_proxy;
use crate::model::broker_url::{BrokerUrl, Scheme};
use crate::model::consumer::{Lag, MAX_LAG_MESSAGES};
use crate::model::credentials::CredentialsSource;
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::event::Event;
use crate::model::message::{Lane, Properties, Publish, Subscription};
use crate::model::options::{Limit, Options, Version};
use crate::model::proxy::Proxy;
use crate::model::rows::{Hot, OutboxRow, join_id};
use crate::model::tls::{ClientIdentity, ServerName, Trust};
use crate::model::topic::{MAX_STRING_BYTES, TopicFilter};

/// The longest time MQTT 5 can say in seconds.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// The most addresses beside the first one.
const MAX_OTHER_ADDRESSES: usize = 15;

/// Filters of the file for widgets.
const MAX_GLANCE_FILTERS: usize = 64;

/// The longest key.
const MAX_KEY_BYTES: usize = 255;

/// Checks the options of a client.
pub(crate) fn options(options: &Options) -> Result<(), OpenError> {
    let ensure = |right: bool, option: &'static str, problem: &str| match right {
        true => Ok(()),
        false => Err(OpenError::Option { option, problem: problem.to_owned() }),
    };
    let limit = |limit: &Limit| limit.messages > 0 && limit.bytes > 0;
    ensure(options.keep_alive <= Duration::from_secs(65_535), "keep_alive", "at most 65535 s")?;
    ensure(options.session_expiry <= LONGEST, "session_expiry", "at most 4294967295 s")?;
    ensure(options.inflight > 0, "inflight", "at least 1")?;
    ensure(options.inflight_qos2 > 0, "inflight_qos2", "at least 1")?;
    ensure(options.receive_maximum > 0, "receive_maximum", "at least 1 [3.1.2.11.3]")?;
    ensure(options.max_packet >= 1024, "max_packet", "at least 1024 bytes")?;
    ensure(options.max_packet <= 268_435_460, "max_packet", "at most 268435460 bytes, the longest MQTT packet")?;
    ensure(options.max_payload <= 268_000_000, "max_payload", "at most 268000000 bytes")?;
    ensure(limit(&options.outbox_limit), "outbox_limit", "at least 1 message and 1 byte")?;
    ensure(limit(&options.inbox_limit), "inbox_limit", "at least 1 message and 1 byte")?;
    ensure(options.broker_keeps.is_none_or(|keeps| !keeps.is_zero()), "broker_keeps", "more than zero, or none")?;
    let addresses = addresses(options)?;
    ensure(options.connect_pace <= Duration::from_secs(3600), "connect_pace", "at most an hour")?;
    tls(options, &addresses)?;
    ensure(!options.retry.0.is_zero() && options.retry.0 <= options.retry.1, "retry", "0 < shortest <= longest")?;
    let filters = options.glance.iter().flat_map(|glance| glance.filters.iter().chain(&glance.alerts));
    ensure(filters.clone().count() <= MAX_GLANCE_FILTERS, "glance", "at most 64 filters")?;
    ensure(!filters.clone().any(TopicFilter::is_shared), "glance", "no shared subscriptions: name the topics")?;
    way(options, &addresses)?;
    consumer_name(&options.first_consumer)
        .map_err(|error| OpenError::Option { option: "first_consumer", problem: error.to_string() })?;
    let own = addresses.iter().filter_map(|address| address.credentials());
    if own.clone().any(|credentials| credentials.check().is_err()) {
        let problem = "user name or password in an address: at most 65535 bytes each, no U+0000".to_owned();
        return Err(OpenError::Option { option: "broker", problem });
    }
    if let Some(CredentialsSource::Static(credentials)) = &options.credentials {
        credentials
            .check()
            .map_err(|problem| OpenError::Option { option: "credentials", problem: problem.to_owned() })?;
        let v5 = credentials.enhanced.is_none() || options.version != Version::V311;
        ensure(v5, "credentials", "no authentication method with MQTT 3.1.1, which has none; use version 5")?;
    }
    if let Some(will) = &options.will {
        ensure(will.delay <= LONGEST, "will", "delay of at most 4294967295 s")?;
        ensure(will.message.payload.len() <= MAX_STRING_BYTES, "will", "payload of at most 65535 bytes [3.1.3.4]")?;
        publish(will.message.clone(), options)
            .map_err(|error| OpenError::Option { option: "will", problem: error.to_string() })?;
    }
    Ok(())
}

/// Checks the list of the broker's addresses.
fn addresses(options: &Options) -> Result<Vec<&BrokerUrl>, OpenError> {
    let wrong = |problem: String| Err(OpenError::Option { option: "other_addresses", problem });
    let Some(broker) = &options.broker else {
        return match options.other_addresses.is_empty() {
            true => Ok(Vec::new()),
            false => wrong("there are some, but no broker; the first address goes to broker".to_owned()),
        };
    };
    if options.other_addresses.len() > MAX_OTHER_ADDRESSES {
        return wrong(format!("{} are too many; at most {MAX_OTHER_ADDRESSES}", options.other_addresses.len()));
    }
    let mut seen = vec![broker.to_string()];
    for address in &options.other_addresses {
        let text = address.to_string();
        if seen.contains(&text) {
            return wrong(format!("{text} is named twice (user name, password and query do not count)"));
        }
        seen.push(text);
    }
    Ok(std::iter::once(broker).chain(&options.other_addresses).collect())
}

/// Checks that the TLS options fit, and fit the broker's addresses.
pub(crate) fn tls(options: &Options, addresses: &[&BrokerUrl]) -> Result<(), OpenError> {
    let wrong = |option, problem: String| Err(OpenError::Option { option, problem });
    if options.tls.alpn.iter().any(|protocol| !matches!(protocol.len(), 1..=255)) {
        return wrong("tls", "each application protocol (ALPN) has 1 to 255 bytes".to_owned());
    }
    if cfg!(target_os = "android")
        && matches!(options.tls.trust, Trust::Platform)
        && addresses.iter().any(|address| address.is_tls())
    {
        return wrong("tls", "on Android give Trust::System with the system's X509TrustManager, or roots".to_owned());
    }
    if let Some(first) = addresses.first()
        && !options.tls.is_default()
        && !addresses.iter().any(|address| address.is_tls())
    {
        return wrong("tls", format!("{first} is not encrypted, so they would do nothing; write mqtts:// or wss://"));
    }
    if options.tls.server_name.is_none() {
        for address in addresses.iter().filter(|address| address.is_tls()) {
            if let Err(error) = ServerName::new(address.host()) {
                return wrong("broker", error.to_string());
            }
        }
    }
    Ok(())
}

/// What does not keep a client from being opened, but will keep it from its broker.
pub(crate) fn warnings(options: &Options, wall_ms: i64) -> Option<Event> {
    let expired = |identity: &&ClientIdentity| identity.not_after_s() < u64::try_from(wall_ms / 1000).unwrap_or(0);
    options.tls.identity.as_ref().filter(expired).map(|_| Event::Warning {
        code: "client_certificate_expired",
        text: "the client certificate has expired, so most brokers will refuse it; get a new one".to_owned(),
    })
}

/// Checks how the broker's addresses are reached.
pub(crate) fn way(options: &Options, addresses: &[&BrokerUrl]) -> Result<(), OpenError> {
    let wrong = |option: &'static str, problem: String| Err(OpenError::Option { option, problem });
    let has_socket = addresses.iter().any(|address| address.scheme() == Scheme::Unix);
    if has_socket && options.transport.is_none() && cfg!(not(unix)) {
        return wrong("broker", "Unix sockets exist on Unix only; name the broker by mqtt://".to_owned());
    }
    #[cfg(unix)]
    if options.transport.is_none() {
        for address in addresses.iter().filter(|address| address.scheme() == Scheme::Unix) {
            // The system's limit is about a hundred bytes.
            if let Err(error) = std::os::unix::net::SocketAddr::from_pathname(address.path()) {
                return wrong("broker", format!("{address}: {error}"));
            }
        }
    }
    match &options.proxy {
        Proxy::Url(_) if options.transport.is_some() => {
            wrong("proxy", "the app's transport finds its own way; leave one of both out".to_owned())
        }
        Proxy::Url(_) if has_socket => wrong("proxy", "no proxy leads to a Unix socket; leave it out".to_owned()),
        Proxy::System => {
            let hosts = addresses.iter().map(|address| address.host());
            let checked = hosts.map(system_proxy).collect::<Result<Vec<_>, _>>();
            checked
                .map(drop)
                .or_else(|(variable, error)| wrong("proxy", format!("environment variable {variable}: {error}")))
        }
        Proxy::Url(_) | Proxy::Direct => Ok(()),
    }
}

/// Checks the limits against what the queues hold already. A single received message of any size is in order.
pub(crate) fn limits(options: &Options, hot: &Hot) -> Result<(), OpenError> {
    let fits = |option: &'static str, limit: Limit, held: Limit, mend: &str| {
        if held.messages <= limit.messages && held.bytes <= limit.bytes {
            return Ok(());
        }
        let problem = format!(
            "{} messages and {} bytes are less than the {} messages and {} bytes that the store holds; {mend}, or use at \
             least as much",
            limit.messages, limit.bytes, held.messages, held.bytes
        );
        Err(OpenError::Option { option, problem })
    };
    let outbox = Limit {
        messages: hot.outbox_messages() + hot.parked_messages,
        bytes: hot.lanes.iter().map(|lane| lane.bytes).sum::<u64>() + hot.parked_bytes,
    };
    fits("outbox_limit", options.outbox_limit, outbox, "let them be delivered first")?;
    let single = hot.inbox_messages <= 1;
    let inbox = Limit { messages: hot.inbox_messages, bytes: if single { 0 } else { hot.inbox_bytes } };
    fits("inbox_limit", options.inbox_limit, inbox, "let a shorter retention take what is done with first")
}

/// Checks a message and makes its row; `expires_ms` holds the time to live until the turn knows the store clock.
pub(crate) fn publish(message: Publish, options: &Options) -> Result<Outgoing, PublishError> {
    let (bytes, limit) = (message.payload.len(), options.max_payload);
    if bytes > limit {
        return Err(PublishError::PayloadTooLarge { bytes, limit });
    }
    super::profile::publish(&message, &options.profile)?;
    let ttl = match message.ttl {
        None => None,
        Some(ttl) if ttl.is_zero() => return Err(PublishError::Ttl { what: "zero" }),
        Some(ttl) if ttl > LONGEST => return Err(PublishError::Ttl { what: "too long" }),
        Some(ttl) => Some(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)),
    };
    let props = match message.properties {
        props if props.is_empty() => None,
        props => Some(Box::new(properties(props)?)),
    };
    for (key, text) in [("supersede", &message.supersede), ("idempotency", &message.idempotency)] {
        match text.as_ref().map_or(1, String::len) {
            1..=MAX_KEY_BYTES => {}
            bytes => return Err(PublishError::Key { key, bytes }),
        }
    }
    let lane = match message.lane {
        Lane::Normal => 0,
        Lane::Urgent => 1,
    };
    let row = OutboxRow {
        id: join_id(lane, 0),
        topic: message.topic,
        payload: message.payload,
        props,
        qos: message.qos,
        retain: message.retain,
        expires_ms: ttl,
        maybe_dup: false,
        if_unsupported: message.if_unsupported,
        supersede: message.supersede,
        after_ord: None,
    };
    Ok(Outgoing { row, key: message.idempotency })
}

fn properties(mut props: Properties) -> Result<Properties, PublishError> {
    let text = |property: &'static str, text: &str| {
        let problem = if text.len() > MAX_STRING_BYTES {
            format!("{} bytes long; the limit is 65535", text.len())
        } else if text.contains('\0') {
            "holds the character U+0000; remove it".to_owned()
        } else {
            return Ok(());
        };
        Err(PublishError::Property { property, problem })
    };
    if let Some(content_type) = &props.content_type {
        text("content type", content_type)?;
    }
    if let Some(data) = &props.correlation_data
        && data.len() > MAX_STRING_BYTES
    {
        let problem = format!("{} bytes long; the limit is 65535", data.len());
        return Err(PublishError::Property { property: "correlation data", problem });
    }
    for (name, value) in &props.user {
        text("user property name", name)?;
        text("user property value", value)?;
    }
    // What only a broker may set, or what the time to live says.
    props.subscription_ids.clear();
    props.expiry_s = None;
    Ok(props)
}

/// Checks a subscription's filter, and its options against it.
pub(crate) fn subscription(wish: &Subscription) -> Result<(), Error> {
    // Brokers such as mosquitto close the link over one, for ever again: the wish is durable, and ending it names it too.
    if wish.filter.as_str().contains(no_text) {
        let problem =
            "the filter holds a control character or one that is no text; remove it (MQTT 5, 1.5.4)".to_owned();
        return Err(Error::Invalid { what: "subscription", problem });
    }
    if wish.no_local && wish.filter.is_shared() {
        let problem = "no_local cannot be set on a shared subscription [MQTT-3.8.3-4]".to_owned();
        return Err(Error::Invalid { what: "subscription", problem });
    }
    if wish.id.is_some_and(|id| id.get() > 268_435_455) {
        let problem = "the identifier must be between 1 and 268435455 [3.8.2.1.2]".to_owned();
        return Err(Error::Invalid { what: "subscription", problem });
    }
    Ok(())
}

/// What a UTF-8 string of MQTT should not hold: control characters, and code points that Unicode has set aside.
fn no_text(char: char) -> bool {
    char.is_control() || matches!(u32::from(char), 0xFDD0..=0xFDEF) || u32::from(char) & 0xFFFE == 0xFFFE
}

/// Checks a consumer's lag policy.
pub(crate) fn lag(lag: Lag) -> Result<(), Error> {
    let problem = match lag {
        Lag::Skip { messages } if messages.get() > MAX_LAG_MESSAGES => "skip keeps at most 100000 messages",
        Lag::Expire { after } if after < Duration::from_millis(1) => "expire takes at least 1 ms",
        _ => return Ok(()),
    };
    Err(Error::Invalid { what: "lag", problem: problem.to_owned() })
}

/// Checks a consumer's name.
pub(crate) fn consumer_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > 255 || name.contains(char::is_control) {
        let problem = "1 to 255 bytes without control characters".to_owned();
        return Err(Error::Invalid { what: "consumer name", problem });
    }
    Ok(())
}
