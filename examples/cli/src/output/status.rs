//! `status`: store and session at a glance.

use std::fmt;

use homing::{Metrics, Status, Storage, TopicFilter};
use serde::Serialize;

use super::time;

/// `status`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusLine {
    store_id: String,
    last_connect: Option<String>,
    client_id: String,
    broker: Option<String>,
    connection: String,
    session_present: Option<bool>,
    outbox: Outbox,
    inbox: Inbox,
    consumers: Vec<Consumer>,
    subscriptions: Vec<Subscription>,
    gaps: u64,
    storage: Storage,
    held: bool,
    schema_version: u32,
    metrics: Option<Metrics>,
    metrics_at: Option<String>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Serialize)]
struct Outbox {
    waiting: u64,
    in_flight: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "is_none")]
    parked: u64,
}

#[derive(Debug, Serialize)]
struct Inbox {
    messages: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Consumer {
    name: String,
    filter: String,
    cursor: u64,
    behind: u64,
    /// All that it was moved over.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<Skipped>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    messages: u64,
    from: u64,
    through: u64,
}

#[derive(Debug, Serialize)]
struct Subscription {
    filter: String,
    qos: u8,
    granted: Option<u8>,
}

impl StatusLine {
    pub(crate) fn new(status: Status) -> Self {
        let (metrics, metrics_at) = status.metrics.map(|(metrics, at)| (metrics, time(at))).unzip();
        let consumers = status.consumers.into_iter().map(|consumer| Consumer {
            name: consumer.name,
            filter: match consumer.filters.as_slice() {
                [] => "#".to_owned(),
                filters => filters.iter().map(TopicFilter::as_str).collect::<Vec<_>>().join(" "),
            },
            cursor: consumer.cursor,
            behind: consumer.behind,
            skipped: consumer.skipped.map(|skipped| Skipped {
                messages: skipped.messages,
                from: skipped.from.seq(),
                through: skipped.through.seq(),
            }),
        });
        let subscriptions = status.subscriptions.into_iter().map(|subscription| Subscription {
            filter: subscription.filter.into(),
            qos: subscription.qos.number(),
            granted: subscription.granted.map(homing::QoS::number),
        });
        Self {
            store_id: status.store_id.to_string(),
            last_connect: status.last_connect_ms.map(time),
            client_id: status.client_id,
            broker: status.broker,
            connection: status.connection,
            session_present: status.session_present,
            outbox: Outbox {
                waiting: status.outbox.waiting,
                in_flight: status.outbox.in_flight,
                bytes: status.outbox.bytes,
                parked: status.outbox.parked,
            },
            inbox: Inbox { messages: status.inbox_messages, bytes: status.inbox_bytes },
            consumers: consumers.collect(),
            subscriptions: subscriptions.collect(),
            gaps: status.gaps,
            storage: status.storage,
            held: status.held,
            schema_version: status.schema_version,
            metrics,
            metrics_at,
        }
    }

    /// As the driver in this process knows it, rather than as it last wrote it.
    pub(crate) fn live(self, connection: &str, metrics: Metrics, now_ms: i64) -> Self {
        let connection = connection.to_owned();
        Self { connection, storage: metrics.storage, metrics: Some(metrics), metrics_at: Some(time(now_ms)), ..self }
    }
}

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = "none";
        writeln!(f, "store          {} (schema {})", self.store_id, self.schema_version)?;
        writeln!(f, "client id      {}", self.client_id.escape_debug())?;
        writeln!(f, "broker         {}", self.broker.as_deref().unwrap_or(none))?;
        let session = match self.session_present {
            Some(true) => "the broker had the session",
            Some(false) => "the broker had no session",
            None => "never connected",
        };
        writeln!(
            f,
            "connection     {}; last {}: {session}",
            self.connection,
            self.last_connect.as_deref().unwrap_or("-")
        )?;
        let Outbox { waiting, in_flight, bytes, parked } = self.outbox;
        let parked = if parked > 0 { format!(", {parked} parked") } else { String::new() };
        writeln!(f, "outbox         {waiting} waiting, {in_flight} in flight, {bytes} bytes{parked}")?;
        if self.held {
            writeln!(f, "               held: a restored copy; see homing outbox release, homing outbox discard")?;
        }
        writeln!(f, "inbox          {} messages, {} bytes", self.inbox.messages, self.inbox.bytes)?;
        for Consumer { name, filter, cursor, behind, skipped } in &self.consumers {
            let (name, filter) = (name.escape_debug(), filter.escape_debug());
            write!(f, "consumer       {name} ({filter}): at {cursor}, {behind} behind")?;
            match skipped {
                Some(Skipped { messages, through, .. }) => writeln!(f, ", {messages} skipped up to {through}")?,
                None => writeln!(f)?,
            }
        }
        for Subscription { filter, qos, granted } in &self.subscriptions {
            let granted = granted.map_or_else(|| "not granted yet".to_owned(), |qos| format!("granted {qos}"));
            writeln!(f, "subscription   {}: QoS {qos}, {granted}", filter.escape_debug())?;
        }
        write!(f, "gaps           {}", self.gaps)?;
        match self.storage {
            Storage::Full => write!(f, "\nstorage        full: free some space; nothing is taken in until then"),
            Storage::Reader => write!(f, "\nstorage        a reader holds the log at its bound: end it"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> StatusLine {
        StatusLine {
            store_id: "00ff".to_owned(),
            last_connect: None,
            client_id: "phone".to_owned(),
            broker: Some("mqtt://h:1883".to_owned()),
            connection: "not_driven".to_owned(),
            session_present: None,
            outbox: Outbox { waiting: 1, in_flight: 2, bytes: 3, parked: 0 },
            inbox: Inbox { messages: 4, bytes: 5 },
            consumers: vec![Consumer {
                name: "default".to_owned(),
                filter: "#".to_owned(),
                cursor: 6,
                behind: 7,
                skipped: None,
            }],
            subscriptions: vec![Subscription { filter: "a/#".to_owned(), qos: 2, granted: None }],
            gaps: 8,
            storage: Storage::Ok,
            held: false,
            schema_version: 9,
            metrics: None,
            metrics_at: None,
        }
    }

    #[test]
    fn keys_are_the_contract() {
        let expected = r##"{"store_id":"00ff","last_connect":null,"client_id":"phone","broker":"mqtt://h:1883","connection":"not_driven","session_present":null,"outbox":{"waiting":1,"in_flight":2,"bytes":3},"inbox":{"messages":4,"bytes":5},"consumers":[{"name":"default","filter":"#","cursor":6,"behind":7}],"subscriptions":[{"filter":"a/#","qos":2,"granted":null}],"gaps":8,"storage":"ok","held":false,"schema_version":9,"metrics":null,"metrics_at":null}"##;
        assert_eq!(serde_json::to_string(&line()).unwrap(), expected);
        let live = line().live("connected", Metrics::default(), 0);
        let live = serde_json::to_value(&live).unwrap();
        assert_eq!(live["connection"], "connected");
        assert_eq!(live["metrics"]["commits"], 0);
        assert_eq!(live["metrics_at"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn people_read_it_line_by_line() {
        let text = line().to_string();
        assert!(text.contains("broker         mqtt://h:1883\n") && text.ends_with("gaps           8"), "{text}");
        assert!(text.contains("subscription   a/#: QoS 2, not granted yet"), "{text}");
    }
}
