//! One turn: decide, commit, and only then hand out what to send and to answer. A plain function of rows and inputs;
//! no threads, sockets or clocks, so that a simulation can run it and crash it anywhere.

use std::sync::Arc;
use std::time::Duration;

use super::aging::Aging;
use super::command::{Answer, Command, Done, Reply};
use super::failed::store_options;
use super::locked::{PATIENCE, is_locked};
use super::panics::Panics;
use super::recover::store_damaged;
use super::room::Intake;
use super::syncing::Sync;
use super::traffic::Traffic;
use super::upkeep::InboxWatch;
use super::waiters::Waiters;
use crate::model::addresses::read;
use crate::model::broker_url::BrokerUrl;
use crate::model::error::OpenError;
use crate::model::event::{Event, Fate, State};
use crate::model::life::Resumed;
use crate::model::options::Options;
use crate::model::writes::Write;
use crate::session::effect::{Effects, Input, Load, Loaded, Now, Question};
use crate::session::{Restored, Session};
use crate::store::{Removed, Store, StoreError, settle_damage};
use crate::wire::packet::{Packet, Protocol};

/// How often messages that retention no longer keeps are looked for.
const RETENTION_EVERY_MS: i64 = 60_000;
/// How many rows retention removes in one turn.
pub(super) const RETENTION_ROWS: usize = 1000;
/// How old the counters in the store may get while turns commit anyway.
const REPORT_EVERY_MS: i64 = 10_000;

/// What a turn is given.
#[derive(Debug)]
pub(crate) enum TurnInput {
    /// From the app.
    Command(Command),
    /// From the link, the clock or the network.
    Session(Input),
}

/// What a turn leaves to be done once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) sends: Vec<Packet>,
    pub(crate) events: Vec<Event>,
    pub(crate) settled: Vec<(u64, Fate)>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) open: bool,
    pub(crate) ask: Option<Question>,
    pub(crate) close: bool,
    pub(crate) abort: bool,
    /// Who wants the client closed, and how long the goodbye may take at most.
    pub(crate) ending: Vec<(Duration, Done)>,
    /// The same for a pause, and whether it was to be connected.
    pub(crate) pausing: Vec<(Duration, Done, bool)>,
    pub(crate) resuming: Vec<Answer<Result<Resumed, OpenError>>>,
}

impl Outputs {
    /// The turn did not happen: nothing of it is sent or told but answers.
    pub(super) fn forget(&mut self) {
        (self.open, self.close, self.abort, self.ask) = (false, false, false, None);
        self.sends.clear();
        self.events.clear();
        self.settled.clear();
    }
}

/// Session and store, taken through turns.
pub(crate) struct Engine {
    pub(super) session: Session,
    pub(super) store: Store,
    pub(super) options: Arc<Options>,
    pub(super) fx: Effects,
    pub(super) waiters: Waiters,
    pub(super) syncs: Vec<Sync>,
    /// When to look into the mailbox; at first at once.
    pub(super) mailbox_at: Option<i64>,
    pub(super) mailbox_waits: bool,
    /// What is watched of the inbox.
    pub(super) inbox: InboxWatch,
    pub(super) intake: Intake,
    pub(super) connection: &'static str,
    pub(super) aging: Aging,
    retention_at: i64,
    report_at: i64,
    pub(super) commits: u64,
    pub(super) failures: u64,
    pub(super) turns: u64,
    pub(super) largest: u64,
    pub(super) slowest_us: u64,
    pub(super) traffic: Traffic,
    /// How often the file was found corrupt.
    pub(super) damage: u32,
    pub(super) panics: Panics,
}

impl Engine {
    /// Opens the store and rebuilds the session from its rows.
    pub(crate) fn open(options: Arc<Options>, wall_ms: i64, seed: u64) -> Result<Self, OpenError> {
        let set_aside = match Self::open_once(Arc::clone(&options), wall_ms, seed) {
            Err(OpenError::StoreCorrupt { .. } | OpenError::NotAStore { .. }) => {
                settle_damage(&store_options(&options, wall_ms), false)?
            }
            opened => return opened,
        };
        let mut engine = Self::open_once(options, wall_ms, seed)?;
        engine.fx.events.extend(set_aside.as_ref().map(store_damaged));
        Ok(engine)
    }

    fn open_once(options: Arc<Options>, wall_ms: i64, seed: u64) -> Result<Self, OpenError> {
        let store = Store::open(&store_options(&options, wall_ms))?;
        super::check::limits(&options, &store.hot())?;
        if options.broker.is_none() {
            let kept = store.session().broker.unwrap_or_default();
            let listed = read(&kept).filter(|kept| kept.listed);
            let stored: Vec<_> = listed.filter_map(|kept| BrokerUrl::parse(kept.address).ok()).collect();
            let stored: Vec<_> = stored.iter().collect();
            super::check::tls(&options, &stored)?;
            super::check::way(&options, &stored)?;
        }
        let warning = super::check::warnings(&options, wall_ms);
        let mut engine = Self::with_store(options, store, seed)?;
        engine.fx.events.extend(warning);
        Ok(engine)
    }

    pub(super) fn with_store(options: Arc<Options>, mut store: Store, seed: u64) -> Result<Self, OpenError> {
        let restored = Self::restore(&options, &mut store, seed);
        let (session, inbox) = restored.map_err(|error| error.at_open(&options.store))?;
        store.set_patience(PATIENCE).map_err(|error| error.at_open(&options.store))?;
        let aging = Aging::new(&store.hot());
        let mut fx = Effects::default();
        if let Some(why) = store.restored() {
            let text = format!("the store was taken for a copy put back ({why}); it is another store from now on");
            fx.events.push(Event::Warning { code: "restored", text });
        }
        Ok(Self {
            session,
            store,
            options,
            fx,
            waiters: Waiters::default(),
            syncs: Vec::new(),
            mailbox_at: Some(0),
            mailbox_waits: false,
            inbox,
            intake: Intake::default(),
            connection: "",
            aging,
            retention_at: 0,
            report_at: 0,
            commits: 0,
            failures: 0,
            turns: 0,
            largest: 0,
            slowest_us: 0,
            traffic: Traffic::default(),
            damage: 0,
            panics: Panics::default(),
        })
    }

    fn restore(options: &Arc<Options>, store: &mut Store, seed: u64) -> Result<(Session, InboxWatch), StoreError> {
        let hot = store.hot();
        let restored = Restored {
            row: store.session(),
            hot,
            subscriptions: store.subscriptions()?,
            received_qos2: store.received_qos2()?,
            in_flight: store.in_flight(hot.sent_through())?,
            skipped_pids: store.skipped_pids()?,
            open_gaps: store.open_gaps()?,
        };
        let inbox = InboxWatch::new(&restored.open_gaps);
        Ok((Session::new(Arc::clone(options), restored, seed), inbox))
    }

    /// The session, for its timers and counters.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The socket on which others say that they have left something.
    pub(crate) fn wake_path(&self) -> std::path::PathBuf {
        self.store.wake_path()
    }

    /// When the next turn is due at the latest, on `Now::mono_ms`.
    pub(crate) fn timeout(&self, now: Now) -> Option<i64> {
        let timeouts = [
            self.session.timeout(now),
            self.waiters.deadline(),
            self.inbox.timeout(),
            self.intake.timeout(),
            self.sync_timeout(),
            self.mailbox_at,
        ];
        timeouts.into_iter().flatten().min()
    }

    /// See [`Session::heard`].
    pub(crate) fn heard(&mut self, now: Now) {
        self.session.heard(now);
    }

    /// How long the last turn took, checkpoint included.
    pub(crate) fn took(&mut self, time: Duration) {
        self.slowest_us = self.slowest_us.max(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Bytes on links so far.
    pub(crate) fn set_traffic(&mut self, traffic: Traffic) {
        self.traffic = traffic;
    }

    /// The link's version.
    pub(crate) fn protocol(&self) -> Protocol {
        self.session.protocol()
    }

    /// Takes one turn. `Busy` while the inputs are still there: another program holds the store's write lock and nothing has
    /// happened, take the turn again. After any other error nothing may be sent and the engine must be recovered; `out` then
    /// holds the answers that were to be given.
    pub(crate) fn turn(
        &mut self,
        inputs: &mut Vec<TurnInput>,
        now: Now,
        credit: i64,
        out: &mut Outputs,
    ) -> Result<(), StoreError> {
        let begun = self.measure_room(inputs, now).and_then(|()| self.store.lock_writing());
        if begun.as_ref().is_err_and(is_locked) && !inputs.is_empty() {
            return begun;
        }
        let mut failed = begun.err();
        self.turns += 1;
        self.largest = self.largest.max(inputs.len() as u64);
        self.session.begin_turn(credit);
        for input in inputs.drain(..) {
            let result = match (&failed, input) {
                (None, TurnInput::Command(command)) => self.command(command, now, out),
                (None, TurnInput::Session(input)) => self.step(input, now),
                // The transaction is lost: whoever asked in this turn is told so, like all others.
                (Some(_), TurnInput::Command(command)) => {
                    Self::promise(command, out);
                    Ok(())
                }
                (Some(_), TurnInput::Session(_)) => Ok(()),
            };
            failed = failed.or(result.err());
        }
        if let Some(error) = failed {
            self.abandon(out);
            return Err(error);
        }
        let done = self.take_mailbox(now).and_then(|()| self.end_syncs(now)).and_then(|()| self.upkeep(now));
        if let Err(error) = done.and_then(|()| self.settle_room(now)).and_then(|()| self.commit(now)) {
            self.abandon(out);
            return Err(error);
        }
        self.waiters.settled(&self.fx.settled, now.mono_ms, &mut out.replies);
        self.count_syncs(now, &mut out.replies);
        // Whoever waited for one of these had its answer when it was set aside.
        self.fx.settled.append(&mut self.fx.unparked);
        out.sends.append(&mut self.fx.sends);
        out.events.append(&mut self.fx.events);
        out.settled.append(&mut self.fx.settled);
        out.open |= std::mem::take(&mut self.fx.open);
        out.ask = self.fx.ask.take().or(out.ask.take());
        out.close |= std::mem::take(&mut self.fx.close);
        out.abort |= std::mem::take(&mut self.fx.abort);
        Ok(())
    }

    fn abandon(&mut self, out: &mut Outputs) {
        let Effects { mut settled, mut unparked, .. } = std::mem::take(&mut self.fx);
        out.forget();
        // Told if the commit turns out to have happened.
        settled.append(&mut unparked);
        out.settled = settled;
    }

    /// The last turn of all: counters and the word for readers.
    pub(crate) fn farewell(mut self, now: Now) -> Result<(), StoreError> {
        self.connection = "disconnected";
        self.report(now)?;
        self.store.commit(self.session.hot())?;
        self.store.close()
    }

    fn commit(&mut self, now: Now) -> Result<(), StoreError> {
        let word = self.fx.events.iter().rev().find_map(|event| match event {
            Event::State(State::Online { .. }) => Some("connected"),
            Event::State(State::Waiting { .. }) => Some("waiting"),
            Event::State(State::Offline(_) | State::TakenOver) => Some("disconnected"),
            // Between two attempts the word would be written twice an attempt: readers can do without.
            Event::State(State::Connecting { attempt: 1 }) => Some("connecting"),
            _ => None,
        });
        if let Some(word) = word
            && word != self.connection
        {
            self.connection = word;
            self.report(now)?;
        }
        if self.report_at <= now.mono_ms && self.store.has_writes() {
            self.report(now)?;
        }
        self.stamp(now);
        if self.store.commit(self.session.hot())? {
            self.commits += 1;
            let stored = self.store.hot();
            let hot = self.session.hot_mut();
            hot.turn = stored.turn;
            // Less what was not stored after all.
            (hot.inbox_messages, hot.inbox_bytes) = (stored.inbox_messages, stored.inbox_bytes);
            for (ours, theirs) in hot.lanes.iter_mut().zip(stored.lanes) {
                ours.verdict_floor = theirs.verdict_floor;
            }
        }
        Ok(())
    }

    pub(super) fn report(&mut self, now: Now) -> Result<(), StoreError> {
        self.report_at = now.mono_ms + REPORT_EVERY_MS;
        let metrics = serde_json::to_string(&self.metrics()).unwrap_or_default();
        let connection = self.connection;
        self.store.write(Write::Driver { connection, metrics, at_ms: now.wall_ms })
    }

    /// Retention, and room for messages that wait for it.
    fn upkeep(&mut self, now: Now) -> Result<(), StoreError> {
        if self.session.wants_room() {
            // Room may have come by itself: after a restart, or with other options.
            self.step(Input::Room, now)?;
        }
        if !self.intake.is_short() {
            self.index()?;
        }
        let ages = self.ages(now);
        self.watch_inbox(now, ages)?;
        // What a reader keeps in the log, no deletion makes room for.
        let wanted = (self.session.wants_room() || self.intake.is_refusing()) && !self.intake.is_held_by_reader();
        if !wanted && now.mono_ms < self.retention_at {
            return Ok(());
        }
        let longest_ms = i64::try_from(self.options.retention.as_millis()).ok().filter(|_| ages).unwrap_or(i64::MAX);
        let over = wanted.then_some(Removed { messages: RETENTION_ROWS as u64, bytes: 0 });
        let rows = self.intake.retention_rows(RETENTION_ROWS);
        let removed = self.store.retain(now.wall_ms, longest_ms, over, rows)?;
        let more = removed.messages as usize >= rows;
        self.retention_at = if more { now.mono_ms } else { now.mono_ms + RETENTION_EVERY_MS };
        let hot = self.session.hot_mut();
        hot.inbox_messages = hot.inbox_messages.saturating_sub(removed.messages);
        hot.inbox_bytes = hot.inbox_bytes.saturating_sub(removed.bytes);
        if removed.messages > 0 {
            self.step(Input::Room, now)?;
        }
        let more = self.overflow(now)? || more;
        self.intake.go_on(more, self.session.wants_room(), now);
        Ok(())
    }

    pub(super) fn step(&mut self, input: Input, now: Now) -> Result<(), StoreError> {
        self.session.handle(input, now, &mut self.fx);
        loop {
            self.write_all(now)?;
            if self.fx.loads.is_empty() {
                return Ok(());
            }
            let loaded = match self.fx.loads.remove(0) {
                Load::Outbox { lane, after, through, max_rows, max_bytes } => {
                    let (rows, complete) = self.store.load_outbox(after, through, max_rows, max_bytes)?;
                    Loaded::Outbox { lane, rows, complete }
                }
                Load::Parked { after, max_rows, max_bytes } => {
                    let (rows, complete) = self.store.load_parked(after, max_rows, max_bytes)?;
                    Loaded::Parked { rows, complete }
                }
                Load::Copied { through, max_rows } => {
                    let (rows, parked, complete) = self.store.copied(through, max_rows)?;
                    Loaded::Copied { rows, parked, complete }
                }
                Load::Released => Loaded::Released(self.store.released()?),
                Load::Expired { sent_through, now_ms, max_rows } => {
                    let (rows, next_ms) = self.store.expired(sent_through, now_ms, max_rows)?;
                    Loaded::Expired { rows, next_ms }
                }
            };
            self.session.handle(Input::Rows(loaded), now, &mut self.fx);
        }
    }
}
