//! Received messages, and the QoS 2 packet identifiers that were received and not yet released.

use super::Store;
use super::codec::{encode_props, flags, int};
use super::error::StoreError;

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

        // The last word on an identifier counts: a stable sort keeps it last.
        staged.qos2.sort_by_key(|(pid, _)| *pid);
        let (mut stand, mut go) = (Vec::new(), Vec::new());
        for same in staged.qos2.chunk_by(|(a, _), (b, _)| a == b) {
            let (pid, stands) = same[same.len() - 1];
            if stands { stand.push(pid) } else { go.push(pid) }
        }
        staged.qos2.clear();
        if !go.is_empty() {
            let mut statement = connection.prepare_cached("DELETE FROM received_qos2 WHERE pid BETWEEN ?1 AND ?2")?;
            for run in go.chunk_by(|a, b| a + 1 == *b) {
                statement.execute([run[0], run[run.len() - 1]])?;
            }
        }
        self.inserts.qos2.run(connection, &stand, |columns, pid| Ok(columns.put(*pid)?))
    }

    /// Packet identifiers received and not yet released, in rising order.
    ///
    /// # Errors
    /// The store's.
    pub fn received_qos2(&mut self) -> Result<Vec<u16>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT pid FROM received_qos2 ORDER BY pid")?;
            let pids = statement.query_map([], |row| row.get(0))?;
            Ok(pids.collect::<Result<_, _>>()?)
        })
    }
}
