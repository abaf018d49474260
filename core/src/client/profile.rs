//! What a broker profile makes of the options, and what its service would cut the link for: refused here, in words.

use std::time::Duration;

use crate::auth::ProfileCredentials;
use crate::model::broker_url::{BrokerUrl, Scheme};
use crate::model::credentials::CredentialsSource;
use crate::model::error::{Error, OpenError, PublishError};
use crate::model::message::{IfUnsupported, Publish, QoS, Subscription};
use crate::model::options::{Options, Version};
use crate::model::profile::{AwsAuth, Profile};

/// Fills in what the profile knows.
///
/// # Errors
/// An option that the service does not take, or that the profile says already.
pub(super) fn apply(mut options: Options) -> Result<Options, OpenError> {
    let profile = options.profile.clone();
    let (name, limits) = (profile.name(), profile.limits());
    let wrong = |option: &'static str, problem: String| Err(OpenError::Option { option, problem });
    if let Some(id) = profile.client_id() {
        if options.client_id.as_ref().is_some_and(|asked| asked != id) {
            return wrong("client_id", format!("{name} derives it from the profile; leave it out"));
        }
        options.client_id = Some(id.clone());
    }
    if let Some(bytes) = options.client_id.as_ref().map(|id| id.as_str().len())
        && bytes > limits.max_client_id
    {
        let longest = limits.max_client_id;
        return wrong("client_id", format!("{name} takes at most {longest} bytes; this one has {bytes}"));
    }
    if let Some(version) = profile.version() {
        if options.version != Version::Auto && options.version != version {
            let only = if version == Version::V5 { "5" } else { "3.1.1" };
            return wrong("version", format!("{name} speaks MQTT {only} with this profile; leave it out"));
        }
        options.version = version;
    }
    let (shortest, longest) = limits.keep_alive_s;
    let taken = Duration::from_secs(shortest.into())..=Duration::from_secs(longest.into());
    if !taken.contains(&options.keep_alive) {
        return wrong("keep_alive", format!("{name} takes {shortest} to {longest} s"));
    }
    if let Some(will) = &options.will {
        if !limits.will {
            return wrong("will", format!("{name} does not take a will; leave it out"));
        }
        // A will cannot be sent in another way later.
        let strict = Publish { if_unsupported: IfUnsupported::Refuse, ..will.message.clone() };
        publish(&strict, &profile).map_err(|error| OpenError::Option { option: "will", problem: error.to_string() })?;
    }
    if profile.makes_credentials() {
        let own = |broker: &BrokerUrl| broker.credentials().is_some();
        if options.credentials.is_some() || options.broker.iter().chain(&options.other_addresses).any(own) {
            return wrong("credentials", format!("the profile makes those for {name}; leave user and password out"));
        }
        options.credentials = Some(CredentialsSource::provider(ProfileCredentials::new(profile.clone())));
    }
    let mut addresses = options.broker.iter().chain(&options.other_addresses);
    if let Profile::Aws(aws) = &profile
        && matches!(aws.auth(), AwsAuth::SigV4 { .. })
        && addresses.any(|address| !address.scheme().is_websocket())
    {
        return wrong("broker", format!("a signed URL for {name} needs a WebSocket; write wss://"));
    }
    if let Profile::Aws(aws) = &profile
        && matches!(aws.auth(), AwsAuth::X509)
        && options.broker.is_none()
        && options.tls.identity.is_none()
    {
        return wrong("tls", format!("{name} wants a client certificate with this profile; give it and its key"));
    }
    if matches!(profile, Profile::AzureEventGrid(_))
        && options.broker.is_none()
        && options.credentials.is_none()
        && options.tls.identity.is_none()
    {
        return wrong(
            "credentials",
            format!("{name} wants a token (an authentication method), or a client certificate"),
        );
    }
    // Over WebSocket it would be another protocol than HTTP.
    if let Some(alpn) = profile.alpn()
        && options.tls.alpn.is_empty()
        && options.broker.as_ref().is_none_or(|broker| broker.scheme() == Scheme::Mqtts)
    {
        options.tls.alpn = vec![alpn.as_bytes().to_vec()];
    }
    options.max_payload = options.max_payload.min(limits.max_payload);
    if let Some(longest) = limits.session_expiry {
        options.session_expiry = options.session_expiry.min(longest);
    }
    Ok(options)
}

/// Checks a message against the service. What may be parked or downgraded is the session's to decide.
pub(super) fn publish(message: &Publish, profile: &Profile) -> Result<(), PublishError> {
    let limits = profile.limits();
    let refused = |problem: String| Err(PublishError::Unsupported { service: profile.name(), problem });
    if let Some(problem) = limits.topic_problem(message.topic.as_str()) {
        return refused(problem);
    }
    if message.if_unsupported != IfUnsupported::Refuse {
        return Ok(());
    }
    if message.qos > limits.max_qos {
        return refused(no_such_qos(message.qos, limits.max_qos, "publish"));
    }
    if message.retain && !limits.retain {
        return refused("keeps no retained messages; publish without the retain flag".to_owned());
    }
    Ok(())
}

/// Checks a subscription against the service.
pub(super) fn subscription(wish: &Subscription, profile: &Profile) -> Result<(), Error> {
    let limits = profile.limits();
    let refused = |problem: String| Err(Error::Unsupported { service: profile.name(), problem });
    if let Some(problem) = limits.topic_problem(wish.filter.as_str()) {
        return refused(problem);
    }
    match wish.qos > limits.max_qos {
        true => refused(no_such_qos(wish.qos, limits.max_qos, "subscribe")),
        false => Ok(()),
    }
}

fn no_such_qos(asked: QoS, highest: QoS, verb: &str) -> String {
    format!("does not know QoS {}; {verb} with QoS {} at most", asked.number(), highest.number())
}
