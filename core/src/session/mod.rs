//! The MQTT session, sans-IO: inputs and `now` in, effects out. No sockets, no clock, no SQLite.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "pub for tests and benches, see the feature"))]

pub mod addresses;
mod authenticating;
pub mod backoff;
mod catching_up;
mod completions;
pub mod connection;
mod copied;
mod drain;
pub mod effect;
mod ending;
mod handshake;
pub mod inbound;
mod links;
pub mod outbound;
mod outlive;
pub mod packet_ids;
mod packets;
mod poison;
mod redirect;
pub mod subscriptions;
#[cfg(test)]
mod tests;
mod waking;

use std::collections::BTreeMap;
use std::sync::Arc;

use addresses::Addresses;
use authenticating::Authentication;
use connection::{Beat, Connection, Phase, Purpose};
use effect::{Effects, Input, Loaded, Now};
use inbound::Inbound;
use outbound::{Context, Outbound};
pub use outlive::Outlived;
use subscriptions::Subscriptions;

use crate::model::broker_url::BrokerUrl;
use crate::model::event::{Event, Gap, GapCause, Metrics, State, Why};
use crate::model::message::StoreId;
use crate::model::options::Options;
use crate::model::rows::{Hot, InFlightRow, OpenGap, ReceivedQos2, SessionRow, SubscriptionRow};
use crate::model::topic::{TopicFilter, TopicName};
use crate::model::writes::Write;
use crate::wire::packet::{Packet, Protocol};

/// So many topics get a gap of their own when QoS 0 messages find no room.
const DROPPED_TOPICS: usize = 64;
/// So many links end for the same too large message before it is read through.
const TOO_LARGE_LINKS: u32 = 3;

/// What the store remembers of a session.
#[derive(Debug)]
pub struct Restored {
    /// Identity and protocol state.
    pub row: SessionRow,
    /// Counters.
    pub hot: Hot,
    /// Wishes and grants.
    pub subscriptions: Vec<SubscriptionRow>,
    /// QoS 2 identifiers stored and not yet released.
    pub received_qos2: Vec<ReceivedQos2>,
    /// Sent and unfinished messages, in order.
    pub in_flight: Vec<InFlightRow>,
    /// Packet identifiers that the broker may hold for a message that is not sent again.
    pub skipped_pids: Vec<u16>,
    /// Gaps that are not closed yet.
    pub open_gaps: Vec<OpenGap>,
}

/// One session. It decides; whoever drives it reads, writes and sends.
pub struct Session {
    options: Arc<Options>,
    row: SessionRow,
    hot: Hot,
    conn: Connection,
    auth: Authentication,
    out: Outbound,
    inb: Inbound,
    subs: Subscriptions,
    metrics: Metrics,
    rng: fastrand::Rng,
    started: bool,
    /// The inbox was full: the next CONNECT asks for little.
    was_full: bool,
    /// Topics of which QoS 0 messages were dropped for want of room: since when, after which message.
    dropped: BTreeMap<TopicFilter, (i64, u64)>,
    /// Links in a row that were closed for a message over our maximum.
    too_large: u32,
    /// What the broker kept for us is being counted.
    catching_up: Option<catching_up::CatchingUp>,
    /// The CONNECT before this link's got no answer.
    doubt: bool,
    /// Somebody wants to know when everything is sent and received.
    drain: Option<drain::Drain>,
    /// What may be sent once the link is known to live.
    held: Vec<Packet>,
    /// The turn's.
    credit: i64,
}

impl Session {
    /// Rebuilds a session from its rows. `seed` makes its randomness repeatable.
    pub fn new(options: Arc<Options>, restored: Restored, seed: u64) -> Self {
        let service = options.profile.limits();
        let pace = options.connect_pace.max(service.connect_distance());
        let backoff = backoff::Backoff::new(options.retry.0, options.retry.1);
        let full = restored.open_gaps.iter().filter(|gap| gap.cause == GapCause::Qos0Dropped);
        let dropped = full.map(|gap| (gap.filter.clone(), (gap.from_ms, gap.after_seq))).collect();
        Self {
            conn: Connection::new(
                options.connect,
                backoff,
                Addresses::new(&options, restored.row.broker.as_deref()),
                i64::try_from(pace.as_millis()).unwrap_or(i64::MAX),
            ),
            auth: Authentication::default(),
            inb: Inbound::new(&restored.received_qos2, options.inbox_limit, options.inbox_full),
            out: Outbound::new(&restored.hot, &restored.in_flight, restored.skipped_pids)
                .with_copy(&restored.row)
                .with_rate(&service),
            subs: Subscriptions::new(restored.subscriptions, restored.open_gaps).at(service),
            row: restored.row,
            hot: restored.hot,
            options,
            metrics: Metrics::default(),
            rng: fastrand::Rng::with_seed(seed),
            started: false,
            was_full: false,
            dropped,
            too_large: 0,
            catching_up: None,
            doubt: false,
            drain: None,
            held: Vec::new(),
            credit: 0,
        }
    }

    /// Counters as they are to be committed at the end of the turn.
    pub fn hot(&self) -> &Hot {
        &self.hot
    }

    /// The driver changed counters beside the session (retention, pruning).
    pub fn hot_mut(&mut self) -> &mut Hot {
        &mut self.hot
    }

    /// Counters for people.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the app wants to be connected.
    pub fn is_wanted(&self) -> bool {
        self.conn.wanted
    }

    /// Identity and protocol state.
    pub fn row(&self) -> &SessionRow {
        &self.row
    }

    /// The broker's address that a link is to be made to.
    pub fn address(&self) -> Option<&BrokerUrl> {
        self.conn.addresses.current()
    }

    /// Whether the broker has others, which wait for their turn.
    pub fn has_other_addresses(&self) -> bool {
        self.conn.addresses.are_several()
    }

    /// How long the broker may take no byte of what is to be sent before the link counts as dead, in milliseconds.
    pub fn write_limit_ms(&self) -> i64 {
        self.conn.write_limit_ms()
    }

    /// Whether the session is up on a link.
    pub fn is_up(&self) -> bool {
        self.conn.up().is_some()
    }

    /// The link's version, or the one that the next link will speak.
    pub fn protocol(&self) -> Protocol {
        self.conn.up().map_or_else(|| self.wanted_protocol(), |up| up.protocol)
    }

    /// Whether something waits for room in the inbox: then `Input::Room` is welcome, and done messages should go.
    pub fn wants_room(&self) -> bool {
        self.inb.is_holding() || self.conn.blocked || !self.dropped.is_empty()
    }

    /// What has to leave the inbox before all that waits for room fits: messages and bytes.
    pub fn over_limit(&self) -> (u64, u64) {
        self.inb.over_limit(&self.hot)
    }

    /// Which wishes a topic matches.
    pub fn filters_of(&self, topic: &TopicName) -> Vec<TopicFilter> {
        self.subs.matching(topic).map(|wish| wish.filter.clone()).collect()
    }

    /// A turn begins. `credit`: how many bytes of PUBLISHes the link takes.
    pub fn begin_turn(&mut self, credit: i64) {
        self.credit = credit;
        self.out.begin_turn(if self.conn.is_checking() { 0 } else { credit });
    }

    /// Whether messages over our maximum are to be read through on the next link: a 3.1.1 broker cannot know the maximum
    /// and would send the same message for ever.
    pub fn skips_too_large(&self) -> bool {
        self.too_large >= TOO_LARGE_LINKS
    }

    /// Whether messages wait for the link to take more bytes.
    pub fn wants_credit(&self) -> bool {
        self.conn.up().is_some() && self.out.credit() <= 0
    }

    /// Bytes came from the broker.
    pub fn heard(&mut self, now: Now) {
        self.conn.heard(now.mono_ms);
    }

    /// When `Input::Tick` should be handed in, on `Now::mono_ms`. The value changes with every input.
    pub fn timeout(&self, now: Now) -> Option<i64> {
        let expiry = self.out.next_expiry().map(|at| now.mono_ms.saturating_add(at.saturating_sub(now.store_ms)));
        let conn = self.conn.timeout().filter(|_| !self.conn.addresses.is_empty());
        let at_once = self.out.is_exhausted().then_some(now.mono_ms);
        [conn, expiry, at_once, self.drain_timeout(), self.credentials_at(), self.out.rate_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Handles one input.
    pub fn handle(&mut self, input: Input, now: Now, fx: &mut Effects) {
        if !self.started {
            self.started = true;
            self.start(now, fx);
        }
        let sent = fx.sends.len();
        self.count_in(&input);
        let epoch = self.row.session_epoch;
        match input {
            Input::Publish(row) => {
                let (out, mut cx) = self.outbound(now, fx);
                out.publish(row, &mut cx);
                out.pump(&mut cx);
            }
            Input::PublishDropped { lane } => {
                let (out, mut cx) = self.outbound(now, fx);
                out.publish_dropped(lane, &mut cx);
            }
            Input::Withdraw { rows, fate } => {
                let (out, mut cx) = self.outbound(now, fx);
                out.withdraw(&rows, &fate, &mut cx);
            }
            Input::EndParked { id, size, fate } => {
                let (out, mut cx) = self.outbound(now, fx);
                out.end_parked(id, size, fate, &mut cx);
            }
            Input::Unpark(row) => {
                let (out, mut cx) = self.outbound(now, fx);
                out.unpark(row, &mut cx);
                out.pump(&mut cx);
            }
            Input::Subscribe(wish) => self.subs.subscribe(wish, epoch, fx),
            Input::Unsubscribe(filter) => self.subs.unsubscribe(filter, epoch, fx),
            Input::ReleaseOutbox => self.release_outbox(now, fx),
            Input::DiscardOutbox => self.discard_outbox(now, fx),
            Input::Connect => self.conn.now_please(),
            Input::Network { online, changed } => self.network(online, changed, now, fx),
            Input::Woke => self.woke(now, fx),
            Input::Disconnect { with_will } => self.disconnect(with_will, fx),
            Input::LinkUp(credentials) => self.link_up(credentials, now, fx),
            Input::Answered(answer) => self.answered(answer, now, fx),
            Input::CredentialsChanged => self.credentials_changed(now, fx),
            Input::LinkDown(why) => self.link_down(why, now, fx),
            Input::Packet(packet) => self.packet(packet, now, fx),
            Input::Broken(error) => self.broken(error, fx),
            Input::Skipped(skipped) => self.skipped(skipped, now, fx),
            Input::Room => self.room(now, fx),
            Input::Rows(loaded) => self.rows(loaded, now, fx),
            Input::Tick => self.tick(now, fx),
        }
        if self.out.wants_ping() && self.conn.ping_now(now.mono_ms) {
            self.ping(fx);
        }
        self.look_for_the_end(now, fx);
        self.change_links(now, fx);
        if self.conn.is_checking() {
            self.hold(sent, now, fx);
        }
        if fx.sends.len() > sent {
            self.conn.said(now.mono_ms);
            self.count_out(fx.sends.len() - sent);
        }
        self.open(now, fx);
    }

    fn outbound<'a>(&'a mut self, now: Now, fx: &'a mut Effects) -> (&'a mut Outbound, Context<'a>) {
        let (store, salt) = (StoreId(self.row.store_id), self.row.pid_salt);
        let cx = Context { now, hot: &mut self.hot, store, salt, metrics: &mut self.metrics, fx };
        (&mut self.out, cx)
    }

    fn inbound<'a>(&'a mut self, now: Now, fx: &'a mut Effects) -> (&'a mut Inbound, Context<'a>) {
        let (store, salt) = (StoreId(self.row.store_id), self.row.pid_salt);
        let cx = Context { now, hot: &mut self.hot, store, salt, metrics: &mut self.metrics, fx };
        (&mut self.inb, cx)
    }

    fn open(&mut self, now: Now, fx: &mut Effects) {
        if self.conn.addresses.is_empty() {
            return;
        }
        if let Some((attempt, moved)) = self.conn.begin(now.mono_ms) {
            self.metrics.link_attempts += 1;
            self.ask_for_link(moved, now);
            fx.open = true;
            if self.conn.purpose() == Purpose::Session {
                fx.events.push(Event::State(State::Connecting { attempt }));
            }
        }
    }

    fn tick(&mut self, now: Now, fx: &mut Effects) {
        if let Phase::Handshake { deadline } = self.conn.phase
            && deadline <= now.mono_ms
        {
            self.timed_out(&Why::ConnackTimeout, now);
            self.close(Why::ConnackTimeout, fx);
        }
        self.check_link(now, fx);
        self.look_at_credentials(now, fx);
        match self.conn.beat(now.mono_ms) {
            Beat::Quiet => {}
            Beat::Ping => self.ping(fx),
            Beat::Dead => {
                fx.abort = true;
                self.timed_out(&Why::KeepAlive, now);
                self.close(Why::KeepAlive, fx);
            }
        }
        let (out, mut cx) = self.outbound(now, fx);
        out.sweep(&mut cx);
        out.look_at_parked(&mut cx);
        out.pump(&mut cx);
    }

    /// PINGREQ; its answer proves that the broker has everything sent before it.
    fn ping(&mut self, fx: &mut Effects) {
        fx.sends.push(Packet::PingReq);
        self.inb.fence();
    }

    fn rows(&mut self, loaded: Loaded, now: Now, fx: &mut Effects) {
        if let Loaded::Copied { rows, parked, complete } = &loaded {
            return self.copied_loaded(rows, parked, *complete, now, fx);
        }
        let (out, mut cx) = self.outbound(now, fx);
        match loaded {
            Loaded::Copied { .. } => {}
            Loaded::Outbox { lane, rows, complete } => out.rows_loaded(lane, rows, complete, &mut cx),
            Loaded::Parked { rows, complete } => out.parked_loaded(rows, complete, &mut cx),
            Loaded::Released(ids) => out.released_loaded(&ids, &mut cx),
            // Those that are left over bring a tick at once.
            Loaded::Expired { rows, next_ms } => out.expired(&rows, next_ms, &mut cx),
        }
    }

    fn room(&mut self, now: Now, fx: &mut Effects) {
        let (inb, mut cx) = self.inbound(now, fx);
        inb.room(&mut cx);
        if !inb.has_room(&cx) {
            return;
        }
        self.conn.blocked = false;
        for (filter, (from_ms, after_seq)) in std::mem::take(&mut self.dropped) {
            let (filters, cause, to_ms) = (vec![filter.clone()], GapCause::Qos0Dropped, now.wall_ms);
            fx.writes.push(Write::GapClose { filter, cause, to_ms });
            fx.events.push(Event::Gap(Gap { filters, cause, from_ms, to_ms: Some(to_ms), after_seq, bytes: None }));
        }
    }
}
