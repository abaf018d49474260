//! From the one driver to many listeners: states and positions conflated, events bounded.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};

use super::watches::Events;
use crate::model::event::{Event, Fate, Metrics, State};
use crate::model::message::{MessageId, StoreId};

/// So many events may wait for a slow listener; beyond it the oldest go and it is told how many.
const EVENTS: usize = 512;

/// So many warnings are kept for the first listener, until it comes: a client is opened before anybody can listen to it.
const UNHEARD: usize = 16;

/// The driver's side.
pub(crate) struct Fanout {
    store: StoreId,
    /// The largest packet that the decoder takes.
    pub(crate) max_packet: u32,
    events: broadcast::Sender<Event>,
    unheard: Arc<Mutex<Option<Vec<Event>>>>,
    state: watch::Sender<State>,
    last_seq: watch::Sender<u64>,
    paused: watch::Sender<bool>,
    metrics: Arc<Mutex<Metrics>>,
}

/// The handle's side.
#[derive(Clone)]
pub(crate) struct Listeners {
    events: broadcast::WeakSender<Event>,
    unheard: Arc<Mutex<Option<Vec<Event>>>>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) last_seq: watch::Receiver<u64>,
    pub(crate) paused: watch::Receiver<bool>,
    metrics: Arc<Mutex<Metrics>>,
}

impl Fanout {
    pub(crate) fn new(store: StoreId, state: State, last_seq: u64, max_packet: u32) -> (Self, Listeners) {
        let (events, _) = broadcast::channel(EVENTS);
        let (state, state_rx) = watch::channel(state);
        let (last_seq, last_seq_rx) = watch::channel(last_seq);
        let (paused, paused_rx) = watch::channel(false);
        let metrics = Arc::new(Mutex::new(Metrics::default()));
        let unheard = Arc::new(Mutex::new(Some(Vec::new())));
        let listeners = Listeners {
            events: events.downgrade(),
            unheard: Arc::clone(&unheard),
            state: state_rx,
            last_seq: last_seq_rx,
            paused: paused_rx,
            metrics: Arc::clone(&metrics),
        };
        (Self { store, max_packet, events, unheard, state, last_seq, paused, metrics }, listeners)
    }

    /// Whose messages these are.
    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    /// No file is open from now on, or they are again.
    pub(crate) fn paused(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Messages up to here are committed.
    pub(crate) fn arrived(&self, last_seq: u64) {
        self.last_seq.send_if_modified(|seq| std::mem::replace(seq, last_seq) != last_seq);
    }

    /// Messages have come to their end.
    pub(crate) fn settled(&self, settled: &mut Vec<(u64, Fate)>) {
        if !settled.is_empty() && self.events.receiver_count() > 0 {
            let batch: Arc<[_]> = settled.drain(..).map(|(n, fate)| (MessageId::new(self.store, n), fate)).collect();
            // The last listener may have gone just now.
            drop(self.events.send(Event::Settled(batch)));
        }
        settled.clear();
    }

    /// Everything else.
    pub(crate) fn events(&self, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            if let Event::State(state) = &event {
                tracing::info!(?state, "connection");
                self.state.send_replace(state.clone());
            }
            if matches!(event, Event::Warning { .. }) {
                // Locked until it is told: a first listener comes before it, or after.
                let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
                match &mut *unheard {
                    Some(kept) if kept.len() < UNHEARD => kept.push(event),
                    Some(_) => {}
                    None => drop(self.events.send(event)),
                }
            } else {
                drop(self.events.send(event));
            }
        }
    }

    /// The newest counters.
    pub(crate) fn metrics(&self, metrics: Metrics) {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner) = metrics;
    }
}

impl Listeners {
    /// Everything from now on; for the first listener behind the warnings so far.
    pub(crate) fn events(&self) -> Events {
        let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        let events = self.events.upgrade().map(|events| events.subscribe());
        Events::new(unheard.take().unwrap_or_default(), events)
    }

    /// The newest counters.
    pub(crate) fn metrics(&self) -> Metrics {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
