//! A message's content as it crosses: in one piece.
//!
//! uniffi's own `Vec<u8>` is written and read byte by byte, each with a check of its own: a quarter of all the time that a
//! message of 1 KiB takes.

use bytes::{Buf, Bytes};
use uniffi::deps::anyhow::{Result, bail};
use uniffi::{FfiConverter, MetadataBuffer, TypeId};

use crate::UniFfiTag;

/// Bytes; in the languages the same type as `Vec<u8>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

// SAFETY: what is written and read is, byte for byte, what `Vec<u8>` writes and reads, whose type this claims to have.
unsafe impl FfiConverter<UniFfiTag> for Payload {
    uniffi::ffi_converter_rust_buffer_lift_and_lower!(UniFfiTag);

    const TYPE_ID_META: MetadataBuffer = <Vec<u8> as TypeId<UniFfiTag>>::TYPE_ID_META;

    fn write(obj: Self, buf: &mut Vec<u8>) {
        // MQTT knows none of 256 MiB.
        buf.extend_from_slice(&(obj.0.len() as i32).to_be_bytes());
        buf.extend_from_slice(&obj.0);
    }

    fn try_read(buf: &mut &[u8]) -> Result<Self> {
        let Some((length, rest)) = buf.split_first_chunk() else { bail!("a payload without its length") };
        let length = usize::try_from(i32::from_be_bytes(*length))?;
        if rest.len() < length {
            bail!("a payload of {length} bytes, of which {} are there", rest.len());
        }
        let payload = Bytes::copy_from_slice(&rest[..length]);
        buf.advance(4 + length);
        Ok(Self(payload))
    }
}

uniffi::derive_ffi_traits!(local Payload);
