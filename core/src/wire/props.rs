//! The rules of property sections [2.2.2]. The crate's readers keep the last of two equal properties, take any byte for a
//! flag and count with cursors that may pass the section's end: so each section is walked here before they see it.

use super::WireError;
use super::fields::{Fields, Section};

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0b;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const SERVER_REFERENCE: u8 = 0x1c;
pub(super) const REASON_STRING: u8 = 0x1f;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER_PROPERTY: u8 = 0x26;

/// What a packet may carry.
pub(super) struct Rules {
    packet: &'static str,
    allowed: u64,
    repeated: u64,
}

const fn set(ids: &[u8]) -> u64 {
    let mut set = 0;
    let mut at = 0;
    while at < ids.len() {
        set |= 1 << ids[at];
        at += 1;
    }
    set
}

const fn rules(packet: &'static str, ids: &[u8]) -> Rules {
    Rules { packet, allowed: set(ids) | set(&[USER_PROPERTY]), repeated: set(&[USER_PROPERTY]) }
}

pub(super) static CONNECT: Rules = rules("CONNECT", &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27]);
pub(super) static WILL: Rules = rules("the will", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18]);
pub(super) static CONNACK: Rules =
    rules("CONNACK", &[0x11, 0x12, 0x13, 0x15, 0x16, 0x1a, 0x1c, 0x1f, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2a]);
pub(super) static PUBLISH: Rules = Rules {
    packet: "PUBLISH",
    allowed: set(&[0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26]),
    repeated: set(&[SUBSCRIPTION_ID, USER_PROPERTY]),
};
pub(super) static ACK: Rules = rules("an acknowledgement", &[REASON_STRING]);
pub(super) static SUBSCRIBE: Rules = rules("SUBSCRIBE", &[SUBSCRIPTION_ID]);
pub(super) static UNSUBSCRIBE: Rules = rules("UNSUBSCRIBE", &[]);
pub(super) static DISCONNECT: Rules = rules("DISCONNECT", &[0x11, 0x1c, 0x1f]);
pub(super) static AUTH: Rules = rules("AUTH", &[0x15, 0x16, 0x1f]);

/// Which properties a section holds.
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) fn has(self, id: u8) -> bool {
        self.0 & set(&[id]) != 0
    }
}

/// Walks a section: each property known, allowed here, once, complete, and of a value that it may have.
pub(super) fn check(section: &Section<'_>, rules: &Rules) -> Result<Seen, WireError> {
    let mut seen = 0;
    walk(section, |id, _| {
        let (packet, bit) = (rules.packet, 1u64 << id);
        if rules.allowed & bit == 0 {
            return Err(WireError::malformed(format!("property 0x{id:02x} is not allowed in {packet} [2.2.2.2]")));
        }
        if seen & bit != 0 && rules.repeated & bit == 0 {
            return Err(WireError::protocol(format!("property 0x{id:02x} stands twice in {packet} [2.2.2.2]")));
        }
        seen |= bit;
        Ok(())
    })?;
    let seen = Seen(seen);
    if seen.has(AUTHENTICATION_DATA) && !seen.has(AUTHENTICATION_METHOD) {
        let packet = rules.packet;
        return Err(WireError::protocol(format!("authentication data without a method in {packet} [3.1.2.11.10]")));
    }
    Ok(seen)
}

/// The content of a property that a section holds at most once.
pub(super) fn find<'a>(section: &Section<'a>, wanted: u8) -> Result<Option<Fields<'a>>, WireError> {
    let mut found = None;
    walk(section, |id, value| {
        if id == wanted {
            found = Some(Fields(value));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Hands each property's identifier (below 64) and value to `each`.
fn walk<'a>(
    section: &Section<'a>,
    mut each: impl FnMut(u8, &'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut fields = Fields(section.body);
    while !fields.0.is_empty() {
        // Identifiers are variable byte integers [2.2.2.2]; all that exist fit one byte.
        let id = fields.u8()?;
        let before = fields.0;
        value(id, &mut fields)?;
        each(id, before.get(..before.len() - fields.0.len()).unwrap_or_default())?;
    }
    Ok(())
}

fn value(id: u8, fields: &mut Fields<'_>) -> Result<(), WireError> {
    let positive = |value: u32, what: &str| match value {
        0 => Err(WireError::protocol(format!("{what} is 0"))),
        _ => Ok(()),
    };
    match id {
        // Payload format, request problem and response information, maximum QoS, and what a server has available.
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => {
            if fields.u8()? > 1 {
                return Err(WireError::protocol(format!("property 0x{id:02x} is neither 0 nor 1 [3.2.2.3]")));
            }
        }
        0x02 | 0x11 | 0x18 => _ = fields.u32()?,
        0x13 | 0x22 | 0x23 => _ = fields.u16()?,
        0x21 => positive(fields.u16()?.into(), "receive maximum [3.2.2.3.3]")?,
        0x27 => positive(fields.u32()?, "maximum packet size [3.2.2.3.6]")?,
        0x0b => positive(fields.varint()?, "subscription identifier [3.3.2.3.8]")?,
        0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c | 0x1f => _ = fields.text()?,
        0x09 | 0x16 => _ = fields.binary()?,
        0x26 => _ = (fields.text()?, fields.text()?),
        _ => return Err(WireError::malformed(format!("unknown property 0x{id:02x} [2.2.2.2]"))),
    }
    Ok(())
}
