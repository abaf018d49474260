//! The rarer packets of MQTT 3.1.1. Clauses in brackets are MQTT 5's numbers where both versions say the same.

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::{QoS as CrateQoS, v4};

use super::WireError;
use super::codec::put_header;
use super::fields::Fields;
use super::packet::{ConnAck, ConnAckProperties, Disconnect, Packet, Protocol, SubAck, Subscribe, Unsubscribe};
use crate::model::message::{QoS, Subscription};
use crate::model::reason::ReasonCode;

pub(super) fn read(kind: u8, frame: &Bytes) -> Result<Packet, WireError> {
    let mut fields = Fields(frame);
    let packet = match kind {
        2 => Packet::ConnAck(Box::new(connack(&mut fields)?)),
        8 => {
            let pid = fields.pid()?;
            let filter = fields.filter()?;
            let qos = QoS::from_number(fields.u8()?)
                .ok_or_else(|| WireError::malformed("QoS 3 or reserved bits in SUBSCRIBE [MQTT-3.8.3-4]"))?;
            one_filter(&fields)?;
            Packet::Subscribe(Subscribe { pid, wish: Subscription::new(filter, qos) })
        }
        9 => Packet::SubAck(SubAck { pid: fields.pid()?, reasons: granted(&mut fields)? }),
        10 => {
            let packet = Unsubscribe { pid: fields.pid()?, filter: fields.filter()? };
            one_filter(&fields)?;
            Packet::Unsubscribe(packet)
        }
        // 3.1.1 servers send none, but some say so when a session is taken over, with MQTT 5's reason.
        14 => {
            let reason = if frame.is_empty() { ReasonCode::Success } else { fields.u8()?.into() };
            return Ok(Packet::Disconnect(Disconnect::new(reason)));
        }
        _ => return Err(WireError::malformed("packet type [2.2.1]")),
    };
    fields.end()?;
    Ok(packet)
}

/// Acknowledge flags and return code; also read when it answers a CONNECT of MQTT 5.
pub(super) fn connack(fields: &mut Fields<'_>) -> Result<ConnAck, WireError> {
    let session_present = connack_flags(fields.u8()?)?;
    let reason = match fields.u8()? {
        code @ 0x80.. => ReasonCode::from(code),
        code => ReasonCode::from_v4_connack(code),
    };
    Ok(ConnAck { session_present, reason, properties: ConnAckProperties::default() })
}

pub(super) fn connack_flags(flags: u8) -> Result<bool, WireError> {
    match flags {
        0 | 1 => Ok(flags == 1),
        _ => Err(WireError::malformed("reserved CONNACK flags are set [MQTT-3.2.2-1]")),
    }
}

/// What SUBACK granted or refused. A code of 0x80 and above is a refusal even if no standard knows it; below, a code that is
/// no QoS means nothing.
pub(super) fn granted(fields: &mut Fields<'_>) -> Result<Vec<ReasonCode>, WireError> {
    let codes = std::mem::take(&mut fields.0);
    if codes.is_empty() || codes.iter().any(|code| (3..0x80).contains(code)) {
        return Err(WireError::malformed("SUBACK without or with impossible reason codes [MQTT-3.9.3-2]"));
    }
    Ok(codes.iter().map(|code| ReasonCode::from(*code)).collect())
}

/// We never ask for several, and the packet type has room for one.
pub(super) fn one_filter(fields: &Fields<'_>) -> Result<(), WireError> {
    if fields.0.is_empty() {
        return Ok(());
    }
    let text = "several filters in one packet, which this end does not read".to_owned();
    Err(WireError { reason: ReasonCode::ImplementationSpecificError, text })
}

pub(super) fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), WireError> {
    match packet {
        Packet::ConnAck(connack) => {
            let code = match connack.reason {
                ReasonCode::UnsupportedProtocolVersion => 1,
                ReasonCode::ClientIdentifierNotValid => 2,
                ReasonCode::ServerUnavailable => 3,
                ReasonCode::BadUserNameOrPassword => 4,
                ReasonCode::NotAuthorized => 5,
                other => other.code(),
            };
            out.put_slice(&[0x20, 2, connack.session_present.into(), code]);
        }
        Packet::Subscribe(subscribe) => {
            let qos = match subscribe.wish.qos {
                QoS::AtMostOnce => CrateQoS::AtMostOnce,
                QoS::AtLeastOnce => CrateQoS::AtLeastOnce,
                QoS::ExactlyOnce => CrateQoS::ExactlyOnce,
            };
            let mut theirs = v4::Subscribe::new(subscribe.wish.filter.as_str(), qos);
            theirs.pkid = some_pid(subscribe.pid)?;
            theirs.write(out).map_err(refused)?;
        }
        Packet::SubAck(suback) => put_suback(0x90, suback, Protocol::V4, out)?,
        Packet::Unsubscribe(unsubscribe) => {
            let mut theirs = v4::Unsubscribe::new(unsubscribe.filter.as_str());
            theirs.pkid = some_pid(unsubscribe.pid)?;
            theirs.write(out).map_err(refused)?;
        }
        Packet::UnsubAck(unsuback) => {
            put_suback(0xb0, &SubAck { pid: unsuback.pid, reasons: Vec::new() }, Protocol::V4, out)?;
        }
        Packet::Disconnect(_) => out.put_slice(&[0xe0, 0]),
        _ => return Err(WireError::protocol("3.1.1 has no such packet")),
    }
    Ok(())
}

/// By hand: the crate cannot carry reason codes beyond those it knows.
pub(super) fn put_suback(first: u8, ack: &SubAck, protocol: Protocol, out: &mut BytesMut) -> Result<(), WireError> {
    let no_props = match protocol {
        Protocol::V4 => 0,
        Protocol::V5 => 1,
    };
    put_header(first, 2 + no_props + ack.reasons.len(), out)?;
    out.put_u16(some_pid(ack.pid)?);
    out.put_bytes(0, no_props);
    out.extend(ack.reasons.iter().map(|reason| reason.code()));
    Ok(())
}

pub(super) fn some_pid(pid: u16) -> Result<u16, WireError> {
    match pid {
        0 => Err(WireError::protocol("packet identifier 0 [MQTT-2.2.1-3]")),
        pid => Ok(pid),
    }
}

/// The crate's words.
pub(super) fn refused(error: impl std::fmt::Display) -> WireError {
    WireError::malformed(error.to_string())
}
