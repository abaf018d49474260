//! Ids and positions, as they cross and as an app may write them down.

use homing::{MessageId, Position, StoreId};

use crate::error::{FfiError, Result};

/// The id of a message or a position in an inbox, with the store that gave it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct StoredId {
    /// 32 hexadecimal digits.
    pub store: String,
    /// Rises in the order of publishing, or of receiving.
    pub n: u64,
}

impl StoredId {
    pub(crate) fn message(&self) -> Result<MessageId> {
        Ok(MessageId::new(store(&self.store)?, self.n))
    }

    pub(crate) fn position(&self) -> Result<Position> {
        Ok(Position::new(store(&self.store)?, self.n))
    }
}

fn store(text: &str) -> Result<StoreId> {
    let bad = || FfiError::invalid("id: its store is not 32 hexadecimal digits; take ids as Homing gave them");
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).ok_or_else(bad)).collect::<Result<_>>()?;
    let mut bytes = [0_u8; 16];
    if digits.len() != 32 {
        return Err(bad());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair[0] * 16 + pair[1]).map_err(|_| bad())?;
    }
    Ok(StoreId(bytes))
}

/// An id from the text that an app keeps: the store, a hyphen, the number.
#[uniffi::export]
pub fn parse_id(text: String) -> Result<StoredId> {
    let bad = || FfiError::invalid("id: 32 hexadecimal digits, a hyphen and a number are taken");
    let (left, right) = text.split_once('-').ok_or_else(bad)?;
    store(left).map_err(|_| bad())?;
    if right.is_empty() || !right.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    Ok(StoredId { store: left.to_ascii_lowercase(), n: right.parse().map_err(|_| bad())? })
}
