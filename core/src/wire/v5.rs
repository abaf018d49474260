//! The rarer packets of MQTT 5, and what the crate reads for the hot path.

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::v5::mqttbytes::{QoS as CrateQoS, v5};

use super::WireError;
use super::codec::put_header;
use super::fields::{Fields, fits, put_binary, put_varint, topic_name, varint_len};
use super::packet::{Auth, ConnAck, ConnAckProperties, Disconnect, Packet, Protocol, SubAck, Subscribe, Unsubscribe};
use super::props;
use super::v4::{connack_flags, granted, one_filter, put_suback, refused, some_pid};
use crate::model::credentials::AuthData;
use crate::model::message::{Properties, QoS, RetainHandling, Subscription};
use crate::model::reason::ReasonCode;

pub(super) fn read(kind: u8, frame: &Bytes) -> Result<Packet, WireError> {
    let mut fields = Fields(frame);
    let packet = match kind {
        2 => Packet::ConnAck(Box::new(connack(frame, &mut fields)?)),
        8 => Packet::Subscribe(subscribe(&mut fields)?),
        9 => {
            let pid = fields.pid()?;
            props::check(&fields.section()?, &props::ACK)?;
            Packet::SubAck(SubAck { pid, reasons: granted(&mut fields)? })
        }
        10 => {
            let pid = fields.pid()?;
            props::check(&fields.section()?, &props::UNSUBSCRIBE)?;
            let packet = Unsubscribe { pid, filter: fields.filter()? };
            one_filter(&fields)?;
            Packet::Unsubscribe(packet)
        }
        11 => {
            let pid = fields.pid()?;
            props::check(&fields.section()?, &props::ACK)?;
            let reasons: Vec<ReasonCode> =
                std::mem::take(&mut fields.0).iter().map(|code| ReasonCode::from(*code)).collect();
            if reasons.is_empty() {
                return Err(WireError::malformed("UNSUBACK without a reason code [3.11.3]"));
            }
            Packet::UnsubAck(SubAck { pid, reasons })
        }
        14 => Packet::Disconnect(disconnect(frame, &mut fields)?),
        15 => Packet::Auth(auth(&mut fields)?),
        _ => return Err(WireError::malformed("packet type [2.1.2]")),
    };
    fields.end()?;
    Ok(packet)
}

fn connack(frame: &Bytes, fields: &mut Fields<'_>) -> Result<ConnAck, WireError> {
    // Servers that know 3.1.1 only answer in its form, and so do others when they do not know the version asked for.
    if frame.len() == 2 {
        let connack = super::v4::connack(fields)?;
        return if connack.reason == ReasonCode::Success {
            Err(WireError::malformed("a CONNACK of 3.1.1 that accepts a CONNECT of MQTT 5 [3.2.2.3]"))
        } else {
            Ok(connack)
        };
    }
    let session_present = connack_flags(fields.u8()?)?;
    let reason = ReasonCode::from(fields.u8()?);
    let section = fields.section()?;
    props::check(&section, &props::CONNACK)?;
    let theirs = v5::ConnAckProperties::read(&mut frame.slice_ref(section.with_length)).map_err(refused)?;
    let flag = |value: Option<u8>| value.map(|value| value == 1);
    let properties = theirs.map_or_else(ConnAckProperties::default, |theirs| ConnAckProperties {
        session_expiry: theirs.session_expiry_interval,
        receive_maximum: theirs.receive_max,
        maximum_qos: theirs.max_qos,
        retain_available: flag(theirs.retain_available),
        maximum_packet_size: theirs.max_packet_size,
        assigned_client_id: theirs.assigned_client_identifier,
        topic_alias_maximum: theirs.topic_alias_max,
        reason_string: theirs.reason_string,
        wildcard_available: flag(theirs.wildcard_subscription_available),
        subscription_ids_available: flag(theirs.subscription_identifiers_available),
        shared_available: flag(theirs.shared_subscription_available),
        server_keep_alive: theirs.server_keep_alive,
        server_reference: theirs.server_reference,
        authentication_method: theirs.authentication_method,
        authentication_data: theirs.authentication_data.map(AuthData::new),
    });
    Ok(ConnAck { session_present, reason, properties })
}

fn subscribe(fields: &mut Fields<'_>) -> Result<Subscribe, WireError> {
    let pid = fields.pid()?;
    let section = fields.section()?;
    props::check(&section, &props::SUBSCRIBE)?;
    let id = props::find(&section, props::SUBSCRIPTION_ID)?.map(|mut id| id.varint()).transpose()?;
    let filter = fields.filter()?;
    let options = fields.u8()?;
    one_filter(fields)?;
    let malformed = || WireError::malformed("SUBSCRIBE options [MQTT-3.8.3-5]");
    let qos = QoS::from_number(options & 3).ok_or_else(malformed)?;
    let mut wish = Subscription::new(filter, qos);
    wish.no_local = options & 4 != 0;
    wish.retain_as_published = options & 8 != 0;
    wish.retain_handling = match options >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(malformed()),
    };
    wish.id = id.and_then(std::num::NonZeroU32::new);
    if wish.no_local && wish.filter.is_shared() {
        return Err(WireError::protocol("no local on a shared subscription [MQTT-3.8.3-4]"));
    }
    Ok(Subscribe { pid, wish })
}

/// `e0 00` and `e0 01 8b` leave out what is at its default [3.14.2.1], [3.14.2.2.1].
fn disconnect(frame: &Bytes, fields: &mut Fields<'_>) -> Result<Disconnect, WireError> {
    if frame.is_empty() {
        return Ok(Disconnect::new(ReasonCode::Success));
    }
    let mut disconnect = Disconnect::new(fields.u8()?.into());
    if fields.0.is_empty() {
        return Ok(disconnect);
    }
    let section = fields.section()?;
    props::check(&section, &props::DISCONNECT)?;
    if let Some(theirs) =
        v5::DisconnectProperties::extract(&mut frame.slice_ref(section.with_length)).map_err(refused)?
    {
        disconnect.session_expiry = theirs.session_expiry_interval;
        disconnect.server_reference = theirs.server_reference;
        disconnect.reason_string = theirs.reason_string;
    }
    Ok(disconnect)
}

fn auth(fields: &mut Fields<'_>) -> Result<Auth, WireError> {
    if fields.0.is_empty() {
        return Ok(Auth { reason: ReasonCode::Success, method: None, data: None });
    }
    let reason = ReasonCode::from(fields.u8()?);
    if !matches!(reason, ReasonCode::Success | ReasonCode::ContinueAuthentication | ReasonCode::ReAuthenticate) {
        return Err(WireError::protocol(format!("AUTH with {reason} [MQTT-3.15.2-1]")));
    }
    if fields.0.is_empty() {
        return Ok(Auth { reason, method: None, data: None });
    }
    let section = fields.section()?;
    props::check(&section, &props::AUTH)?;
    let method = props::find(&section, props::AUTHENTICATION_METHOD)?;
    let data = props::find(&section, props::AUTHENTICATION_DATA)?;
    Ok(Auth {
        reason,
        method: method.map(|mut method| method.text().map(str::to_owned)).transpose()?,
        data: data.map(|mut data| data.binary().map(AuthData::new)).transpose()?,
    })
}

/// The properties of a PUBLISH from a section that was checked; None if they say nothing.
pub(super) fn message_properties(mut section: Bytes) -> Result<Option<Box<Properties>>, WireError> {
    let Some(theirs) = v5::PublishProperties::read(&mut section).map_err(refused)? else { return Ok(None) };
    let props = Properties {
        payload_is_utf8: theirs.payload_format_indicator == Some(1),
        content_type: theirs.content_type,
        response_topic: response_topic(theirs.response_topic)?,
        correlation_data: theirs.correlation_data,
        user: theirs.user_properties,
        subscription_ids: theirs.subscription_identifiers.into_iter().filter_map(|id| id.try_into().ok()).collect(),
        expiry_s: theirs.message_expiry_interval,
    };
    Ok((!props.is_empty()).then(|| Box::new(props)))
}

/// An empty response topic names no place to answer to: it is read as none. It comes from another client; to close the
/// link for it would bring the message again for ever.
pub(super) fn response_topic(text: Option<String>) -> Result<Option<crate::model::topic::TopicName>, WireError> {
    text.map_or(Ok(None), |text| topic_name(&text))
}

pub(super) fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), WireError> {
    match packet {
        Packet::ConnAck(connack) => {
            let mut body = BytesMut::new();
            body.put_u8(connack.session_present.into());
            body.put_u8(connack.reason.code());
            put_connack_props(&connack.properties, &mut body)?;
            put_header(0x20, body.len(), out)?;
            out.put_slice(&body);
            Ok(())
        }
        Packet::Subscribe(subscribe) => put_subscribe(subscribe, out),
        Packet::SubAck(suback) => put_suback(0x90, suback, Protocol::V5, out),
        Packet::Unsubscribe(unsubscribe) => {
            let mut theirs = v5::Unsubscribe::new(unsubscribe.filter.as_str(), None);
            theirs.pkid = some_pid(unsubscribe.pid)?;
            theirs.write(out).map_err(refused)?;
            Ok(())
        }
        Packet::UnsubAck(unsuback) => put_suback(0xb0, unsuback, Protocol::V5, out),
        Packet::Disconnect(disconnect) => put_disconnect(disconnect, out),
        Packet::Auth(auth) => put_auth(auth, out),
        _ => Err(WireError::protocol("no such packet")),
    }
}

fn put_connack_props(ours: &ConnAckProperties, body: &mut BytesMut) -> Result<(), WireError> {
    let texts = [&ours.assigned_client_id, &ours.reason_string, &ours.server_reference, &ours.authentication_method];
    for text in texts.into_iter().flatten() {
        fits("a CONNACK property", text.as_bytes())?;
    }
    let data = ours.authentication_data.as_ref().map(AuthData::as_bytes);
    fits("authentication data", data.unwrap_or_default())?;
    let theirs = v5::ConnAckProperties {
        session_expiry_interval: ours.session_expiry,
        receive_max: ours.receive_maximum,
        max_qos: ours.maximum_qos,
        retain_available: ours.retain_available.map(u8::from),
        max_packet_size: ours.maximum_packet_size,
        assigned_client_identifier: ours.assigned_client_id.clone(),
        topic_alias_max: ours.topic_alias_maximum,
        reason_string: ours.reason_string.clone(),
        user_properties: Vec::new(),
        wildcard_subscription_available: ours.wildcard_available.map(u8::from),
        subscription_identifiers_available: ours.subscription_ids_available.map(u8::from),
        shared_subscription_available: ours.shared_available.map(u8::from),
        server_keep_alive: ours.server_keep_alive,
        response_information: None,
        server_reference: ours.server_reference.clone(),
        authentication_method: ours.authentication_method.clone(),
        authentication_data: data.map(Bytes::copy_from_slice),
    };
    theirs.write(body).map_err(refused)
}

fn put_subscribe(subscribe: &Subscribe, out: &mut BytesMut) -> Result<(), WireError> {
    let wish = &subscribe.wish;
    let filter = v5::Filter {
        path: wish.filter.as_str().to_owned(),
        qos: match wish.qos {
            QoS::AtMostOnce => CrateQoS::AtMostOnce,
            QoS::AtLeastOnce => CrateQoS::AtLeastOnce,
            QoS::ExactlyOnce => CrateQoS::ExactlyOnce,
        },
        nolocal: wish.no_local,
        preserve_retain: wish.retain_as_published,
        retain_forward_rule: match wish.retain_handling {
            RetainHandling::Always => v5::RetainForwardRule::OnEverySubscribe,
            RetainHandling::IfNew => v5::RetainForwardRule::OnNewSubscribe,
            RetainHandling::Never => v5::RetainForwardRule::Never,
        },
    };
    let properties =
        wish.id.map(|id| v5::SubscribeProperties { id: Some(id.get() as usize), user_properties: Vec::new() });
    let mut theirs = v5::Subscribe::new(filter, properties);
    theirs.pkid = some_pid(subscribe.pid)?;
    theirs.write(out).map_err(refused)?;
    Ok(())
}

/// By hand: the crate writes a DISCONNECT with a reason one byte longer than it says.
fn put_disconnect(disconnect: &Disconnect, out: &mut BytesMut) -> Result<(), WireError> {
    let texts =
        [(props::SERVER_REFERENCE, &disconnect.server_reference), (props::REASON_STRING, &disconnect.reason_string)];
    let mut section = BytesMut::new();
    if let Some(seconds) = disconnect.session_expiry {
        section.put_u8(props::SESSION_EXPIRY);
        section.put_u32(seconds);
    }
    for (id, text) in texts {
        if let Some(text) = text {
            fits("a DISCONNECT property", text.as_bytes())?;
            section.put_u8(id);
            put_binary(&mut section, text.as_bytes());
        }
    }
    if section.is_empty() && disconnect.reason == ReasonCode::Success {
        out.put_slice(&[0xe0, 0]);
        return Ok(());
    }
    put_reason_and_section(0xe0, disconnect.reason, &section, out)
}

/// By hand: the crate's lengths are wrong as soon as there is a property.
fn put_auth(auth: &Auth, out: &mut BytesMut) -> Result<(), WireError> {
    let mut section = BytesMut::new();
    if let Some(method) = &auth.method {
        fits("authentication method", method.as_bytes())?;
        section.put_u8(props::AUTHENTICATION_METHOD);
        put_binary(&mut section, method.as_bytes());
    }
    if let Some(data) = &auth.data {
        fits("authentication data", data.as_bytes())?;
        section.put_u8(props::AUTHENTICATION_DATA);
        put_binary(&mut section, data.as_bytes());
    }
    put_reason_and_section(0xf0, auth.reason, &section, out)
}

fn put_reason_and_section(first: u8, reason: ReasonCode, section: &[u8], out: &mut BytesMut) -> Result<(), WireError> {
    put_header(first, 1 + varint_len(section.len()) + section.len(), out)?;
    out.put_u8(reason.code());
    put_varint(out, section.len());
    out.put_slice(section);
    Ok(())
}
