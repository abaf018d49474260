//! CONNECT in both versions. The packet around the properties is read and written by hand: the crate's login is two Strings
//! (a password may be any bytes), it leaves out an empty user name, and it sets the connect flags at a place counted from
//! the buffer's start, which destroys what an output buffer already holds.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5;

use super::codec::{check_props, props_len, put_header, put_props};
use super::fields::{Fields, fits, put_binary, put_varint};
use super::packet::{Connect, Protocol};
use super::v4::refused;
use super::{WireError, props};
use crate::model::credentials::{AuthData, Credentials, EnhancedAuth};
use crate::model::message::{Properties, Publish, QoS};
use crate::model::options::Will;
use crate::model::reason::ReasonCode;

const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER: u8 = 0x80;

pub(super) fn read(frame: &Bytes) -> Result<Connect, WireError> {
    let mut fields = Fields(frame);
    let version = || WireError {
        reason: ReasonCode::UnsupportedProtocolVersion,
        text: "protocol name or version of CONNECT [MQTT-3.1.2-2]".to_owned(),
    };
    if fields.binary()? != b"MQTT" {
        return Err(version());
    }
    let protocol = match fields.u8()? {
        4 => Protocol::V4,
        5 => Protocol::V5,
        _ => return Err(version()),
    };
    let flags = fields.u8()?;
    let keep_alive = fields.u16()?;
    let no_user = flags & USER == 0 && flags & PASSWORD != 0 && protocol == Protocol::V4;
    if flags & 1 != 0 || flags & WILL == 0 && flags & 0x38 != 0 || no_user {
        return Err(WireError::malformed("CONNECT flags [MQTT-3.1.2-3]"));
    }
    let mut theirs = None;
    if protocol == Protocol::V5 {
        let section = fields.section()?;
        props::check(&section, &props::CONNECT)?;
        theirs = v5::ConnectProperties::read(&mut frame.slice_ref(section.with_length)).map_err(refused)?;
    }
    let client_id = fields.text()?.to_owned();
    let will = if flags & WILL == 0 { None } else { Some(read_will(flags, protocol, frame, &mut fields)?) };
    let user = if flags & USER == 0 { None } else { Some(fields.text()?.to_owned()) };
    let password = if flags & PASSWORD == 0 { None } else { Some(fields.binary()?.to_vec()) };
    fields.end()?;
    let data = theirs.as_ref().and_then(|theirs| theirs.authentication_data.as_deref()).map(AuthData::new);
    let method = theirs.as_ref().and_then(|theirs| theirs.authentication_method.clone());
    let enhanced = method.map(|method| EnhancedAuth { method, data });
    let credentials = (user.is_some() || password.is_some() || enhanced.is_some()).then(|| {
        let mut credentials = Credentials::new(user.unwrap_or_default(), password);
        credentials.enhanced = enhanced;
        credentials
    });
    Ok(Connect {
        protocol,
        client_id,
        clean_start: flags & CLEAN != 0,
        keep_alive,
        session_expiry: theirs.as_ref().and_then(|theirs| theirs.session_expiry_interval).unwrap_or(0),
        receive_maximum: theirs.as_ref().and_then(|theirs| theirs.receive_maximum).unwrap_or(u16::MAX),
        maximum_packet_size: theirs.and_then(|theirs| theirs.max_packet_size),
        credentials,
        will,
    })
}

fn read_will(flags: u8, protocol: Protocol, frame: &Bytes, fields: &mut Fields<'_>) -> Result<Will, WireError> {
    let qos = QoS::from_number(flags >> 3 & 3).ok_or_else(|| WireError::malformed("will QoS 3 [MQTT-3.1.2-12]"))?;
    let mut theirs = None;
    if protocol == Protocol::V5 {
        let section = fields.section()?;
        props::check(&section, &props::WILL)?;
        theirs = v5::LastWillProperties::read(&mut frame.slice_ref(section.with_length)).map_err(refused)?;
    }
    let topic = fields.topic()?.ok_or_else(|| WireError::malformed("empty will topic [MQTT-4.7.3-1]"))?;
    let payload = frame.slice_ref(fields.binary()?);
    let mut message = Publish::new(topic, payload).qos(qos).retain(flags & WILL_RETAIN != 0);
    let mut delay = Duration::ZERO;
    if let Some(theirs) = theirs {
        delay = seconds(theirs.delay_interval.unwrap_or(0));
        message.ttl = theirs.message_expiry_interval.map(seconds);
        message.properties = Properties {
            payload_is_utf8: theirs.payload_format_indicator == Some(1),
            content_type: theirs.content_type,
            response_topic: super::v5::response_topic(theirs.response_topic)?,
            correlation_data: theirs.correlation_data,
            user: theirs.user_properties,
            ..Properties::default()
        };
    }
    let mut will = Will::new(message);
    will.delay = delay;
    Ok(will)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

pub(super) fn write(connect: &Connect, out: &mut BytesMut) -> Result<(), WireError> {
    fits("client id", connect.client_id.as_bytes())?;
    let mut flags = if connect.clean_start { CLEAN } else { 0 };
    let mut payload = BytesMut::new();
    put_binary(&mut payload, connect.client_id.as_bytes());
    if let Some(will) = &connect.will {
        flags |= WILL | will.message.qos.number() << 3;
        flags |= if will.message.retain { WILL_RETAIN } else { 0 };
        put_will(will, connect.protocol, &mut payload)?;
    }
    if let Some(credentials) = connect.credentials.as_ref().filter(|credentials| credentials.has_user()) {
        flags |= USER;
        fits("user name", credentials.user.as_bytes())?;
        put_binary(&mut payload, credentials.user.as_bytes());
        if let Some(password) = &credentials.password {
            flags |= PASSWORD;
            fits("password", password)?;
            put_binary(&mut payload, password);
        }
    }
    let mut properties = BytesMut::new();
    let level = match connect.protocol {
        Protocol::V4 => 4,
        Protocol::V5 => {
            let mut theirs = v5::ConnectProperties::new();
            theirs.session_expiry_interval = Some(connect.session_expiry);
            theirs.receive_maximum = (connect.receive_maximum != u16::MAX).then_some(connect.receive_maximum);
            theirs.max_packet_size = connect.maximum_packet_size;
            if let Some(EnhancedAuth { method, data }) =
                connect.credentials.as_ref().and_then(|own| own.enhanced.as_ref())
            {
                fits("authentication method", method.as_bytes())?;
                fits("authentication data", data.as_ref().map(AuthData::as_bytes).unwrap_or_default())?;
                theirs.authentication_method = Some(method.clone());
                theirs.authentication_data = data.as_ref().map(|data| Bytes::copy_from_slice(data.as_bytes()));
            }
            theirs.write(&mut properties).map_err(refused)?;
            5
        }
    };
    put_header(0x10, 10 + properties.len() + payload.len(), out)?;
    put_binary(out, b"MQTT");
    out.put_u8(level);
    out.put_u8(flags);
    out.put_u16(connect.keep_alive);
    out.put_slice(&properties);
    out.put_slice(&payload);
    Ok(())
}

fn put_will(will: &Will, protocol: Protocol, payload: &mut BytesMut) -> Result<(), WireError> {
    let message = &will.message;
    fits("will payload", &message.payload)?;
    if protocol == Protocol::V5 {
        // What an app does not set when publishing is not the will's either.
        let properties = Properties {
            expiry_s: message.ttl.map(|ttl| whole_seconds(ttl).max(1)),
            subscription_ids: Vec::new(),
            ..message.properties.clone()
        };
        check_props(&properties)?;
        let delay = whole_seconds(will.delay);
        put_varint(payload, props_len(&properties) + if delay == 0 { 0 } else { 5 });
        if delay != 0 {
            payload.put_u8(props::WILL_DELAY);
            payload.put_u32(delay);
        }
        put_props(&properties, payload);
    }
    put_binary(payload, message.topic.as_str().as_bytes());
    put_binary(payload, &message.payload);
    Ok(())
}

/// Rounded up.
fn whole_seconds(duration: Duration) -> u32 {
    let up = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(up).unwrap_or(u32::MAX)
}
