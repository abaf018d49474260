//! Reads a store, beside a driver too. Every call blocks for some milliseconds: not for a thread that draws.

use std::path::Path;
use std::sync::Arc;

use homing::{HistoryQuery, Position, TopicName};

use crate::callbacks::StoreKeyProvider;
use crate::error::Result;
use crate::event::GapInfo;
use crate::id::StoredId;
use crate::message::{QosLevel, ReceivedMessage, filter};
use crate::state::MessageFate;
use crate::status::StoreStatus;

/// In which order history comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum HistoryOrder {
    /// Oldest first.
    OldestFirst,
    /// Newest first.
    NewestFirst,
}

/// A page of messages.
#[derive(Clone, uniffi::Record)]
pub struct Messages {
    /// In order.
    pub messages: Vec<ReceivedMessage>,
    /// Where the next page begins; None: there is none.
    pub next: Option<u64>,
}

/// The last message of a topic.
#[derive(Clone, uniffi::Record)]
pub struct LastMessage {
    /// The message.
    pub message: ReceivedMessage,
    /// When the broker last said so, in Unix milliseconds.
    pub heard_ms: i64,
}

/// A page of last messages.
#[derive(Clone, uniffi::Record)]
pub struct LastMessages {
    /// By topic.
    pub values: Vec<LastMessage>,
    /// The topic behind which the next page begins; None: there is none.
    pub next: Option<String>,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct OutboxRow {
    /// Its number.
    pub n: u64,
    /// Waiting, in flight or parked.
    pub fate: MessageFate,
    /// Where to.
    pub topic: String,
    /// Bytes of its payload.
    pub payload_bytes: u64,
    /// Quality of service.
    pub qos: QosLevel,
    /// Retained.
    pub retain: bool,
}

/// Something that happened to the file.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct IncidentInfo {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// What kind.
    pub kind: String,
    /// In words.
    pub detail: String,
}

/// A connection of its own to a store.
#[derive(uniffi::Object)]
pub struct Reader(homing::Reader);

impl Reader {
    pub(crate) fn new(reader: homing::Reader) -> Arc<Self> {
        Arc::new(Self(reader))
    }
}

#[uniffi::export]
impl Reader {
    /// Opens a store that another process may drive; a key for an encrypted one.
    #[uniffi::constructor]
    pub fn open(store: String, key: Option<Arc<dyn StoreKeyProvider>>) -> Result<Arc<Self>> {
        let store = Path::new(&store);
        let reader = match key {
            #[cfg(feature = "encryption")]
            Some(key) => homing::Reader::open_with_key(store, crate::callbacks::store_key(key)?)?,
            #[cfg(not(feature = "encryption"))]
            Some(_) => return Err(crate::callbacks::no_encryption()),
            None => homing::Reader::open(store)?,
        };
        Ok(Self::new(reader))
    }

    /// The store's id.
    pub fn store_id(&self) -> Result<String> {
        Ok(self.0.store_id().to_string())
    }

    /// Last values by topic: at most 500 a page.
    pub fn last(&self, topic_filter: Option<String>, after: Option<String>, max: u32) -> Result<LastMessages> {
        let (topic_filter, after) = (topic_filter.map(filter).transpose()?, after.map(TopicName::new).transpose()?);
        let page = self.0.last(topic_filter.as_ref(), after.as_ref(), count(max))?;
        let value = |value: homing::LastValue| LastMessage { message: value.message.into(), heard_ms: value.heard_ms };
        Ok(LastMessages { values: page.values.into_iter().map(value).collect(), next: page.next.map(String::from) })
    }

    /// Messages that the inbox still keeps, done or not: at most 500 a page.
    pub fn history(
        &self,
        topic_filter: String,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
        order: HistoryOrder,
        after: Option<u64>,
        max: u32,
    ) -> Result<Messages> {
        let mut query = HistoryQuery::new(filter(topic_filter)?);
        (query.since_ms, query.until_ms) = (since_ms, until_ms);
        query.newest_first = order == HistoryOrder::NewestFirst;
        let after = after.map(|seq| Position::new(self.0.store_id(), seq));
        let page = self.0.history(&query, after, count(max))?;
        Ok(Messages {
            messages: page.messages.into_iter().map(ReceivedMessage::from).collect(),
            next: page.next.map(|at| at.seq()),
        })
    }

    /// What may be missing.
    pub fn gaps(&self) -> Result<Vec<GapInfo>> {
        Ok(self.0.gaps()?.into_iter().map(GapInfo::from).collect())
    }

    /// What waits, in order, behind a number: at most 500 a page.
    pub fn outbox(&self, after: u64, max: u32) -> Result<Vec<OutboxRow>> {
        let row = |row: homing::OutboxEntry| OutboxRow {
            n: row.id.number(),
            fate: row.fate.into(),
            topic: row.topic.into(),
            payload_bytes: row.payload_bytes,
            qos: row.qos.into(),
            retain: row.retain,
        };
        Ok(self.0.outbox(after, count(max))?.into_iter().map(row).collect())
    }

    /// What became of a message.
    pub fn fate(&self, id: StoredId) -> Result<MessageFate> {
        Ok(self.0.fate(id.message()?)?.into())
    }

    /// Store and session at a glance.
    pub fn status(&self) -> Result<StoreStatus> {
        Ok(self.0.status()?.into())
    }

    /// What happened to the file, newest first.
    pub fn incidents(&self) -> Result<Vec<IncidentInfo>> {
        let incident = |incident: homing::Incident| IncidentInfo {
            at_ms: incident.at_ms,
            kind: incident.kind,
            detail: incident.detail,
        };
        Ok(self.0.incidents()?.into_iter().map(incident).collect())
    }
}

fn count(max: u32) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX)
}
