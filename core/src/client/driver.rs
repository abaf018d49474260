//! The driver: one task on one thread that owns session, store and link, and takes one turn after the other.

mod asking;
mod gathering;
mod sending;
#[cfg(test)]
pub(super) use sending::PANICS;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use asking::Asker;

use super::clock::Clock;
use super::command::{Answer, Command, Done};
use super::fanout::Fanout;
use super::glance::Writer as GlanceWriter;
use super::locked::{Wait, is_locked};
use super::mailbox::LOOK_EVERY_MS;
use super::panics::caught;
use super::reading::Slot as ReadingSlot;
use super::recover::leaves_doubt;
use super::traffic::Traffic;
use super::turn::{Engine, Outputs, TurnInput};
use super::wake::Wake;
use crate::link::Link;
use crate::link::tls::Connector;
use crate::model::credentials::Credentials;
use crate::model::error::OpenError;
use crate::model::event::Why;
use crate::model::life::{Network, Resumed};
use crate::model::options::Options;
use crate::session::effect::{Answer as Asked, Input};
use crate::wire::Decoder;

/// How many commands, and how many packets, one turn takes at the most: one commit for all of them. Each has its own bound,
/// or many publishers would keep the acknowledgements of what they publish from being read.
pub(super) const TURN_INPUTS: usize = 2048;
/// Unsent bytes above which no PUBLISH is given to the link.
const CREDIT: usize = 256 << 10;
/// Unsent bytes above which nothing is read any more: the broker must take our acknowledgements first.
const STOP_READING: usize = 1 << 20;
/// How long the provider of credentials and all layers of a link may take together.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The same when other addresses wait for their turn.
const CONNECT_LIMIT_EACH: Duration = Duration::from_secs(10);
/// How long the last bytes of a link may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// The longest wait between two looks at a clock that counts through sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Nothing to do for so long: what can wait is done.
const IDLE: Duration = Duration::from_millis(500);
/// The pause between two steps of it.
const CATCH_UP: Duration = Duration::from_millis(20);
/// The longest `close` may take, whatever the app says: no clock overflows.
pub(super) const LONGEST_GOODBYE: Duration = Duration::from_secs(3600);

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A link and the credentials for its CONNECT.
type Opened = Result<(Link, Option<Box<Credentials>>), Why>;

pub(super) enum Slot {
    None,
    Opening(Task<Opened>),
    Open(Box<Link>, Decoder),
    Closing(Task<()>),
}

/// Everything the thread owns.
pub(crate) struct Driver {
    /// Dropped before the engine and its lock: the next driver's socket has the same name.
    wake: Option<Wake>,
    pub(super) engine: Option<Engine>,
    options: Arc<Options>,
    /// One for all links: it remembers TLS sessions to resume.
    tls: Arc<Connector>,
    pub(super) clock: Clock,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) fanout: Fanout,
    pub(super) slot: Slot,
    asker: Asker,
    /// A question of the session that the provider has not answered yet.
    asking: Option<Task<Asked>>,
    pub(super) inputs: Vec<TurnInput>,
    pub(super) out: Outputs,
    /// The packet identifier of a PUBLISH that is being encoded.
    pub(super) sending: Option<u16>,
    busy: bool,
    /// It was idle and goes on with what can wait.
    behind: bool,
    more: bool,
    /// Bytes on links that are gone, and on the last of them.
    counted: Traffic,
    /// Until when the goodbye before the end may take, and everybody who waits for it.
    pub(super) closing: Option<(Instant, Vec<Done>)>,
    /// The same before a pause, and whether the client is to be connected after it.
    pub(super) pausing: Option<(Instant, Vec<Done>, bool)>,
    /// Who wants to go on while that goodbye is being said: the pause comes first.
    pub(super) resuming: Vec<Answer<Result<Resumed, OpenError>>>,
    pub(super) network: watch::Receiver<Option<Network>>,
    known_network: Option<Network>,
    pub(super) reading: Arc<Mutex<ReadingSlot>>,
    pub(super) glance: Option<GlanceWriter>,
}

impl Driver {
    pub(crate) fn new(
        engine: Engine,
        options: Arc<Options>,
        clock: Clock,
        commands: mpsc::Receiver<Command>,
        fanout: Fanout,
        network: watch::Receiver<Option<Network>>,
        reading: Arc<Mutex<ReadingSlot>>,
    ) -> Self {
        Self {
            engine: Some(engine),
            glance: GlanceWriter::new(&options),
            tls: Arc::new(Connector::new(&options.tls)),
            asker: Asker::new(options.credentials.clone()),
            asking: None,
            options,
            clock,
            commands,
            fanout,
            slot: Slot::None,
            inputs: vec![TurnInput::Session(Input::Tick)],
            out: Outputs::default(),
            sending: None,
            busy: false,
            behind: false,
            more: false,
            counted: Traffic::default(),
            closing: None,
            pausing: None,
            resuming: Vec::new(),
            network,
            known_network: None,
            reading,
            wake: None,
        }
    }

    /// Runs until the client is closed or every handle is dropped. A failed store is opened again, for ever, with pauses.
    pub(crate) async fn run(mut self) {
        self.listen();
        loop {
            let goes_on = match caught(self.step()).await {
                Some(goes_on) => goes_on,
                None => self.recover_from_panic().await,
            };
            if !goes_on {
                // As in `finish`, which not every end comes by.
                self.commands.close();
                self.end_reading().await;
                return;
            }
        }
    }

    async fn step(&mut self) -> bool {
        let goes_on = (self.inputs.is_empty() || self.turn().await) && self.wait().await;
        if goes_on {
            self.gather();
        }
        goes_on
    }

    /// Waits for a command, bytes, a finished attempt, or time. False: no handle is left.
    async fn wait(&mut self) -> bool {
        // Gives the runtime a look at the sockets: a loop that is always ready would never learn of acknowledgements.
        tokio::task::yield_now().await;
        let glance_due = self.glance_due();
        let Some(engine) = &mut self.engine else { return false };
        let now = self.clock.now();
        let due = [engine.timeout(now), glance_due].into_iter().flatten().min();
        let mut deadline = due.map(|at| Duration::from_millis(at.saturating_sub(now.mono_ms).max(0) as u64));
        // A broker that takes nothing more is told by time alone.
        if let Some(at) = stalled_until(&self.slot, engine) {
            let left = at.saturating_duration_since(Instant::now());
            deadline = Some(deadline.map_or(left, |deadline| deadline.min(left)));
        }
        let goodbyes = [self.closing.as_ref().map(|(at, _)| at), self.pausing.as_ref().map(|(at, ..)| at)];
        for at in goodbyes.into_iter().flatten() {
            let left = at.saturating_duration_since(Instant::now());
            deadline = Some(deadline.map_or(left, |deadline| deadline.min(left)));
        }
        // The timer wheel has a resolution of a millisecond: one more, or the turn comes just before its time.
        // Timers stand still while the machine sleeps: none may be so long that what is due is forgotten for long.
        let mut sleep = std::pin::pin!(tokio::time::sleep(
            deadline.map_or(Duration::from_secs(3600), |left| left.min(LONGEST_SLEEP) + Duration::from_millis(1))
        ));
        let mut network = self.network.clone();
        let mut hint = std::pin::pin!(async move {
            // Without a handle left there are no hints; the end comes by the commands.
            if network.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let (mut hinted, mut posted) = (false, false);
        let wake = &self.wake;
        let pause = if self.behind { CATCH_UP } else { IDLE };
        let idle_at = self.busy.then(|| tokio::time::sleep(pause));
        let mut idle = std::pin::pin!(async {
            match idle_at {
                Some(sleep) => sleep.await,
                None => std::future::pending().await,
            }
        });
        let (inputs, slot, commands, fanout) = (&mut self.inputs, &mut self.slot, &mut self.commands, &self.fanout);
        let asking = &mut self.asking;
        let mut buffer = Vec::new();
        let mut became_idle = false;
        let more = std::mem::take(&mut self.more);
        let alive = std::future::poll_fn(|cx| {
            let mut ready = more;
            let mut alive = true;
            if let Poll::Ready(count) = commands.poll_recv_many(cx, &mut buffer, TURN_INPUTS) {
                alive = count > 0;
                ready = true;
                inputs.extend(buffer.drain(..).map(TurnInput::Command));
            }
            if wake.as_ref().is_some_and(|wake| wake.poll(cx).is_ready()) {
                (posted, ready) = (true, true);
            }
            if !hinted && hint.as_mut().poll(cx).is_ready() {
                (hinted, ready) = (true, true);
            }
            match slot {
                Slot::None => {}
                Slot::Opening(attempt) => {
                    if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                        ready = true;
                        inputs.push(TurnInput::Session(match result {
                            Ok((link, credentials)) => {
                                let mut decoder = Decoder::new(engine.protocol(), fanout.max_packet);
                                if engine.session().skips_too_large() {
                                    decoder.skip_too_large();
                                }
                                *slot = Slot::Open(Box::new(link), decoder);
                                Input::LinkUp(credentials)
                            }
                            Err(why) => {
                                *slot = Slot::None;
                                Input::LinkDown(why)
                            }
                        }));
                    }
                }
                // A broker that is not proven yet is not read from.
                Slot::Open(..) if engine.session().holds_connack() => {}
                Slot::Open(link, _) => {
                    // What was read is decoded first: a broker faster than our turns is held back by TCP, not by memory.
                    let reading = link.unsent() < STOP_READING && !more;
                    // What was read before a failure counts: it is decoded in `gather`.
                    ready |= link.poll_io(cx, reading).is_ready();
                }
                Slot::Closing(farewell) => {
                    if farewell.as_mut().poll(cx).is_ready() {
                        *slot = Slot::None;
                        ready = true;
                        inputs.push(TurnInput::Session(Input::LinkDown(Why::Asked)));
                    }
                }
            }
            if let Some(task) = asking
                && let Poll::Ready(answer) = task.as_mut().poll(cx)
            {
                (*asking, ready) = (None, true);
                inputs.push(TurnInput::Session(Input::Answered(answer)));
            }
            if sleep.as_mut().poll(cx).is_ready() {
                ready = true;
                inputs.push(TurnInput::Session(Input::Tick));
            }
            if !ready && idle.as_mut().poll(cx).is_ready() {
                became_idle = true;
                ready = true;
            }
            if ready { Poll::Ready(alive) } else { Poll::Pending }
        })
        .await;
        if posted {
            engine.look_into_mailbox(self.clock.now().mono_ms);
            self.inputs.push(TurnInput::Session(Input::Tick));
        }
        if became_idle {
            let more = match engine.maintain(true) {
                Ok(more) => more,
                Err(error) if leaves_doubt(&error) => return self.recover(error).await,
                Err(_) => false,
            };
            (self.busy, self.behind) = (more, true);
        }
        if hinted {
            self.network_hint();
        }
        alive || !self.inputs.is_empty()
    }

    /// Decide, commit, send, answer. False: the client is closed.
    async fn turn(&mut self) -> bool {
        let counted = self.counters();
        self.refuse_while_pausing();
        if self.inputs.is_empty() {
            // All were refused: a turn has something to do, or it could not be told from one that was begun.
            self.inputs.push(TurnInput::Session(Input::Tick));
        }
        if self.clock.has_slept() {
            self.inputs.insert(0, TurnInput::Session(Input::Woke));
        }
        let credit = match &self.slot {
            Slot::Open(link, _) => CREDIT.saturating_sub(link.unsent()),
            _ => 0,
        };
        let mut locked = None;
        let start = loop {
            let Some(engine) = &mut self.engine else { return false };
            let (start, now) = (Instant::now(), self.clock.now());
            engine.set_traffic(counted);
            let span = tracing::trace_span!("turn", inputs = self.inputs.len(), credit);
            match span.in_scope(|| engine.turn(&mut self.inputs, now, credit as i64, &mut self.out)) {
                Err(error) if is_locked(&error) && !self.inputs.is_empty() => {
                    if let Some(goes_on) = self.wait_for_lock(locked.get_or_insert_with(Wait::new)).await {
                        return goes_on;
                    }
                }
                Err(error) => return self.recover(error).await,
                Ok(()) => break start,
            }
        };
        if self.wake.is_none()
            && let Some(engine) = &mut self.engine
        {
            // Nobody can wake us.
            engine.look_into_mailbox(self.clock.now().mono_ms + LOOK_EVERY_MS);
        }
        (self.busy, self.behind) = (true, false);
        self.send();
        let maintained = self.engine.as_mut().map_or(Ok(()), |engine| {
            let maintained = engine.maintain(false).map(drop);
            engine.took(start.elapsed());
            maintained
        });
        self.answer();
        self.glance(self.clock.now());
        if let Err(error) = maintained
            && leaves_doubt(&error)
        {
            return self.recover(error).await;
        }
        if let Some((at, _)) = &self.closing
            && (matches!(self.slot, Slot::None) || *at <= Instant::now())
        {
            self.finish().await;
            return false;
        }
        if let Some((at, ..)) = &self.pausing
            && (matches!(self.slot, Slot::None) || *at <= Instant::now())
        {
            return self.pause().await;
        }
        true
    }

    /// From now on whoever leaves something can wake us.
    pub(super) fn listen(&mut self) {
        self.wake = self.engine.as_ref().and_then(|engine| Wake::bind(engine.wake_path()));
    }

    /// No longer.
    pub(super) fn stop_listening(&mut self) {
        self.wake = None;
    }

    /// What the platform says of the network now, against what it said before.
    fn network_hint(&mut self) {
        let Some(network) = self.network.borrow_and_update().clone() else { return };
        let changed = self.known_network.as_ref().is_some_and(|known| known.id != network.id && network.online);
        self.inputs.push(TurnInput::Session(Input::Network { online: network.online, changed }));
        self.known_network = Some(network);
    }
}

/// When the link counts as dead because the broker takes no byte; None: it takes them.
fn stalled_until(slot: &Slot, engine: &Engine) -> Option<Instant> {
    let Slot::Open(link, _) = slot else { return None };
    if engine.session().holds_connack() {
        // It is not written to or read from meanwhile; that has a limit of its own.
        return None;
    }
    let limit = Duration::from_millis(engine.session().write_limit_ms().unsigned_abs());
    link.stalled_since().map(|since| since + limit)
}
