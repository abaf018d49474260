//! Random turns against a model in memory, with commits, reopenings and kills between any two writes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod store_common;

use std::collections::{BTreeMap, BTreeSet};

use homing::internals::rows::{
    Hot, InboxRow, LANE_SHIFT, OpenGap, OutboxRow, Outcome, ReceivedQos2, SubscriptionRow, split_id,
};
use homing::internals::writes::Write;
use homing::store::reader::Reader;
use homing::store::{ConsumerRow, Removed, Store};
use homing::{Durability, Fate, GapCause, QoS, Subscription, TopicFilter};
use proptest::prelude::*;
use proptest::sample::Index;
use store_common::*;

#[derive(Debug, Clone)]
enum Op {
    Publish { urgent: bool, qos: u8, expires_ms: Option<i64>, ended: bool },
    Finish(Index, Option<Outcome>),
    Release(Index),
    SendAll,
    Receive(usize),
    Qos2(u16, u8),
    SessionLost,
    Subscribe(usize, bool),
    SubscriptionGone(usize),
    Gap(usize, bool),
    Put(usize, usize),
    Remove(usize),
    Done(usize, u64),
    Through(usize, u64),
    Retain(i64, u64),
    Look,
    Commit,
    Reopen,
    Kill,
}

const TOPICS: [&str; 4] = ["a/0", "a/1", "b/0", "$x"];
const FILTERS: [&str; 4] = ["a/+", "b/#", "#", "$x"];
const NAMES: [&str; 3] = ["default", "second", "third"];
const WANTS: [&[&str]; 4] = [&[], &["a/+"], &["b/#", "$x"], &["nothing"]];

fn op() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Outcome::Expired)),
        1 => Just(Some(Outcome::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false })),
    ];
    prop_oneof![
        12 => (prop::bool::weighted(0.1), 0..3u8, prop::option::weighted(0.3, 0..50i64), prop::bool::weighted(0.2))
            .prop_map(|(urgent, qos, expires_ms, ended)| Op::Publish { urgent, qos, expires_ms, ended }),
        10 => (any::<Index>(), outcome).prop_map(|(index, outcome)| Op::Finish(index, outcome)),
        4 => any::<Index>().prop_map(Op::Release),
        2 => Just(Op::SendAll),
        12 => (0..TOPICS.len()).prop_map(Op::Receive),
        6 => (1..8u16, 0..3u8).prop_map(|(pid, word)| Op::Qos2(pid, word)),
        1 => Just(Op::SessionLost),
        2 => (0..FILTERS.len(), any::<bool>()).prop_map(|(filter, wanted)| Op::Subscribe(filter, wanted)),
        1 => (0..FILTERS.len()).prop_map(Op::SubscriptionGone),
        2 => (0..FILTERS.len(), any::<bool>()).prop_map(|(filter, open)| Op::Gap(filter, open)),
        2 => (0..NAMES.len(), 0..WANTS.len()).prop_map(|(name, wants)| Op::Put(name, wants)),
        1 => (0..NAMES.len()).prop_map(Op::Remove),
        10 => (0..NAMES.len(), 1..40u64).prop_map(|(name, seq)| Op::Done(name, seq)),
        2 => (0..NAMES.len(), 1..40u64).prop_map(|(name, seq)| Op::Through(name, seq)),
        2 => (0..60i64, 0..3u64).prop_map(|(now, over)| Op::Retain(now, over)),
        2 => Just(Op::Look),
        8 => Just(Op::Commit),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
    ]
}

#[derive(Debug, Clone, Default)]
struct ModelConsumer {
    wants: Vec<TopicFilter>,
    cursor: u64,
    marks: BTreeSet<u64>,
    dirty: bool,
}

/// What the rows should say.
#[derive(Debug, Clone, Default)]
struct Model {
    hot: Hot,
    outbox: BTreeMap<u64, OutboxRow>,
    ends: BTreeMap<u64, Fate>,
    released: Vec<u64>,
    inbox: BTreeMap<u64, InboxRow>,
    qos2: BTreeMap<u16, bool>,
    subscriptions: BTreeMap<String, SubscriptionRow>,
    gaps: Vec<OpenGap>,
    consumers: BTreeMap<String, ModelConsumer>,
}

impl Model {
    fn advance(&mut self, only_dirty: bool) {
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.dirty || !only_dirty) {
            for (seq, row) in self.inbox.range(consumer.cursor + 1..) {
                let wanted = consumer.wants.is_empty() || consumer.wants.iter().any(|want| want.matches(&row.topic));
                if wanted && !consumer.marks.contains(seq) {
                    break;
                }
                (consumer.cursor, consumer.dirty) = (*seq, true);
            }
            consumer.marks = consumer.marks.split_off(&(consumer.cursor + 1));
        }
    }

    fn pick(&self, index: Index) -> Option<u64> {
        (!self.outbox.is_empty()).then(|| *index.get(&self.outbox.keys().copied().collect::<Vec<_>>()))
    }

    /// The write of an operation, and what it does to the model.
    fn apply(&mut self, op: &Op) -> Vec<Write> {
        match op {
            Op::Publish { urgent, qos, expires_ms, ended } => {
                let lane = usize::from(*urgent);
                let id = (lane as u64) << LANE_SHIFT | self.hot.lanes[lane].next_ord;
                self.hot.lanes[lane].next_ord += 1;
                let row = OutboxRow { expires_ms: *expires_ms, ..outbox_row(id, QoS::from_number(*qos).unwrap()) };
                let mut writes = vec![Write::OutboxInsert(row.clone())];
                if *ended {
                    self.ends.insert(id, Fate::Sent);
                    writes.push(Write::OutboxFinish { id, verdict: Some(Outcome::Sent), at_ms: 1 });
                } else {
                    self.outbox.insert(id, row);
                }
                writes
            }
            Op::Finish(index, verdict) => {
                let Some(id) = self.pick(*index) else { return vec![] };
                self.outbox.remove(&id);
                self.released.retain(|released| *released != id);
                let fate = match verdict {
                    None => Fate::DELIVERED,
                    Some(Outcome::Expired) => Fate::Expired,
                    _ => Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false },
                };
                self.ends.insert(id, fate);
                vec![Write::OutboxFinish { id, verdict: *verdict, at_ms: 1 }]
            }
            Op::Release(index) => {
                let Some(id) = self.pick(*index).filter(|id| !self.released.contains(id)) else { return vec![] };
                self.released.push(id);
                self.hot.next_release += 1;
                vec![Write::Release { id, release: self.hot.next_release }]
            }
            Op::SendAll => {
                self.hot.lanes[0].sent_through = self.hot.lanes[0].next_ord - 1;
                vec![]
            }
            Op::Receive(topic) => {
                let row = inbox_row(self.hot.next_seq, TOPICS[*topic]);
                self.hot.next_seq += 1;
                self.inbox.insert(row.seq, row.clone());
                vec![Write::InboxInsert(row)]
            }
            Op::Qos2(pid, 0) => {
                self.qos2.insert(*pid, false);
                vec![Write::ReceivedQos2 { pid: *pid, content: u64::MAX - u64::from(*pid) }]
            }
            Op::Qos2(pid, 1) => {
                self.qos2.entry(*pid).and_modify(|completed| *completed = true);
                vec![Write::CompletedQos2(*pid)]
            }
            Op::Qos2(pid, _) => {
                self.qos2.remove(pid);
                vec![Write::ForgetQos2(*pid)]
            }
            Op::SessionLost => {
                let sent_through = self.hot.lanes[0].sent_through;
                self.qos2.clear();
                self.released.clear();
                self.outbox.range_mut(..=sent_through).for_each(|(_, row)| row.maybe_dup = true);
                self.hot.lanes[0].sent_through = 0;
                vec![Write::SessionLost { sent_through: [sent_through, 0] }]
            }
            Op::Subscribe(index, wanted) => {
                let wish = Subscription::new(filter(FILTERS[*index]), QoS::AtLeastOnce);
                let row = SubscriptionRow { wish, wanted: *wanted, granted: wanted.then_some((QoS::AtMostOnce, 4)) };
                self.subscriptions.insert(FILTERS[*index].into(), row.clone());
                vec![Write::Subscription(row)]
            }
            Op::SubscriptionGone(index) => {
                self.subscriptions.remove(FILTERS[*index]);
                vec![Write::SubscriptionGone(filter(FILTERS[*index]))]
            }
            Op::Gap(index, true) => {
                let (filter, from_ms, after_seq) = (filter(FILTERS[*index]), 7, self.hot.next_seq - 1);
                let cause = GapCause::SessionLost;
                if !self.gaps.iter().any(|gap| gap.filter == filter) {
                    self.gaps.push(OpenGap { filter: filter.clone(), cause, from_ms, after_seq });
                }
                vec![Write::GapOpen { filter, cause, from_ms, after_seq }]
            }
            Op::Gap(index, false) => {
                let filter = filter(FILTERS[*index]);
                self.gaps.retain(|gap| gap.filter != filter);
                vec![Write::GapClose { filter, cause: GapCause::SessionLost, to_ms: 9 }]
            }
            Op::Put(name, wants) => {
                let wants: Vec<_> = WANTS[*wants].iter().map(|text| filter(text)).collect();
                self.consumers.entry(NAMES[*name].into()).or_default().wants = wants.clone();
                vec![Write::ConsumerPut { name: NAMES[*name].into(), filters: wants, cursor: 0 }]
            }
            Op::Remove(name) => {
                self.consumers.remove(NAMES[*name]);
                vec![Write::ConsumerRemove { name: NAMES[*name].into() }]
            }
            Op::Done(name, seq) | Op::Through(name, seq) => {
                let seq = *seq.min(&(self.hot.next_seq - 1));
                let through = matches!(op, Op::Through(..));
                let name = NAMES[*name].to_owned();
                let Some(consumer) = self.consumers.get_mut(&name) else { return vec![] };
                if through && seq > consumer.cursor {
                    (consumer.cursor, consumer.dirty) = (seq, true);
                    consumer.marks = consumer.marks.split_off(&(seq + 1));
                } else if !through && seq > consumer.cursor {
                    consumer.dirty |= consumer.marks.insert(seq);
                }
                vec![match through {
                    true => Write::ConsumerDoneThrough { name, seq },
                    false => Write::ConsumerDone { name, seq },
                }]
            }
            Op::Retain(..) | Op::Look | Op::Commit | Op::Reopen | Op::Kill => vec![],
        }
    }

    fn retain(&mut self, before_ms: i64, over: u64) -> Removed {
        self.advance(false);
        let done = self.consumers.values().map(|consumer| consumer.cursor).min().unwrap_or(u64::MAX);
        let mut removed = Removed::default();
        while let Some(first) = self.inbox.first_entry()
            && *first.key() <= done
            && (first.get().received_ms < before_ms || removed.messages < over)
        {
            removed.messages += 1;
            removed.bytes += first.remove().size();
        }
        removed
    }

    /// The turn so far.
    fn check(&self, store: &mut Store) {
        let all = i64::MAX as u64;
        let rows: Vec<_> = self.outbox.values().cloned().collect();
        assert_eq!(store.load_outbox(0, all, 10_000, usize::MAX).unwrap(), (rows, true));
        let sent = self.hot.lanes[0].sent_through;
        let in_flight: Vec<_> = store.in_flight([sent, 0]).unwrap().iter().map(|row| (row.id, row.released)).collect();
        let expected: Vec<_> = self.outbox.range(..=sent).map(|(id, _)| (*id, self.released.contains(id))).collect();
        assert_eq!(in_flight, expected);
        assert_eq!(store.released().unwrap(), self.released);
        let qos2 = self.qos2.iter().map(|(&pid, &completed)| {
            let content = u64::MAX - u64::from(pid);
            ReceivedQos2 { pid, content, completed }
        });
        assert_eq!(store.received_qos2().unwrap(), qos2.collect::<Vec<_>>());
        assert_eq!(store.subscriptions().unwrap(), self.subscriptions.values().cloned().collect::<Vec<_>>());
        assert_eq!(store.open_gaps().unwrap(), self.gaps);
        let consumers = self.consumers.iter().map(|(name, consumer)| ConsumerRow {
            name: name.clone(),
            filters: consumer.wants.clone(),
            cursor: consumer.cursor,
            lag: homing::Lag::Pause,
            skipped: None,
        });
        assert_eq!(store.consumers(), consumers.collect::<Vec<_>>());
        let mut waiting: Vec<_> = self.outbox.range(sent + 1..).map(|(_, row)| row).collect();
        waiting.retain(|row| row.expires_ms.is_some() && !row.maybe_dup);
        let (expired, next_ms) = store.expired([sent, 0], 25, 10_000).unwrap();
        let due = |row: &&&OutboxRow| row.expires_ms.is_some_and(|at| at <= 25);
        assert_eq!(expired.len(), waiting.iter().filter(due).count());
        assert_eq!(next_ms, waiting.iter().filter(|row| !due(row)).filter_map(|row| row.expires_ms).min());
    }

    /// After a commit or a reopening: what is on disk.
    fn check_committed(&self, store: &mut Store, path: &std::path::Path) {
        self.check(store);
        let mine = Hot { turn: store.hot().turn, ..self.hot };
        assert_eq!(store.hot(), mine);
        let reader = Reader::open(path).unwrap();
        for id in self.outbox.keys().chain(self.ends.keys()) {
            let (lane, ord) = split_id(*id);
            let in_flight = ord <= self.hot.lanes[lane].sent_through;
            let alive = if in_flight { Fate::InFlight } else { Fate::Waiting };
            let fate = if self.outbox.contains_key(id) { &alive } else { &self.ends[id] };
            assert_eq!(store.fate(*id).unwrap().as_ref(), Some(fate));
            assert_eq!(&reader.fate(homing::MessageId::new(reader.store_id(), *id)).unwrap(), fate);
        }
        let seqs: Vec<_> = reader.inbox(0, 500).unwrap().iter().map(|message| message.at.seq()).collect();
        assert_eq!(seqs, self.inbox.keys().copied().collect::<Vec<_>>());
        for (name, consumer) in &self.consumers {
            let page: Vec<_> = reader.page(name, 0, 500).unwrap().0.iter().map(|message| message.at.seq()).collect();
            let wanted = self.inbox.range(consumer.cursor + 1..).filter(|(seq, row)| {
                !consumer.marks.contains(seq)
                    && (consumer.wants.is_empty() || consumer.wants.iter().any(|want| want.matches(&row.topic)))
            });
            assert_eq!(page, wanted.map(|(seq, _)| *seq).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn p1_rows_are_what_was_committed(ops in prop::collection::vec(op(), 1..150)) {
        let mut folder = tempfile::tempdir().unwrap();
        let mut store = open_with(&path(&folder), Durability::ProcessKill).unwrap();
        let mut model = Model { hot: store.hot(), ..Model::default() };
        model.consumers.insert("default".into(), ModelConsumer::default());
        let mut committed = model.clone();
        for op in ops {
            for write in model.apply(&op) {
                store.write(write).unwrap();
            }
            match op {
                Op::Retain(now, over) => {
                    let removed = model.retain(1_000 + now, over);
                    let over = Removed { messages: over, bytes: 0 };
                    prop_assert_eq!(store.retain(1_000 + now, 0, Some(over), 1_000).unwrap(), removed);
                }
                Op::Look => model.check(&mut store),
                Op::Commit => {
                    model.advance(true);
                    model.consumers.values_mut().for_each(|consumer| consumer.dirty = false);
                    store.commit(&model.hot).unwrap();
                    store.maintain(true).unwrap();
                    committed = model.clone();
                    model.check_committed(&mut store, &path(&folder));
                }
                Op::Reopen => {
                    store = store.reopen().unwrap();
                    model = committed.clone();
                    model.check_committed(&mut store, &path(&folder));
                }
                Op::Kill => {
                    let next = tempfile::tempdir().unwrap();
                    killed_copy(&path(&folder), &next);
                    drop(store);
                    store = open_with(&path(&next), Durability::ProcessKill).unwrap();
                    folder = next;
                    model = committed.clone();
                    model.check_committed(&mut store, &path(&folder));
                }
                _ => {}
            }
        }
    }
}
