//! Received messages, and the QoS 2 packet identifiers that the broker may still use for them.

use super::Store;
use super::codec::{encode_props, flags, int};
use super::error::StoreError;
use super::writer::Qos2;
use crate::model::rows::ReceivedQos2;

impl Store {
    pub(super) fn flush_inbox(&mut self) -> Result<(), StoreError> {
        let (connection, staged, topics) = (&self.connection, &mut self.staged, &mut self.topics);
        self.inserts.inbox.run(connection, &staged.inbox, |columns, row| {
            columns.put(int(row.seq))?;
            columns.put(topics.number(connection, &row.topic)?)?;
            columns.put(&row.payload[..])?;
            columns.put(encode_props(row.props.as_deref())?)?;
            columns.put(flags(row.qos, row.retain, row.dup, false))?;
            Ok(columns.put(row.received_ms)?)
        })?;
        staged.inbox.clear();

        // A stable sort keeps the last word on an identifier last.
        staged.qos2.sort_by_key(|(pid, _)| *pid);
        let (mut stand, mut completed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for same in staged.qos2.chunk_by(|(a, _), (b, _)| a == b) {
            let (pid, last) = same[same.len() - 1];
            let content = same.iter().rev().find_map(|(_, word)| match word {
                Qos2::Received(content) => Some(*content),
                _ => None,
            });
            match (last, content) {
                (Qos2::Gone, _) => gone.push(pid),
                (Qos2::Completed, None) => completed.push(pid),
                (word, content) => stand.push((pid, content.unwrap_or(0), matches!(word, Qos2::Completed))),
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
