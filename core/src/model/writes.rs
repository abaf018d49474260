//! What a turn asks the store to write. All writes of a turn are one transaction, applied in the order given.

use super::consumer::Lag;
use super::event::{Gap, GapCause};
use super::message::QoS;
use super::reason::ReasonCode;
use super::rows::{InboxRow, OutboxRow, Outcome, SessionRow, SubscriptionRow};
use super::topic::TopicFilter;

/// One change of the rows. Counters travel separately, in `Hot`, which is written at every commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A message was published.
    OutboxInsert(OutboxRow),
    /// A message came to its end: its outbox row (and `released` row, if any) goes; `verdict` is recorded unless it was
    /// simply delivered.
    OutboxFinish {
        /// Its id.
        id: u64,
        /// None: delivered, nothing to remark.
        verdict: Option<Outcome>,
        /// Wall clock.
        at_ms: i64,
    },
    /// An urgent message goes out for the first time in this session, behind the normal ones up to `after_ord`.
    SentAfter {
        /// Its id.
        id: u64,
        /// The normal lane's cursor.
        after_ord: u64,
    },
    /// A message goes out otherwise than it went out before in this session, or than was asked for.
    SentAs {
        /// Its id.
        id: u64,
        /// QoS 1 or 2.
        qos: QoS,
        /// Less than was asked for.
        downgraded: bool,
    },
    /// A message leaves its lane and is set aside.
    Park {
        /// Its id.
        id: u64,
        /// Why.
        reason: ReasonCode,
        /// It was sent: the broker may have it.
        maybe_dup: bool,
        /// Wall clock.
        at_ms: i64,
    },
    /// A message that was set aside came to its end.
    ParkedGone {
        /// Its id.
        id: u64,
        /// How.
        verdict: Outcome,
        /// Wall clock.
        at_ms: i64,
    },
    /// A packet identifier that the broker may still hold: no fresh QoS 2 message gets it before the session is lost.
    SkipPid(u16),
    /// An idempotency key now stands for this message.
    Idempotency {
        /// The app's.
        key: String,
        /// Which message.
        id: u64,
        /// Store clock.
        now_ms: i64,
        /// Store clock: until then.
        until_ms: i64,
    },
    /// PUBREC came: from now on only PUBREL is sent for it.
    Release {
        /// Its id.
        id: u64,
        /// Place in the order of PUBRECs.
        release: u64,
    },
    /// A message was received.
    InboxInsert(InboxRow),
    /// A retained message was received. If it says what the topic's last value says it is marked so, and stored only if
    /// it was asked for or that value's own message is gone; otherwise it refreshes the value's age.
    InboxRetained {
        /// The message.
        row: InboxRow,
        /// A subscription asks for retained messages again and again.
        asked: bool,
    },
    /// A QoS 2 message was received and not yet released.
    ReceivedQos2 {
        /// Its packet identifier.
        pid: u16,
        /// Tells its topic and payload from others.
        content: u64,
    },
    /// Its PUBREL has come; whether our PUBCOMP reached the broker is not known yet.
    CompletedQos2(u16),
    /// The broker is known to have our PUBCOMP: nothing is kept of it.
    ForgetQos2(u16),
    /// The broker has lost the session (P8): `received_qos2`, `released` and the skipped packet identifiers are emptied, rows
    /// up to `sent_through` become `maybe_dup`.
    SessionLost {
        /// The cursors of both lanes before the loss.
        sent_through: [u64; 2],
    },
    /// The broker may have lost the session unheard: QoS 2 rows up to `sent_through` that are not released
    /// become `maybe_dup`.
    SessionDoubted {
        /// The cursors of both lanes.
        sent_through: [u64; 2],
    },
    /// Identity or protocol state changed.
    Session(Box<SessionRow>),
    /// A wish was made or changed, or a grant came (whole row replaced, keyed by the filter).
    Subscription(SubscriptionRow),
    /// A wish is gone and the broker knows it.
    SubscriptionGone(TopicFilter),
    /// A gap opens; one row a filter. An open gap of the same filter and cause is kept as it is.
    GapOpen {
        /// Which.
        filter: TopicFilter,
        /// Why.
        cause: GapCause,
        /// Wall clock of the last good moment.
        from_ms: i64,
        /// The last message before it.
        after_seq: u64,
    },
    /// The open gap of this filter and cause closes.
    GapClose {
        /// Which.
        filter: TopicFilter,
        /// Why it was opened: others of the filter stay open.
        cause: GapCause,
        /// Wall clock.
        to_ms: i64,
    },
    /// A gap that is over when it is known; one row a filter.
    GapNote(Gap),
    /// A consumer is made; nothing happens if one of that name exists with these filters, and its filters are replaced
    /// otherwise.
    ConsumerPut {
        /// Its name.
        name: String,
        /// What it wants; empty: everything.
        filters: Vec<TopicFilter>,
        /// Everything up to here counts as done for a new one.
        cursor: u64,
    },
    /// How far a consumer may fall behind.
    ConsumerLag {
        /// Its name.
        name: String,
        /// From now on.
        lag: Lag,
    },
    /// A consumer and its marks go.
    ConsumerRemove {
        /// Its name.
        name: String,
    },
    /// A consumer is done with one message.
    ConsumerDone {
        /// Its name.
        name: String,
        /// Which message.
        seq: u64,
    },
    /// A consumer is done with this message and all before. A cursor never goes back.
    ConsumerDoneThrough {
        /// Its name.
        name: String,
        /// Which message.
        seq: u64,
    },
    /// The driver's report for readers.
    Driver {
        /// `connecting`, `connected`, `waiting` or `disconnected`.
        connection: &'static str,
        /// Counters as JSON.
        metrics: String,
        /// Wall clock.
        at_ms: i64,
    },
}
