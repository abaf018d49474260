//! MQTT's data types [1.5], read within bounds and written within limits.

use bytes::{BufMut, BytesMut};

use super::WireError;
use crate::model::topic::{MAX_STRING_BYTES, TopicFilter, TopicName};

/// What is left of a packet, or of one section of it.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| WireError::malformed("a field runs past its end [1.5]"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier, which is never 0 [MQTT-2.2.1-3].
    pub(super) fn pid(&mut self) -> Result<u16, WireError> {
        match self.u16()? {
            0 => Err(WireError::protocol("packet identifier 0 [MQTT-2.2.1-3]")),
            pid => Ok(pid),
        }
    }

    /// Binary data [1.5.6].
    pub(super) fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A UTF-8 string [1.5.4]; Rust's UTF-8 has no surrogates.
    pub(super) fn text(&mut self) -> Result<&'a str, WireError> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| WireError::malformed("a string is not UTF-8 [MQTT-1.5.4-1]"))?;
        if text.contains('\0') {
            return Err(WireError::malformed("a string holds U+0000 [MQTT-1.5.4-2]"));
        }
        Ok(text)
    }

    /// A topic name that may be empty, for an empty one's meaning depends on what follows [3.3.2.1].
    pub(super) fn topic(&mut self) -> Result<Option<TopicName>, WireError> {
        topic_name(self.text()?)
    }

    pub(super) fn filter(&mut self) -> Result<TopicFilter, WireError> {
        TopicFilter::new(self.text()?).map_err(|_| WireError::malformed("topic filter [MQTT-4.7.1-1]"))
    }

    /// A variable byte integer that must be complete [1.5.5].
    pub(super) fn varint(&mut self) -> Result<u32, WireError> {
        let (value, used) =
            varint(self.0)?.ok_or_else(|| WireError::malformed("a variable byte integer runs past its end [1.5.5]"))?;
        self.take(used)?;
        Ok(value)
    }

    /// A property section together with its length, as the crate's readers want it; nothing beyond it can be reached.
    pub(super) fn section(&mut self) -> Result<Section<'a>, WireError> {
        let whole = self.0;
        let length = self.varint()? as usize;
        let prefix = whole.len() - self.0.len();
        let body = self.take(length).map_err(|_| WireError::malformed("properties run past their end [2.2.2.1]"))?;
        let with_length = whole.get(..prefix + length).unwrap_or_default();
        Ok(Section { body, with_length })
    }

    pub(super) fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::malformed("bytes behind the packet's last field")) }
    }
}

/// See [`Fields::section`].
pub(super) struct Section<'a> {
    pub(super) body: &'a [u8],
    pub(super) with_length: &'a [u8],
}

/// None: empty.
pub(super) fn topic_name(text: &str) -> Result<Option<TopicName>, WireError> {
    if text.is_empty() {
        return Ok(None);
    }
    TopicName::new(text).map(Some).map_err(|_| WireError::malformed("wildcard in a topic name [MQTT-3.3.2-2]"))
}

/// A variable byte integer at the front and how many bytes it takes; None: more bytes are needed.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, WireError> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            if *byte == 0 && at > 0 {
                return Err(WireError::malformed("a length takes more bytes than it needs [MQTT-1.5.5-1]"));
            }
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(WireError::malformed("a length of more than four bytes [1.5.5]")) } else { Ok(None) }
}

pub(super) const fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// `value` must be at most [`super::MAX_REMAINING`]: the callers have checked.
pub(super) fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value > 0x7f {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Binary data or a string. The length was checked, or the type cannot be longer.
pub(super) fn put_binary(out: &mut BytesMut, bytes: &[u8]) {
    debug_assert!(bytes.len() <= MAX_STRING_BYTES);
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

/// The codec crate cuts longer ones off in silence, so every writer asks here first.
pub(super) fn fits(what: &str, bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() <= MAX_STRING_BYTES {
        return Ok(());
    }
    Err(WireError::too_large(format!("{what} is {} bytes long; the limit is {MAX_STRING_BYTES} [1.5.4]", bytes.len())))
}
