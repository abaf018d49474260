//! Received messages, and the QoS 2 packet identifiers that the broker may still use for them.

use super::Store;
use super::codec::{REPLAY, encode_props, inbox_flags, int};
use super::error::StoreError;
use super::writer::Qos2;
use crate::model::rows::ReceivedQos2;

impl Store {
    pub(super) fn flush_inbox(&mut self) -> Result<(), StoreError> {
        if !self.staged.retained.is_empty() {
            self.settle_retained()?;
        }
        let (connection, staged, topics) = (&self.connection, &mut self.staged, &mut self.topics);
        self.inserts.inbox.run(connection, &staged.inbox, |columns, row| {
            columns.put(int(row.seq))?;
            columns.put(topics.number(connection, &row.topic)?)?;
            columns.put(&row.payload[..])?;
            columns.put(encode_props(row.props.as_deref())?)?;
            let replay = if staged.replays.is_empty() || !staged.replays.contains(&row.seq) { 0 } else { REPLAY };
            columns.put(inbox_flags(row) | replay)?;
            Ok(columns.put(row.received_ms)?)
        })?;
        staged.inbox.clear();
        staged.replays.clear();

        // A stable sort keeps the last word on an identifier last.
        staged.qos2.sort_by_key(|(pid, _)| *pid);
        let (mut stand, mut completed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for same in staged.qos2.chunk_by(|(a, _), (b, _)| a == b) {
            let pid = same[0].0;
            // The identifier's row after this turn, as far as this turn knows it.
            let mut row = None;
            for (_, word) in same {
                row = match (word, row) {
                    (Qos2::Received(content), _) => Some(Some((*content, false))),
                    (Qos2::Completed, Some(Some((content, _)))) => Some(Some((content, true))),
                    (Qos2::Completed, unknown_or_gone) => unknown_or_gone,
                    (Qos2::Gone, _) => Some(None),
                };
            }
            match row {
                None => completed.push(pid),
                Some(None) => gone.push(pid),
                Some(Some((content, completed))) => stand.push((pid, content, completed)),
            }
        }
        staged.qos2.clear();
        for (pids, sql) in [
            (gone, "DELETE FROM received_qos2 WHERE pid BETWEEN ?1 AND ?2"),
            (completed, "UPDATE received_qos2 SET completed = 1 WHERE pid BETWEEN ?1 AND ?2"),
        ] {
            for run in pids.chunk_by(|a, b| a + 1 == *b) {
                connection.prepare_cached(sql)?.execute([run[0], run[run.len() - 1]])?;
            }
        }
        self.inserts.qos2.run(connection, &stand, |columns, (pid, content, completed)| {
            columns.put(*pid)?;
            columns.put(content.cast_signed())?;
            Ok(columns.put(*completed)?)
        })
    }

    /// QoS 2 packet identifiers that were received, in rising order.
    ///
    /// # Errors
    /// The store's.
    pub fn received_qos2(&mut self) -> Result<Vec<ReceivedQos2>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT pid, content, completed FROM received_qos2 ORDER BY pid")?;
            let rows = statement.query_map([], |row| {
                let (pid, content, completed) = (row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get(2)?);
                Ok(ReceivedQos2 { pid, content, completed })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
