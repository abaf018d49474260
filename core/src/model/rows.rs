//! Row types that session and store both speak of. Internal: an app sees messages, not rows.

use std::fmt;

use bytes::Bytes;

use super::event::GapCause;
use super::message::{IfUnsupported, Properties, QoS, Subscription};
use super::reason::ReasonCode;
use super::topic::{TopicFilter, TopicName};

/// Bits of an outgoing id below the lane: `id = lane << 52 | ord` fits a JSON number.
pub const LANE_SHIFT: u32 = 52;

/// The id of an ordinal of a lane.
pub const fn join_id(lane: usize, ord: u64) -> u64 {
    (lane as u64) << LANE_SHIFT | ord
}

/// Lane and ordinal of an outgoing id.
pub const fn split_id(id: u64) -> (usize, u64) {
    ((id >> LANE_SHIFT) as usize, id & ((1 << LANE_SHIFT) - 1))
}

/// One outgoing message.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// `lane << 52 | ord`.
    pub id: u64,
    /// Where to.
    pub topic: TopicName,
    /// The content.
    pub payload: Bytes,
    /// MQTT 5 properties, if any.
    pub props: Option<Box<Properties>>,
    /// Asked for.
    pub qos: QoS,
    /// Retained message.
    pub retain: bool,
    /// Store clock at which it expires unless sent.
    pub expires_ms: Option<i64>,
    /// Sent in a session that was lost: may arrive twice, and is never expired or cancelled.
    pub maybe_dup: bool,
    /// What to do if the broker cannot take its QoS or retain flag.
    pub if_unsupported: IfUnsupported,
    /// A newer message with the same key takes its place while it waits.
    pub supersede: Option<String>,
    /// Urgent messages in flight: the normal lane's cursor when it was first sent in this session.
    pub after_ord: Option<u64>,
}

impl OutboxRow {
    /// Bytes counted against the outbox's limit.
    pub fn size(&self) -> u64 {
        (self.topic.as_str().len() + self.payload.len() + self.props.as_deref().map_or(0, props_size)) as u64
    }
}

/// One received message.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// Rises with arrival.
    pub seq: u64,
    /// The topic it came on.
    pub topic: TopicName,
    /// The content.
    pub payload: Bytes,
    /// MQTT 5 properties, if any.
    pub props: Option<Box<Properties>>,
    /// Delivered with.
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// DUP flag of the delivery.
    pub dup: bool,
    /// Wall clock at arrival.
    pub received_ms: i64,
}

impl InboxRow {
    /// Bytes counted against the inbox's limit.
    pub fn size(&self) -> u64 {
        (self.topic.as_str().len() + self.payload.len() + self.props.as_deref().map_or(0, props_size)) as u64
    }
}

impl fmt::Debug for OutboxRow {
    /// Without payload and properties (P12).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OutboxRow");
        shown.field("id", &self.id).field("topic", &self.topic).field("qos", &self.qos).finish_non_exhaustive()
    }
}

impl fmt::Debug for InboxRow {
    /// Without payload and properties (P12).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("InboxRow");
        shown.field("seq", &self.seq).field("topic", &self.topic).field("qos", &self.qos).finish_non_exhaustive()
    }
}

/// What a row of this size (see `OutboxRow::size`) takes on the disk at the most, in pages of the database: its own bytes,
/// what is left empty beside it, its places in indexes.
pub(crate) fn disk_cost(size: u64) -> u64 {
    const PAGE: u64 = 4_096;
    const EACH: u64 = 128;
    match size {
        0..=512 => size + size / 4 + EACH,
        // So few rows share a page that much of it stays empty.
        513..=3_900 => PAGE / (3_900 / size) + EACH,
        // A chain of pages of its own, and a place in a page.
        _ => (size / 4_000 + 2).saturating_mul(PAGE) + EACH,
    }
}

/// Bytes of properties counted against a queue's limit.
pub(crate) fn props_size(props: &Properties) -> usize {
    let user: usize = props.user.iter().map(|(name, value)| name.len() + value.len()).sum();
    user + props.content_type.as_ref().map_or(0, String::len)
        + props.response_topic.as_ref().map_or(0, |topic| topic.as_str().len())
        + props.correlation_data.as_ref().map_or(0, Bytes::len)
}

/// What is known of an in-flight message without its payload: enough to finish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightRow {
    /// Its id.
    pub id: u64,
    /// As sent in this session: lower than asked for if downgraded.
    pub qos: QoS,
    /// It was sent with a lower QoS, or without the retain flag.
    pub downgraded: bool,
    /// See [`OutboxRow::maybe_dup`].
    pub maybe_dup: bool,
    /// See [`OutboxRow::size`].
    pub size: u64,
    /// Its PUBREC has come.
    pub released: bool,
}

/// How a message ended, if not simply delivered. `None` stands for an ending without proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// QoS 0, handed to the network.
    Sent,
    /// Delivered, with something to remark.
    Delivered {
        /// See `Fate::Delivered`.
        maybe_twice: bool,
        /// See `Fate::Delivered`.
        maybe_lost: bool,
        /// See `Fate::Delivered`.
        downgraded: bool,
    },
    /// Refused, with the reason.
    Refused(ReasonCode),
    /// Time to live over.
    Expired,
    /// A newer message took its place: its id.
    Superseded(u64),
    /// Taken back by the app.
    Cancelled,
    /// Dropped at the outbox's limit.
    Dropped,
    /// Finished without proof.
    Unknown,
}

/// An epoch that never is: what was granted in it has to be asked for again, and is missed if the session is lost. Until
/// the broker says otherwise it still delivers.
pub const STALE: u64 = u64::MAX;

/// A subscription as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// The wish.
    pub wish: Subscription,
    /// False: the app no longer wants it, and the broker has not confirmed yet.
    pub wanted: bool,
    /// What the broker granted, and in which session epoch.
    pub granted: Option<(QoS, u64)>,
}

/// A gap that has no end yet; one row a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGap {
    /// Which subscription.
    pub filter: TopicFilter,
    /// Why.
    pub cause: GapCause,
    /// Wall clock of the last good moment.
    pub from_ms: i64,
    /// The last message before it.
    pub after_seq: u64,
}

/// A QoS 2 packet identifier of the broker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedQos2 {
    /// The identifier.
    pub pid: u16,
    /// Tells the message's topic and payload from others.
    pub content: u64,
    /// Its PUBREL has come.
    pub completed: bool,
}

/// Identity and protocol state of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The store's random id.
    pub store_id: [u8; 16],
    /// The client identifier in use.
    pub client_id: String,
    /// We made the client identifier at random: no foreign session can exist.
    pub client_id_random: bool,
    /// The addresses of the broker that the session belongs to, without credentials, as [`super::addresses`] writes them.
    pub broker: Option<String>,
    /// 4 or 5 once decided.
    pub protocol: Option<u8>,
    /// The broker's session is known to be ours.
    pub established: bool,
    /// Counts lost sessions.
    pub session_epoch: u64,
    /// Shifts packet identifiers, so that a new epoch begins elsewhere.
    pub pid_salt: u64,
    /// Session expiry interval granted by the broker, in seconds.
    pub expiry_granted_s: Option<u32>,
    /// The last CONNACK's session present flag.
    pub session_present: Option<bool>,
    /// Wall clock of the last CONNACK that accepted.
    pub last_connect_ms: Option<i64>,
    /// A CONNECT was sent for a session of ours, and its CONNACK has not come: the broker may have lost the session then.
    pub unanswered: bool,
    /// The message that seems to close every link, and how many links running it has closed.
    pub suspect_id: Option<u64>,
    /// See `suspect_id`.
    pub strikes: u32,
    /// A link began while the broker's receipt of PUBCOMPs was in doubt, and no PINGRESP has come since: it may fall back.
    pub unproven: bool,
    /// The store is a copy that was put back: its outbox waits for the app's word.
    pub held: bool,
    /// Messages up to here, by lane, came with a copy: the original may have sent them.
    pub copied_through: [u64; 2],
}

/// Whether the original of a copied store gave this id.
pub(crate) fn is_copied(copied_through: [u64; 2], id: u64) -> bool {
    let (lane, ord) = split_id(id);
    copied_through.get(lane).is_some_and(|through| ord <= *through)
}

/// The counters of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// The next ordinal to give.
    pub next_ord: u64,
    /// Ordinals at or below were sent (0: none; ordinals start at 1).
    pub sent_through: u64,
    /// Below this nothing is known of finished messages.
    pub verdict_floor: u64,
    /// Rows in the lane.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The one row rewritten in every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hot {
    /// Counts commits: tells whether a failed commit happened after all.
    pub turn: u64,
    /// The next inbox sequence number.
    pub next_seq: u64,
    /// The next release ordinal.
    pub next_release: u64,
    /// Rows in the inbox.
    pub inbox_messages: u64,
    /// Their bytes.
    pub inbox_bytes: u64,
    /// Store clock at the last commit.
    pub clock_ms: i64,
    /// Wall clock at the last commit.
    pub wall_ms: i64,
    /// The machine's boot at the last commit; 0: unknown.
    pub boot: i64,
    /// How long it had been up by then, sleep included.
    pub boot_ms: i64,
    /// Store clock until which no message goes for its age alone.
    pub held_until_ms: i64,
    /// Wall clock at the last packet of an established link.
    pub last_contact_ms: i64,
    /// Normal and urgent lane.
    pub lanes: [LaneCounters; 2],
    /// Rows set aside: in no lane, but counted against the outbox's limit.
    pub parked_messages: u64,
    /// Their bytes.
    pub parked_bytes: u64,
}

impl Hot {
    /// Whether an outgoing message that has a row was sent, or is about to be.
    pub fn is_in_flight(&self, id: u64) -> bool {
        let (lane, ord) = split_id(id);
        self.lanes.get(lane).is_some_and(|lane| ord <= lane.sent_through)
    }

    /// The cursors of both lanes.
    pub fn sent_through(&self) -> [u64; 2] {
        self.lanes.map(|lane| lane.sent_through)
    }

    /// The last id given in each lane.
    pub fn last_ids(&self) -> [u64; 2] {
        std::array::from_fn(|lane| join_id(lane, self.lanes[lane].next_ord - 1))
    }

    /// Rows in the lanes: waiting and in flight.
    pub fn outbox_messages(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.messages).sum()
    }

    /// The first and the last id of a lane that were sent.
    pub fn sent_ids(&self, lane: usize) -> (u64, u64) {
        let base = (lane as u64) << LANE_SHIFT;
        (base, base + self.lanes.get(lane).map_or(0, |lane| lane.sent_through))
    }
}
