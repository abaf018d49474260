//! What is left of a client whose store has failed or was let go, and the way back.

use std::sync::Arc;
use std::time::Duration;

use super::panics::Panics;
use super::room::Intake;
use super::syncing::{self, Sync};
use super::turn::Engine;
use super::waiters::Waiters;
use crate::model::error::{Error, OpenError};
use crate::model::event::Metrics;
use crate::model::options::Options;
use crate::session::Outlived;
use crate::session::effect::Now;
use crate::store::{SetAside, Store, StoreError, StoreOptions, settle_damage};

impl Engine {
    /// After a failed commit: what is left can open the file anew.
    pub(crate) fn fail(self) -> Failed {
        Failed {
            turn: self.store.hot().turn,
            metrics: self.metrics(),
            outlived: self.session.outlived(),
            damage: self.damage,
            panics: self.panics,
            store: Some(self.store),
            waiters: self.waiters,
            syncs: self.syncs,
            failures: 1,
            intake: self.intake,
            options: self.options,
        }
    }

    /// For a pause: the last commit, and every file is closed. What is left can open the store anew. Waits end.
    pub(crate) fn rest(mut self, now: Now, wanted: bool) -> (Failed, Result<(), StoreError>) {
        self.waiters.end(&Error::Paused);
        syncing::end_all(&mut self.syncs, &Error::Paused);
        self.connection = "disconnected";
        let committed = self.report(now).and_then(|()| self.store.commit(self.session.hot()));
        let outlived = self.session.outlived().after_pause(wanted);
        let (turn, metrics, options) = (self.store.hot().turn, self.metrics(), self.options);
        let done = committed.and_then(|_| self.store.close());
        let (waiters, syncs, intake) = (Waiters::default(), Vec::new(), self.intake);
        let failures = u64::from(done.is_err());
        let (damage, panics) = (self.damage, self.panics);
        (
            Failed { turn, metrics, outlived, store: None, waiters, syncs, failures, intake, damage, panics, options },
            done,
        )
    }
}

/// A client whose store has failed.
pub(crate) struct Failed {
    turn: u64,
    metrics: Metrics,
    /// What outlives the trouble, the app's wish to be connected among it.
    outlived: Outlived,
    /// How often the file was found corrupt.
    damage: u32,
    panics: Panics,
    /// Taken by the first attempt, which keeps the lock; later ones take the lock again.
    store: Option<Store>,
    waiters: Waiters,
    syncs: Vec<Sync>,
    /// Commits that failed: one, or none if the store was only let go.
    failures: u64,
    intake: Intake,
    options: Arc<Options>,
}

impl Failed {
    /// Those who catch up and whose time is over are told so.
    pub(crate) fn give_up(&mut self, now_ms: i64, error: &Error) {
        syncing::give_up(&mut self.syncs, now_ms, error);
    }

    /// The client ends: whoever waits is told why, before what would tell it otherwise is gone.
    pub(crate) fn end_all(&mut self, error: &Error) {
        self.waiters.end(error);
        syncing::end_all(&mut self.syncs, error);
    }

    /// The store's file, for words about it.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.options.store
    }

    /// The file was found corrupt once more: how often by now.
    pub(super) fn count_damage(&mut self) -> u32 {
        self.damage += 1;
        self.damage
    }

    /// Before the first attempt to open the store again.
    pub(super) fn pause(&self) -> Duration {
        self.panics.pause()
    }

    /// See [`settle_damage`]; every handle is closed first.
    pub(super) fn set_aside(self, wall_ms: i64) -> Result<Option<SetAside>, OpenError> {
        drop(self.store);
        settle_damage(&store_options(&self.options, wall_ms), true)
    }

    /// Opens the file again and rebuilds the session from its rows. Says whether the failed commit has happened after
    /// all (a sync may fail behind a write that arrived: measured).
    pub(crate) fn reopen(&mut self, wall_ms: i64, seed: u64) -> Result<(Engine, bool), OpenError> {
        let options = Arc::clone(&self.options);
        let store = match self.store.take() {
            Some(store) => store.reopen()?,
            None if self.failures > 0 => Store::open_again(&store_options(&options, wall_ms))?,
            None => Store::open_existing(&store_options(&options, wall_ms))?,
        };
        let happened = store.hot().turn > self.turn;
        let mut engine = Engine::with_store(options, store, seed)?;
        engine.waiters = std::mem::take(&mut self.waiters);
        engine.intake = self.intake.reopened(engine.store.is_short());
        // What ended in the failed turn is told by the rows alone.
        let (store, hot) = (&mut engine.store, engine.session.hot());
        engine.waiters.ask_again(|n| store.fate(n).ok().flatten(), hot.last_ids(), hot.outbox_messages());
        engine.syncs = std::mem::take(&mut self.syncs);
        engine.session.watch_drain(!engine.syncs.is_empty());
        engine.session.go_on(self.metrics, self.outlived.clone());
        let Metrics { turns, commits, commit_failures, largest_turn, slowest_turn_us, .. } = self.metrics;
        (engine.turns, engine.commits, engine.largest, engine.slowest_us) =
            (turns, commits, largest_turn, slowest_turn_us);
        engine.failures = commit_failures + self.failures;
        engine.damage = self.damage;
        engine.panics = std::mem::take(&mut self.panics);
        engine.session.shun(engine.panics.twice());
        Ok((engine, happened))
    }
}

pub(super) fn store_options(options: &Options, wall_ms: i64) -> StoreOptions<'_> {
    StoreOptions {
        path: &options.store,
        durability: options.durability,
        client_id: options.client_id.as_ref(),
        first_consumer: &options.first_consumer,
        first_consumer_filters: &options.first_consumer_filters,
        #[cfg(feature = "encryption")]
        key: options.key.as_ref(),
        device_token: options.device_token.as_ref(),
        wall_ms,
    }
}
