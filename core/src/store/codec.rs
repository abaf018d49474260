//! How values stand in columns: flags, properties, topics.

use std::borrow::Cow;

use bytes::Bytes;
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::model::message::{IfUnsupported, Properties, QoS};
use crate::model::rows::{InboxRow, OutboxRow, props_size};
use crate::model::topic::TopicName;

const QOS: i64 = 3;
const RETAIN: i64 = 4;
/// Inbox.
const DUP: i64 = 8;
/// Inbox.
pub(super) const REPLAY: i64 = 16;
/// Outbox.
const DOWNGRADE: i64 = 8;
/// Outbox.
pub(super) const MAYBE_DUP: i64 = 16;
/// Outbox.
const PARK: i64 = 32;
/// Outbox: in this session it was sent with less than was asked for.
const SENT_DOWNGRADED: i64 = 64;
/// Outbox: in this session it was sent as QoS 1, whatever was asked for.
pub(super) const SENT_QOS1: i64 = 128;
/// Outbox: how it was sent, which is over with the session.
pub(super) const AS_SENT: i64 = SENT_DOWNGRADED | SENT_QOS1;

/// The version stands first, so that a store written today is read by whatever comes.
#[derive(Serialize, Deserialize)]
enum StoredProps<'a> {
    V1(Cow<'a, Properties>),
}

/// SQLite has no unsigned integers; ours stay below 2^63.
pub(super) const fn int(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn outbox_flags(row: &OutboxRow) -> i64 {
    let policy = match row.if_unsupported {
        IfUnsupported::Refuse => 0,
        IfUnsupported::Downgrade => DOWNGRADE,
        IfUnsupported::Park => PARK,
    };
    i64::from(row.qos.number()) | bit(row.retain, RETAIN) | policy | bit(row.maybe_dup, MAYBE_DUP)
}

/// Bits of `AS_SENT`.
pub(super) fn sent_flags(qos: QoS, downgraded: bool) -> i64 {
    bit(downgraded, SENT_DOWNGRADED) | bit(downgraded && qos == QoS::AtLeastOnce, SENT_QOS1)
}

pub(super) fn inbox_flags(row: &InboxRow) -> i64 {
    i64::from(row.qos.number()) | bit(row.retain, RETAIN) | bit(row.dup, DUP)
}

const fn bit(set: bool, bit: i64) -> i64 {
    if set { bit } else { 0 }
}

/// The parts of a flags column.
pub(super) struct Flags {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Inbox.
    pub(super) dup: bool,
    /// Inbox.
    pub(super) replay: bool,
    /// Outbox.
    pub(super) if_unsupported: IfUnsupported,
    /// Outbox.
    pub(super) maybe_dup: bool,
    /// Outbox: as sent in this session, lower than `qos` if downgraded.
    pub(super) sent_qos: QoS,
    /// Outbox.
    pub(super) downgraded: bool,
}

impl Flags {
    pub(super) fn read(row: &Row<'_>, column: usize) -> Result<Self, StoreError> {
        let bits: i64 = row.get(column)?;
        let qos = QoS::from_number((bits & QOS) as u8).ok_or_else(|| StoreError::corrupt("flags"))?;
        Ok(Self {
            qos,
            retain: bits & RETAIN != 0,
            dup: bits & DUP != 0,
            replay: bits & REPLAY != 0,
            if_unsupported: match bits & (DOWNGRADE | PARK) {
                0 => IfUnsupported::Refuse,
                DOWNGRADE => IfUnsupported::Downgrade,
                _ => IfUnsupported::Park,
            },
            maybe_dup: bits & MAYBE_DUP != 0,
            sent_qos: if bits & SENT_QOS1 == 0 { qos } else { QoS::AtLeastOnce },
            downgraded: bits & SENT_DOWNGRADED != 0,
        })
    }
}

/// None, which takes no room, when nothing is set.
pub(super) fn encode_props(props: Option<&Properties>) -> Result<Option<Vec<u8>>, StoreError> {
    match props {
        Some(props) if !props.is_empty() => postcard::to_stdvec(&StoredProps::V1(Cow::Borrowed(props)))
            .map(Some)
            .map_err(|_| StoreError::new(super::StoreErrorKind::Other, "properties cannot be encoded")),
        _ => Ok(None),
    }
}

pub(super) fn read_props(row: &Row<'_>, column: usize) -> Result<Option<Box<Properties>>, StoreError> {
    let Some(bytes) = row.get_ref(column)?.as_blob_or_null().map_err(|_| StoreError::corrupt("props"))? else {
        return Ok(None);
    };
    let StoredProps::V1(props) = postcard::from_bytes(bytes).map_err(|_| StoreError::corrupt("props"))?;
    Ok(Some(Box::new(props.into_owned())))
}

pub(super) fn read_text<'r>(row: &'r Row<'_>, column: usize, what: &'static str) -> Result<&'r str, StoreError> {
    row.get_ref(column)?.as_str().map_err(|_| StoreError::corrupt(what))
}

pub(super) fn read_topic(row: &Row<'_>, column: usize) -> Result<TopicName, StoreError> {
    TopicName::new(read_text(row, column, "topic")?).map_err(|_| StoreError::corrupt("topic"))
}

pub(super) fn read_payload(row: &Row<'_>, column: usize) -> Result<Bytes, StoreError> {
    let payload = row.get_ref(column)?.as_blob().map_err(|_| StoreError::corrupt("payload"))?;
    Ok(Bytes::copy_from_slice(payload))
}

pub(super) fn read_u64(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// What `OutboxRow::size` and `InboxRow::size` say, from the byte counts of topic and payload and from the properties.
pub(super) fn read_size(row: &Row<'_>, bytes: usize, props: usize) -> Result<u64, StoreError> {
    let props = read_props(row, props)?.map_or(0, |props| props_size(&props));
    Ok(read_u64(row, bytes)? + props as u64)
}

/// Columns: id, topic, payload, props, flags, expires_ms, supersede, after_ord. `last` spares the copy when topics repeat.
pub(super) fn read_outbox(row: &Row<'_>, last: &mut Option<TopicName>) -> Result<OutboxRow, StoreError> {
    let text = read_text(row, 1, "topic")?;
    let topic = match last {
        Some(topic) if topic.as_str() == text => topic.clone(),
        _ => last.insert(read_topic(row, 1)?).clone(),
    };
    let flags = Flags::read(row, 4)?;
    Ok(OutboxRow {
        id: read_u64(row, 0)?,
        topic,
        payload: read_payload(row, 2)?,
        props: read_props(row, 3)?,
        qos: flags.qos,
        retain: flags.retain,
        expires_ms: row.get(5)?,
        maybe_dup: flags.maybe_dup,
        if_unsupported: flags.if_unsupported,
        supersede: row.get(6)?,
        after_ord: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
    })
}
