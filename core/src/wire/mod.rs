//! Packets as bytes and back. The only room that names the codec crate.
//!
//! The crate reads and writes property sections and writes (UN)SUBSCRIBE. Framing, fixed headers and the few fields around
//! the properties are read here: the crate checks too little there, refuses reason codes it does not know, and its writers of
//! CONNECT, DISCONNECT and AUTH produce wrong bytes (`tests_crate.rs` shows each; drop the own code when it no longer does).
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "pub for tests and benches, see the feature"))]

mod codec;
mod connect;
mod fields;
pub mod packet;
mod props;
mod skip;
mod v4;
mod v5;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_crate;
#[cfg(test)]
mod tests_hostile;
#[cfg(test)]
mod tests_skip;

pub use codec::{Decoder, encode, encoded_len};
#[cfg(feature = "internals")]
pub use codec::{MAX_REMAINING, publish_len};
pub use skip::Skipped;

use crate::model::reason::ReasonCode;

/// The other side sent what is no packet, or one that is too large. The link is of no use any more. (From [`encode`]: the
/// packet cannot be written, and nothing was.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {text}")]
pub struct WireError {
    /// What to say in the DISCONNECT.
    pub reason: ReasonCode,
    /// What was wrong, with the clause; never payload.
    pub text: String,
}

impl WireError {
    fn malformed(text: impl Into<String>) -> Self {
        Self { reason: ReasonCode::MalformedPacket, text: text.into() }
    }
    fn protocol(text: impl Into<String>) -> Self {
        Self { reason: ReasonCode::ProtocolError, text: text.into() }
    }
    fn too_large(text: impl Into<String>) -> Self {
        Self { reason: ReasonCode::PacketTooLarge, text: text.into() }
    }
}
