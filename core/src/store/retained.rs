//! Retained messages that say again what is known: after a lost session, and in MQTT 3.1.1 after every SUBSCRIBE, a broker
//! sends all of them anew. What only repeats a topic's last value refreshes its age.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Store;
use super::codec::{int, read_payload, read_props};
use super::error::StoreError;
use crate::model::message::Properties;
use crate::model::rows::InboxRow;
use crate::model::topic::TopicName;

/// Steps of the index that are made to know the last values. Further behind (after an upgrade) nothing is taken for a repeat.
const STEPS: usize = 4;

/// A topic's last value, as far as another one is compared with it.
enum Known {
    /// It comes with this turn.
    Now,
    /// It stands in the inbox.
    InInbox,
    /// Its message has left the inbox.
    Kept,
}

impl Store {
    /// Takes out of the staged messages those that are not stored, and marks others. A message that is not retained is
    /// never looked at.
    pub(super) fn settle_retained(&mut self) -> Result<(), StoreError> {
        let retained: HashMap<u64, bool> = self.staged.retained.drain(..).collect();
        let mut steps = 0;
        while !self.index_batch()? {
            steps += 1;
            if steps == STEPS {
                return Ok(());
            }
        }
        let rows = std::mem::take(&mut self.staged.inbox);
        let topics: HashSet<TopicName> =
            rows.iter().filter(|row| retained.contains_key(&row.seq)).map(|row| row.topic.clone()).collect();
        let mut now: HashMap<TopicName, InboxRow> = HashMap::new();
        for row in rows {
            if let Some(asked) = retained.get(&row.seq) {
                match (self.repeats(&row, now.get(&row.topic))?, asked) {
                    (Some(Known::Now), false) => {
                        self.staged.refreshed.add(&row);
                        continue;
                    }
                    (Some(Known::InInbox), false) => {
                        self.connection
                            .prepare_cached("UPDATE topic SET last_at_ms = ?2 WHERE name = ?1")?
                            .execute(params![row.topic.as_str(), row.received_ms])?;
                        self.staged.refreshed.add(&row);
                        continue;
                    }
                    (Some(_), _) => drop(self.staged.replays.insert(row.seq)),
                    (None, _) => {}
                }
            }
            if topics.contains(&row.topic) {
                now.insert(row.topic.clone(), row.clone());
            }
            self.staged.inbox.push(row);
        }
        Ok(())
    }

    fn repeats(&self, row: &InboxRow, now: Option<&InboxRow>) -> Result<Option<Known>, StoreError> {
        let known = match now {
            Some(known) => {
                (Known::Now, known.payload == row.payload && same(known.props.as_deref(), row.props.as_deref()))
            }
            None => match stored(&self.connection, row)? {
                Some(known) => known,
                None => return Ok(None),
            },
        };
        Ok(known.1.then_some(known.0))
    }
}

/// Whether the stored last value is the same; None: there is none.
fn stored(connection: &Connection, row: &InboxRow) -> Result<Option<(Known, bool)>, StoreError> {
    let found: Option<(i64, bool)> = connection
        .prepare_cached(
            "SELECT last_seq, last_payload IS NOT NULL FROM topic WHERE name = ?1 AND last_seq IS NOT NULL",
        )?
        .query_row([row.topic.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, kept)) = found else { return Ok(None) };
    let sql = match kept {
        true => "SELECT last_payload, last_props FROM topic WHERE name = ?1 AND ?2 IS NOT NULL",
        false => "SELECT payload, props FROM inbox WHERE seq = ?2 AND ?1 IS NOT NULL",
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![row.topic.as_str(), int(seq.cast_unsigned())])?;
    let Some(known) = rows.next()? else { return Ok(None) };
    let equal = read_payload(known, 0)? == row.payload && same(read_props(known, 1)?.as_deref(), row.props.as_deref());
    Ok(Some((if kept { Known::Kept } else { Known::InInbox }, equal)))
}

/// Without what each delivery counts anew.
fn same(a: Option<&Properties>, b: Option<&Properties>) -> bool {
    let said = |props: Option<&Properties>| {
        let props = props.cloned().unwrap_or_default();
        Properties { expiry_s: None, subscription_ids: Vec::new(), ..props }
    };
    a == b || said(a) == said(b)
}
