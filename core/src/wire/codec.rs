//! Frames, and the packets of the hot path: PUBLISH and its four acknowledgements, by hand. Half a million a second go
//! through here both ways; the crate's types would cost a String or a property struct for each, and its readers take
//! topics unchecked and refuse acknowledgements with reasons that they do not know.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::fields::{Fields, fits, put_binary, put_varint, varint, varint_len};
use super::packet::{Ack, Packet, Protocol, PublishPacket};
use super::skip::{Skip, Skipped};
use super::{WireError, connect, props, v4, v5};
use crate::model::message::{Properties, QoS};
use crate::model::reason::ReasonCode;

/// The largest remaining length that four bytes can say [1.5.5].
pub const MAX_REMAINING: usize = 268_435_455;

/// A frame above this gets the read buffer's allocation for itself.
const LARGE: usize = 64 << 10;

/// Takes packets from the front of a read buffer.
///
/// Ownership: the payload of a PUBLISH is a slice of the buffer, not a copy, so it keeps the allocation alive that it was read
/// into. That costs little, because a link's allocation is 64 KiB and shared by all frames in it; what stands behind a frame of
/// more than 64 KiB is moved to a new allocation, so that a small message never holds a large one's memory. Everything but
/// payloads, correlation data and large frames is copied out.
///
/// Nothing is allocated or reserved for a frame that has not arrived, whatever length it announces.
#[derive(Debug)]
pub struct Decoder {
    protocol: Protocol,
    max_packet: u32,
    ignored: u64,
    skipping: bool,
    skip: Option<Skip>,
    skipped: Option<Skipped>,
}

impl Decoder {
    /// For one link. `max_packet` counts whole packets, fixed header included [3.1.2.11.4].
    pub const fn new(protocol: Protocol, max_packet: u32) -> Self {
        Self { protocol, max_packet, ignored: 0, skipping: false, skip: None, skipped: None }
    }

    /// From now on 3.1.1 messages over the maximum are read through instead of being an error.
    pub fn skip_too_large(&mut self) {
        self.skipping = true;
    }

    /// A message that was read through. To be asked whenever `decode` says None: what stands behind it is decoded only
    /// afterwards, so that the order holds.
    pub fn take_skipped(&mut self) -> Option<Skipped> {
        self.skipped.take()
    }

    /// Bytes that were skipped because the other side wrote MQTT 5 acknowledgements on a 3.1.1 link.
    pub const fn ignored_bytes(&self) -> u64 {
        self.ignored
    }

    /// The version that is read; a CONNECT sets it (the server's side does not know it before).
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next packet; None: more bytes are needed.
    ///
    /// # Errors
    /// [`WireError`] with the reason for the DISCONNECT. The buffer is of no use afterwards.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, WireError> {
        if self.skipped.is_some() {
            return Ok(None);
        }
        if let Some(skip) = self.skip.take() {
            match skip.go_on(buffer) {
                Ok(skipped) => self.skipped = Some(skipped),
                Err(skip) => self.skip = Some(skip),
            }
            return Ok(None);
        }
        let Some(&first) = buffer.first() else { return Ok(None) };
        self.check_first(first)?;
        let Some((remaining, used)) = varint(buffer.get(1..).unwrap_or_default())? else { return Ok(None) };
        let header = 1 + used;
        let total = header + remaining as usize;
        if total > self.max_packet as usize && self.skipping && first >> 4 == 3 && self.protocol == Protocol::V4 {
            self.skip = Skip::begin(first, header, total, buffer)?;
            return if self.skip.is_some() { self.decode(buffer) } else { Ok(None) };
        }
        if total > self.max_packet as usize {
            let text = format!("a packet of {total} bytes; the maximum is {} [MQTT-3.1.2-24]", self.max_packet);
            return Err(WireError::too_large(text));
        }
        let Some(body) = buffer.get(header..total) else { return Ok(None) };
        // Acknowledgements and pings are read in place: splitting a frame off costs two atomic operations.
        let packet = match first >> 4 {
            kind @ 4..=7 => {
                let ack = self.ack(body)?;
                buffer.advance(total);
                match kind {
                    4 => Packet::PubAck(ack),
                    5 => Packet::PubRec(ack),
                    6 => Packet::PubRel(ack),
                    _ => Packet::PubComp(ack),
                }
            }
            kind @ 12..=13 => {
                Fields(body).end()?;
                buffer.advance(total);
                if kind == 12 { Packet::PingReq } else { Packet::PingResp }
            }
            kind => {
                let mut frame = buffer.split_to(total).freeze();
                if total > LARGE {
                    *buffer = BytesMut::from(buffer.as_ref());
                }
                frame.advance(header);
                self.other(kind, first, frame)?
            }
        };
        Ok(Some(packet))
    }

    /// Packet type and reserved flags [MQTT-2.1.3-1], before anything else has come.
    fn check_first(&self, first: u8) -> Result<(), WireError> {
        let flags = first & 0x0f;
        let right = match first >> 4 {
            0 => return Err(WireError::malformed("packet type 0 [2.1.2]")),
            15 if self.protocol == Protocol::V4 => return Err(WireError::malformed("packet type 15 [2.2.1]")),
            3 if flags & 0b0110 == 0b0110 => return Err(WireError::malformed("QoS 3 [MQTT-3.3.1-4]")),
            3 => flags,
            6 | 8 | 10 => 0b0010,
            _ => 0,
        };
        if flags == right { Ok(()) } else { Err(WireError::malformed("reserved flags are set [MQTT-2.1.3-1]")) }
    }

    fn other(&mut self, kind: u8, first: u8, frame: Bytes) -> Result<Packet, WireError> {
        match (kind, self.protocol) {
            (1, _) => {
                let connect = connect::read(&frame)?;
                self.protocol = connect.protocol;
                Ok(Packet::Connect(Box::new(connect)))
            }
            (3, protocol) => publish(first, frame, protocol).map(Packet::Publish),
            (11, Protocol::V4) => {
                // As with the other acknowledgements: a broker that answers in MQTT 5's form is understood.
                let mut fields = Fields(&frame);
                let pid = fields.pid()?;
                self.ignored += fields.0.len() as u64;
                Ok(Packet::UnsubAck(super::packet::SubAck { pid, reasons: Vec::new() }))
            }
            (_, Protocol::V4) => v4::read(kind, &frame),
            (_, Protocol::V5) => v5::read(kind, &frame),
        }
    }

    fn ack(&mut self, body: &[u8]) -> Result<Ack, WireError> {
        let mut fields = Fields(body);
        let pid = fields.pid()?;
        if fields.0.is_empty() {
            return Ok(Ack::ok(pid));
        }
        if self.protocol == Protocol::V4 {
            // Real brokers write `70 04 pid pid 92 00` on 3.1.1 links.
            self.ignored += fields.0.len() as u64;
            return Ok(Ack::ok(pid));
        }
        let reason = ReasonCode::from(fields.u8()?);
        if !fields.0.is_empty() {
            props::check(&fields.section()?, &props::ACK)?;
            fields.end()?;
        }
        Ok(Ack { pid, reason })
    }
}

fn publish(first: u8, mut frame: Bytes, protocol: Protocol) -> Result<PublishPacket, WireError> {
    let mut fields = Fields(&frame);
    let topic = fields.topic()?;
    let qos = QoS::from_number(first >> 1 & 3).unwrap_or(QoS::AtMostOnce);
    let pid = if qos == QoS::AtMostOnce { 0 } else { fields.pid()? };
    let mut properties = None;
    if protocol == Protocol::V5 {
        let section = fields.section()?;
        let seen = props::check(&section, &props::PUBLISH)?;
        if seen.has(props::TOPIC_ALIAS) {
            let text = "a topic alias, though none was allowed [MQTT-3.1.2-26]".to_owned();
            return Err(WireError { reason: ReasonCode::TopicAliasInvalid, text });
        }
        if !section.body.is_empty() {
            properties = v5::message_properties(frame.slice_ref(section.with_length))?;
        }
    }
    let topic = topic.ok_or_else(|| WireError::protocol("an empty topic without a topic alias [3.3.2.1]"))?;
    let payload = fields.0.len();
    frame.advance(frame.len() - payload);
    // DUP with QoS 0 is forbidden to the sender [MQTT-3.3.1-2]; taking it costs nothing, closing would lose the link.
    Ok(PublishPacket {
        dup: first & 0b1000 != 0,
        qos,
        retain: first & 1 != 0,
        topic,
        pid,
        payload: frame,
        props: properties,
    })
}

/// Appends a packet.
///
/// # Errors
/// [`WireError`] if it has no form on the wire: a string over 65,535 bytes, a packet over 256 MiB, packet identifier 0, AUTH
/// in 3.1.1. `out` is then as it was.
pub fn encode(packet: &Packet, protocol: Protocol, out: &mut BytesMut) -> Result<(), WireError> {
    let start = out.len();
    let done = append(packet, protocol, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

fn append(packet: &Packet, protocol: Protocol, out: &mut BytesMut) -> Result<(), WireError> {
    match packet {
        Packet::Publish(publish) => put_publish(publish, protocol, out)?,
        Packet::PubAck(ack) => put_ack(0x40, *ack, protocol, out)?,
        Packet::PubRec(ack) => put_ack(0x50, *ack, protocol, out)?,
        Packet::PubRel(ack) => put_ack(0x62, *ack, protocol, out)?,
        Packet::PubComp(ack) => put_ack(0x70, *ack, protocol, out)?,
        Packet::PingReq => out.put_slice(&[0xc0, 0]),
        Packet::PingResp => out.put_slice(&[0xd0, 0]),
        Packet::Connect(connect) => connect::write(connect, out)?,
        other => match protocol {
            Protocol::V4 => v4::write(other, out)?,
            Protocol::V5 => v5::write(other, out)?,
        },
    }
    Ok(())
}

/// The exact length on the wire, to be held against the other side's maximum packet size; 0 for what [`encode`] refuses.
/// Allocates nothing for PUBLISH and its acknowledgements; other packets, which are rare, are written to be measured.
pub fn encoded_len(packet: &Packet, protocol: Protocol) -> usize {
    match packet {
        Packet::Publish(publish) => publish_len(publish, protocol),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            2 + ack_remaining(*ack, protocol)
        }
        other => {
            let mut scratch = BytesMut::new();
            encode(other, protocol, &mut scratch).map_or(0, |()| scratch.len())
        }
    }
}

/// The exact length of a PUBLISH on the wire; allocates nothing.
pub fn publish_len(publish: &PublishPacket, protocol: Protocol) -> usize {
    let remaining = publish_remaining(publish, protocol);
    1 + varint_len(remaining) + remaining
}

fn publish_remaining(publish: &PublishPacket, protocol: Protocol) -> usize {
    let pid = if publish.qos == QoS::AtMostOnce { 0 } else { 2 };
    let props = match protocol {
        Protocol::V4 => 0,
        Protocol::V5 => {
            let length = publish.props.as_deref().map_or(0, props_len);
            varint_len(length) + length
        }
    };
    2 + publish.topic.as_str().len() + pid + props + publish.payload.len()
}

fn put_publish(publish: &PublishPacket, protocol: Protocol, out: &mut BytesMut) -> Result<(), WireError> {
    if publish.qos != QoS::AtMostOnce && publish.pid == 0 {
        return Err(WireError::protocol("packet identifier 0 [MQTT-2.2.1-3]"));
    }
    let remaining = publish_remaining(publish, protocol);
    let flags = u8::from(publish.dup) << 3 | publish.qos.number() << 1 | u8::from(publish.retain);
    put_header(0x30 | flags, remaining, out)?;
    put_binary(out, publish.topic.as_str().as_bytes());
    if publish.qos != QoS::AtMostOnce {
        out.put_u16(publish.pid);
    }
    if protocol == Protocol::V5 {
        match publish.props.as_deref() {
            None => out.put_u8(0),
            Some(props) => {
                check_props(props)?;
                put_varint(out, props_len(props));
                put_props(props, out);
            }
        }
    }
    out.put_slice(&publish.payload);
    Ok(())
}

/// Fixed header, with room for what follows.
pub(super) fn put_header(first: u8, remaining: usize, out: &mut BytesMut) -> Result<(), WireError> {
    if remaining > MAX_REMAINING {
        let text = format!("a packet of {remaining} bytes; MQTT's limit is {MAX_REMAINING} [1.5.5]");
        return Err(WireError::too_large(text));
    }
    out.reserve(5 + remaining);
    out.put_u8(first);
    put_varint(out, remaining);
    Ok(())
}

fn ack_remaining(ack: Ack, protocol: Protocol) -> usize {
    if protocol == Protocol::V4 || ack.reason == ReasonCode::Success { 2 } else { 4 }
}

/// The short form without properties [3.4.2.1] is left for success: every server can read it there.
fn put_ack(first: u8, ack: Ack, protocol: Protocol, out: &mut BytesMut) -> Result<(), WireError> {
    if ack.pid == 0 {
        return Err(WireError::protocol("packet identifier 0 [MQTT-2.2.1-3]"));
    }
    let [high, low] = ack.pid.to_be_bytes();
    match ack_remaining(ack, protocol) {
        2 => out.put_slice(&[first, 2, high, low]),
        _ => out.put_slice(&[first, 4, high, low, ack.reason.code(), 0]),
    }
    Ok(())
}

/// The length of a message's properties, without the section's own length.
pub(super) fn props_len(props: &Properties) -> usize {
    let text = |text: &str| 3 + text.len();
    let user: usize = props.user.iter().map(|(name, value)| 5 + name.len() + value.len()).sum();
    let ids: usize = props.subscription_ids.iter().map(|id| 1 + varint_len(*id as usize)).sum();
    user + ids
        + if props.payload_is_utf8 { 2 } else { 0 }
        + props.expiry_s.map_or(0, |_| 5)
        + props.content_type.as_deref().map_or(0, text)
        + props.response_topic.as_ref().map_or(0, |topic| text(topic.as_str()))
        + props.correlation_data.as_ref().map_or(0, |data| 3 + data.len())
}

pub(super) fn put_props(props: &Properties, out: &mut BytesMut) {
    if props.payload_is_utf8 {
        out.put_slice(&[props::PAYLOAD_FORMAT, 1]);
    }
    if let Some(seconds) = props.expiry_s {
        out.put_u8(props::MESSAGE_EXPIRY);
        out.put_u32(seconds);
    }
    if let Some(text) = &props.content_type {
        out.put_u8(props::CONTENT_TYPE);
        put_binary(out, text.as_bytes());
    }
    if let Some(topic) = &props.response_topic {
        out.put_u8(props::RESPONSE_TOPIC);
        put_binary(out, topic.as_str().as_bytes());
    }
    if let Some(data) = &props.correlation_data {
        out.put_u8(props::CORRELATION_DATA);
        put_binary(out, data);
    }
    for id in &props.subscription_ids {
        out.put_u8(props::SUBSCRIPTION_ID);
        put_varint(out, *id as usize);
    }
    for (name, value) in &props.user {
        out.put_u8(props::USER_PROPERTY);
        put_binary(out, name.as_bytes());
        put_binary(out, value.as_bytes());
    }
}

/// What [`put_props`] relies on.
pub(super) fn check_props(props: &Properties) -> Result<(), WireError> {
    fits("content type", props.content_type.as_deref().unwrap_or_default().as_bytes())?;
    fits("correlation data", props.correlation_data.as_deref().unwrap_or_default())?;
    for (name, value) in &props.user {
        fits("user property", name.as_bytes())?;
        fits("user property", value.as_bytes())?;
    }
    if props.subscription_ids.iter().any(|id| *id == 0 || *id as usize > MAX_REMAINING) {
        return Err(WireError::protocol("a subscription identifier is not between 1 and 268435455 [3.3.2.3.8]"));
    }
    Ok(())
}
