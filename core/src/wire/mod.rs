//! Packets as bytes and back. The only room that names the codec crate.

pub mod packet;

use crate::model::reason::ReasonCode;

/// The other side sent what is no packet, or one that is too large. The link is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {text}")]
pub struct WireError {
    /// What to say in the DISCONNECT.
    pub reason: ReasonCode,
    /// What was wrong, with the clause; never payload.
    pub text: String,
}
