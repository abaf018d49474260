//! What goes into the session and what comes out: plain data, no sockets, no clock, no SQLite.

use crate::model::credentials::{AuthData, Challenge, Credentials, CredentialsError, WhyAsked};
use crate::model::event::{Event, Fate, Why};
use crate::model::message::Subscription;
use crate::model::rows::OutboxRow;
use crate::model::topic::TopicFilter;
use crate::model::writes::Write;
use crate::wire::packet::Packet;

/// The moment of a turn. The session never reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds that only go forward, through sleep too: for timers.
    pub mono_ms: i64,
    /// Wall clock, Unix milliseconds: for what people read.
    pub wall_ms: i64,
    /// Store clock: for times to live.
    pub store_ms: i64,
}

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// The app publishes; the row's id names its lane, the session fills in the rest.
    Publish(OutboxRow),
    /// The app publishes what the policy drops at once: it gets an id and a verdict, and no row.
    PublishDropped {
        /// Which lane.
        lane: usize,
    },
    /// Waiting messages (id and size) that come to this end unsent. Those that were sent meanwhile stay.
    Withdraw {
        /// Id and size.
        rows: Vec<(u64, u64)>,
        /// Their end.
        fate: Fate,
    },
    /// A message that was set aside comes to this end.
    EndParked {
        /// Its id.
        id: u64,
        /// See `OutboxRow::size`.
        size: u64,
        /// Its end.
        fate: Fate,
    },
    /// A message that was set aside is published again.
    Unpark(OutboxRow),
    /// The app wants a subscription.
    Subscribe(Subscription),
    /// The app no longer wants it.
    Unsubscribe(TopicFilter),
    /// The app wants the outbox of a copied store sent.
    ReleaseOutbox,
    /// The app does not want what came with the copy: some of it is cancelled.
    DiscardOutbox,
    /// The app wants to be connected.
    Connect,
    /// The platform says something of the network.
    Network {
        /// There is one.
        online: bool,
        /// It is another one than before.
        changed: bool,
    },
    /// The machine has slept: the link may have died meanwhile.
    Woke,
    /// The app wants to be disconnected; a session of ours is kept.
    Disconnect {
        /// MQTT 5: let the broker publish the will all the same.
        with_will: bool,
    },
    /// A link that was asked for is there; CONNECT may be sent, with these credentials unless there are others already.
    LinkUp(Option<Box<Credentials>>),
    /// The provider has answered.
    Answered(Answer),
    /// The app says that the provider has others than it gave last.
    CredentialsChanged,
    /// The link is gone, or could not be made.
    LinkDown(Why),
    /// A packet came.
    Packet(Packet),
    /// The broker sent what is no packet, or one over our maximum.
    Broken(crate::wire::WireError),
    /// A message over our maximum was read through: it is acknowledged without being stored (the one exception of P10).
    Skipped(crate::wire::Skipped),
    /// The inbox has room again, or the store's counters changed beside the session.
    Room,
    /// Time has passed; also said once at the start.
    Tick,
    /// Answer to `Load`.
    Rows(Loaded),
}

/// What the session wants read, in this very turn, this turn's writes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Outbox rows with `after < id <= through`, in order: at least one if there is one, then up to the bounds.
    Outbox {
        /// Which lane it is for.
        lane: usize,
        /// Exclusive.
        after: u64,
        /// Inclusive.
        through: u64,
        /// At most so many rows.
        max_rows: usize,
        /// At most so many bytes, but for the first row.
        max_bytes: usize,
    },
    /// Ids of released messages in the order of their PUBRECs.
    Released,
    /// Outbox rows that came with a copy.
    Copied {
        /// The last ordinal of each lane; inclusive.
        through: [u64; 2],
        /// At most so many rows.
        max_rows: usize,
    },
    /// Rows set aside because of what the broker supports, with an id above `after`, in order.
    Parked {
        /// Exclusive.
        after: u64,
        /// At most so many rows.
        max_rows: usize,
        /// At most so many bytes and one row.
        max_bytes: usize,
    },
    /// Waiting rows (above the cursors) that have expired by `now_ms`, and when the next one will.
    Expired {
        /// By lane.
        sent_through: [u64; 2],
        /// Store clock.
        now_ms: i64,
        /// At most so many.
        max_rows: usize,
    },
}

/// The answer to a `Load`.
#[derive(Debug)]
pub enum Loaded {
    /// Rows in order, and whether there are no more up to `through`.
    Outbox {
        /// Which lane asked.
        lane: usize,
        /// The rows.
        rows: Vec<OutboxRow>,
        /// The range was read to its end.
        complete: bool,
    },
    /// Ids.
    Released(Vec<u64>),
    /// Ids and sizes, and whether these were the last ones.
    Copied {
        /// Id and size.
        rows: Vec<(u64, u64)>,
        /// Of messages set aside.
        parked: Vec<(u64, u64)>,
        /// There are no more.
        complete: bool,
    },
    /// Rows set aside, in order, and whether there are no more.
    Parked {
        /// The rows.
        rows: Vec<OutboxRow>,
        /// That was all.
        complete: bool,
    },
    /// Ids and sizes, and the next expiry after them on the store clock.
    Expired {
        /// Id and size.
        rows: Vec<(u64, u64)>,
        /// Store clock; None: nothing else expires.
        next_ms: Option<i64>,
    },
}

/// What the provider of credentials is asked; the next question, or the link's end, makes the answer unwanted.
#[derive(Debug)]
pub enum Question {
    /// Others for a link that is up.
    Fresh(WhyAsked),
    /// The next step of an exchange.
    Step(Challenge),
    /// Whether the broker has proven itself.
    Proof(Challenge),
}

/// The answer to a `Question`.
#[derive(Debug)]
pub enum Answer {
    /// Others.
    Fresh(Result<Box<Credentials>, CredentialsError>),
    /// What to say in the exchange.
    Step(Result<Option<AuthData>, CredentialsError>),
    /// It has, or has not.
    Proof(Result<(), CredentialsError>),
}

/// What a turn shall do, collected while inputs are handled.
#[derive(Debug, Default)]
pub struct Effects {
    /// One transaction.
    pub writes: Vec<Write>,
    /// Read these in this turn and hand the answers back.
    pub loads: Vec<Load>,
    /// After the commit.
    pub sends: Vec<Packet>,
    /// After the commit.
    pub events: Vec<Event>,
    /// After the commit; numbers of this store.
    pub settled: Vec<(u64, Fate)>,
    /// After the commit: ends of messages that were in no lane: set aside before, or dropped at once.
    pub unparked: Vec<(u64, Fate)>,
    /// After the commit and after `sends` were flushed (bounded in time).
    pub close: bool,
    /// With `close`: the other side is dead, nothing needs to get through.
    pub abort: bool,
    /// Make a link.
    pub open: bool,
    /// After the commit: ask the provider of credentials.
    pub ask: Option<Question>,
}
