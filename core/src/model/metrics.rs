//! Counters: what the client and its links have done.

/// Counters since the client was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Metrics {
    /// Turns taken.
    pub turns: u64,
    /// Transactions committed (with power-loss durability: syncs).
    pub commits: u64,
    /// Commits that failed.
    pub commit_failures: u64,
    /// Messages published by the app.
    pub published: u64,
    /// Messages stored in the inbox.
    pub received: u64,
    /// PUBLISH packets sent, resent ones included.
    pub sent: u64,
    /// PUBLISH packets sent with DUP.
    pub resent: u64,
    /// Messages that came to an end.
    pub settled: u64,
    /// Bytes written to links.
    pub bytes_out: u64,
    /// Bytes read from links.
    pub bytes_in: u64,
    /// Attempts to connect.
    pub link_attempts: u64,
    /// Attempts that ended before a CONNACK accepted, but for those that we gave up ourselves.
    pub link_failures: u64,
    /// CONNACKs that accepted.
    pub connects: u64,
    /// Packets of all kinds written to links.
    pub packets_out: u64,
    /// Packets of all kinds read from links.
    pub packets_in: u64,
    /// Links given up because no CONNACK came in time.
    pub connack_timeouts: u64,
    /// Links given up because nothing was heard.
    pub keep_alive_timeouts: u64,
    /// Links given up because the broker took no byte.
    pub write_timeouts: u64,
    /// When the last of these time-outs was: Unix milliseconds.
    pub last_timeout_ms: Option<i64>,
    /// The present link, or the last one.
    pub link: LinkMetrics,
    /// Acknowledgements for packet identifiers nobody waits for.
    pub stray_acks: u64,
    /// Bytes skipped behind 3.1.1 acknowledgements that were written in MQTT 5's form.
    pub ignored_bytes: u64,
    /// Received messages dropped because there was no room (QoS 0 only).
    pub dropped_in: u64,
    /// The most commands and packets that one turn handled.
    pub largest_turn: u64,
    /// The longest time from the first decision of a turn to the end of its checkpoint, in microseconds.
    pub slowest_turn_us: u64,
    /// Messages in the outbox now.
    pub outbox_messages: u64,
    /// Messages in the inbox now.
    pub inbox_messages: u64,
    /// Whether there is room for more.
    pub storage: Storage,
}

/// Counters of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct LinkMetrics {
    /// When its CONNACK came: Unix milliseconds; None: it has not come, or was no acceptance.
    pub connected_since_ms: Option<i64>,
    /// It has ended, and so long after its CONNACK, in milliseconds.
    pub lasted_ms: Option<u64>,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Packets written.
    pub packets_out: u64,
    /// Packets read.
    pub packets_in: u64,
}

/// Whether the store takes in what is published and received (P10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Storage {
    /// It does.
    #[default]
    Ok,
    /// The disk is full: `PublishError::StorageFull`, and acknowledgements are withheld.
    Full,
    /// The same, because a reader holds the write-ahead log at its bound.
    Reader,
}
