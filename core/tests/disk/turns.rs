//! Random turns of a store, and what its rows must say after each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use fastrand::Rng;
use homing::internals::rows::{Hot, InboxRow, OutboxRow, Outcome, ReceivedQos2};
use homing::internals::writes::Write;
use homing::store::reader::Reader;
use homing::store::{Removed, Store, StoreError};
use homing::{Fate, QoS};

use crate::store_common::{inbox_row, outbox_row};

const TOPICS: [&str; 4] = ["a/0", "a/1", "b/0", "$x"];
const CONSUMER: &str = "default";
/// Whose fates are looked at: the latest.
const FATES: usize = 60;

/// One step of a turn.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(Write),
    /// So many messages over the limit; what has to go.
    Retain(u64, Removed),
}

/// What the rows should say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) hot: Hot,
    outbox: BTreeMap<u64, OutboxRow>,
    ends: BTreeMap<u64, Fate>,
    released: Vec<u64>,
    inbox: BTreeMap<u64, InboxRow>,
    qos2: BTreeMap<u16, ReceivedQos2>,
    cursor: u64,
    marks: BTreeSet<u64>,
    /// Payloads of a turn may be so large.
    pub(crate) largest: usize,
}

impl Model {
    /// Of a store that was just made.
    pub(crate) fn new(store: &Store, largest: usize) -> Self {
        Self { hot: store.hot(), largest, ..Self::default() }
    }

    /// A turn, never an empty one, and the rows behind it.
    pub(crate) fn turn(&self, rng: &mut Rng) -> (Vec<Step>, Self) {
        let mut next = self.clone();
        next.hot.turn += 1;
        next.hot.clock_ms += 1;
        let mut steps = vec![next.publish(rng)];
        for _ in 0..rng.usize(..12) {
            steps.extend(next.step(rng));
        }
        next.advance();
        (steps, next)
    }

    fn payload(&self, rng: &mut Rng) -> Bytes {
        let length = if rng.u8(..4) == 0 { rng.usize(..=self.largest) } else { rng.usize(..100) };
        let byte = rng.u8(..);
        Bytes::from((0..length).map(|at| byte.wrapping_add(at as u8)).collect::<Vec<_>>())
    }

    fn publish(&mut self, rng: &mut Rng) -> Step {
        let payload = self.payload(rng);
        let lane = &mut self.hot.lanes[0];
        let qos = QoS::from_number(rng.u8(..3)).unwrap();
        let row = OutboxRow { payload, ..outbox_row(lane.next_ord, qos) };
        lane.next_ord += 1;
        (lane.messages, lane.bytes) = (lane.messages + 1, lane.bytes + row.size());
        self.outbox.insert(row.id, row.clone());
        Step::Write(Write::OutboxInsert(row))
    }

    fn step(&mut self, rng: &mut Rng) -> Option<Step> {
        let any = |rng: &mut Rng, ids: &BTreeMap<u64, OutboxRow>| rng.choice(ids.keys().copied());
        Some(Step::Write(match rng.u8(..40) {
            0..10 => return Some(self.publish(rng)),
            10..16 => {
                let id = any(rng, &self.outbox)?;
                self.finish(id, rng.bool())
            }
            16..18 => {
                let id = any(rng, &self.outbox).filter(|id| !self.released.contains(id))?;
                self.released.push(id);
                self.hot.next_release += 1;
                Write::Release { id, release: self.hot.next_release }
            }
            18..28 => {
                let row = InboxRow { payload: self.payload(rng), ..inbox_row(self.hot.next_seq, rng.choice(TOPICS)?) };
                self.hot.next_seq += 1;
                self.hot.inbox_messages += 1;
                self.hot.inbox_bytes += row.size();
                self.inbox.insert(row.seq, row.clone());
                Write::InboxInsert(row)
            }
            28..32 => self.qos2(rng),
            32..35 => {
                let seq = self.undone(rng)?;
                self.marks.insert(seq);
                Write::ConsumerDone { name: CONSUMER.into(), seq }
            }
            35..37 => {
                let seq = self.undone(rng)?;
                self.cursor = seq;
                Write::ConsumerDoneThrough { name: CONSUMER.into(), seq }
            }
            37 => {
                self.hot.lanes[0].sent_through = self.hot.lanes[0].next_ord - 1;
                return None;
            }
            38 => return Some(self.retain(rng.u64(..20))),
            _ => {
                let sent_through = std::mem::take(&mut self.hot.lanes[0].sent_through);
                self.released.clear();
                self.qos2.clear();
                self.outbox.range_mut(..=sent_through).for_each(|(_, row)| row.maybe_dup = true);
                Write::SessionLost { sent_through: [sent_through, 0] }
            }
        }))
    }

    /// A message beyond the consumer's cursor, if the dice meet one.
    fn undone(&self, rng: &mut Rng) -> Option<u64> {
        Some(self.cursor + rng.u64(1..20)).filter(|seq| self.inbox.contains_key(seq))
    }

    fn finish(&mut self, id: u64, expired: bool) -> Write {
        let lane = &mut self.hot.lanes[0];
        lane.messages -= 1;
        lane.bytes -= self.outbox.remove(&id).map_or(0, |row| row.size());
        self.released.retain(|released| *released != id);
        self.ends.insert(id, if expired { Fate::Expired } else { Fate::DELIVERED });
        Write::OutboxFinish { id, verdict: expired.then_some(Outcome::Expired), at_ms: 1 }
    }

    fn qos2(&mut self, rng: &mut Rng) -> Write {
        let pid = rng.u16(1..8);
        match rng.u8(..3) {
            0 => {
                let content = u64::from(pid) << 40;
                self.qos2.insert(pid, ReceivedQos2 { pid, content, completed: false });
                Write::ReceivedQos2 { pid, content }
            }
            1 => {
                self.qos2.entry(pid).and_modify(|row| row.completed = true);
                Write::CompletedQos2(pid)
            }
            _ => {
                self.qos2.remove(&pid);
                Write::ForgetQos2(pid)
            }
        }
    }

    fn advance(&mut self) {
        for seq in self.inbox.range(self.cursor + 1..).map(|(seq, _)| *seq) {
            if !self.marks.contains(&seq) {
                break;
            }
            self.cursor = seq;
        }
        self.marks = self.marks.split_off(&(self.cursor + 1));
    }

    fn retain(&mut self, over: u64) -> Step {
        self.advance();
        let mut removed = Removed::default();
        while removed.messages < over
            && let Some(first) = self.inbox.first_entry().filter(|first| *first.key() <= self.cursor)
        {
            removed.messages += 1;
            removed.bytes += first.remove().size();
        }
        self.hot.inbox_messages -= removed.messages;
        self.hot.inbox_bytes -= removed.bytes;
        Step::Retain(over, removed)
    }

    /// Everything that the store says, against the model.
    pub(crate) fn check(&self, store: &mut Store, path: &Path) {
        assert_eq!(store.hot(), self.hot);
        let rows: Vec<_> = self.outbox.values().cloned().collect();
        assert_eq!(store.load_outbox(0, i64::MAX as u64, usize::MAX, usize::MAX).unwrap(), (rows, true));
        assert_eq!(self.hot.lanes[0].messages, self.outbox.len() as u64);
        assert_eq!(self.hot.lanes[0].bytes, self.outbox.values().map(OutboxRow::size).sum::<u64>());
        let sent_through = self.hot.lanes[0].sent_through;
        let in_flight: Vec<_> =
            store.in_flight([sent_through, 0]).unwrap().iter().map(|row| (row.id, row.released)).collect();
        let expected = self.outbox.range(..=sent_through).map(|(id, _)| (*id, self.released.contains(id)));
        assert_eq!(in_flight, expected.collect::<Vec<_>>());
        assert_eq!(store.released().unwrap(), self.released);
        assert_eq!(store.received_qos2().unwrap(), self.qos2.values().copied().collect::<Vec<_>>());
        assert_eq!(store.consumers()[0].cursor, self.cursor);
        for (id, fate) in self.ends.iter().rev().take(FATES) {
            assert_eq!(store.fate(*id).unwrap().as_ref(), Some(fate), "{id}");
        }
        self.check_inbox(&Reader::open(path).unwrap());
    }

    fn check_inbox(&self, reader: &Reader) {
        let mut expected = self.inbox.values();
        let mut after = 0;
        loop {
            let page = reader.inbox(after, 500).unwrap();
            let Some(last) = page.last() else { break };
            after = last.at.seq();
            for message in &page {
                let row = expected.next().unwrap();
                assert_eq!((message.at.seq(), &message.topic, &message.payload), (row.seq, &row.topic, &row.payload));
            }
        }
        assert!(expected.next().is_none(), "messages are missing");
        assert_eq!(self.hot.inbox_messages, self.inbox.len() as u64);
        assert_eq!(self.hot.inbox_bytes, self.inbox.values().map(InboxRow::size).sum::<u64>());
        let mut undone = self.inbox.keys().filter(|seq| **seq > self.cursor && !self.marks.contains(seq));
        let page = reader.page(CONSUMER, 0, 500).unwrap().0;
        assert!(page.iter().all(|message| undone.next() == Some(&message.at.seq())));
    }
}

/// Writes a turn and commits it.
pub(crate) fn take(store: &mut Store, steps: &[Step], behind: &Model) -> Result<(), StoreError> {
    for step in steps {
        match step {
            Step::Write(write) => store.write(write.clone())?,
            Step::Retain(over, expected) => {
                let over = Removed { messages: *over, bytes: 0 };
                // No message is old enough to go for its age alone.
                assert_eq!(store.retain(0, 0, Some(over), 1_000)?, *expected);
            }
        }
    }
    assert!(store.commit(&behind.hot)?);
    Ok(())
}

/// What SQLite itself says of the file.
pub(crate) fn integrity(path: &Path) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}
