//! Subscriptions: durable wishes, and what the broker has granted in this session (P8).

use std::collections::{BTreeMap, HashMap};

use super::effect::{Effects, Now};
use super::inbound::Retained;
use super::outbound::Violation;
use super::packet_ids::REQUESTS;
use crate::model::event::{Event, Gap, GapCause};
use crate::model::message::{QoS, RetainHandling, Subscription};
use crate::model::profile::ServiceLimits;
use crate::model::reason::ReasonCode;
use crate::model::rows::{OpenGap, STALE, SubscriptionRow};
use crate::model::topic::{TopicFilter, TopicName};
use crate::model::writes::Write;
use crate::wire::packet::{Packet, SubAck, Subscribe, Unsubscribe};

/// One request on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Request {
    Subscribe(Subscription),
    Unsubscribe(TopicFilter),
}

/// All wishes, and the requests on the wire.
#[derive(Debug, Default)]
pub struct Subscriptions {
    rows: BTreeMap<TopicFilter, SubscriptionRow>,
    pending: HashMap<u16, Request>,
    /// Refused on this link: not asked again before the next.
    refused: Vec<TopicFilter>,
    next: u64,
    up: bool,
    ids_available: bool,
    /// What the profile's service takes.
    service: Option<ServiceLimits>,
    /// Gaps that close when their subscription is granted again.
    gaps: BTreeMap<TopicFilter, OpenGap>,
}

impl Subscriptions {
    /// Rebuilt from the rows; `gaps` are the open ones.
    pub fn new(rows: Vec<SubscriptionRow>, gaps: Vec<OpenGap>) -> Self {
        let lost = gaps.into_iter().filter(|gap| matches!(gap.cause, GapCause::SessionLost | GapCause::Restored));
        Self {
            rows: rows.into_iter().map(|row| (row.wish.filter.clone(), row)).collect(),
            gaps: lost.map(|gap| (gap.filter.clone(), gap)).collect(),
            ..Self::default()
        }
    }

    /// Asking for no higher QoS and no other filters than the service takes, whatever is wished: it would cut the link.
    #[must_use]
    pub fn at(mut self, service: ServiceLimits) -> Self {
        self.service = Some(service);
        self
    }

    /// Whether anything was granted in this epoch.
    pub fn granted_in(&self, epoch: u64) -> bool {
        self.rows.values().any(|row| row.granted.is_some_and(|(_, granted)| granted == epoch))
    }

    /// Whether the broker has answered everything that was asked of it on this link.
    pub fn is_answered(&self) -> bool {
        self.up && self.pending.is_empty()
    }

    /// Wishes that `topic` matches.
    pub fn matching<'s>(&'s self, topic: &'s TopicName) -> impl Iterator<Item = &'s Subscription> {
        self.rows.values().filter(|row| row.wanted && row.wish.filter.matches(topic)).map(|row| &row.wish)
    }

    /// What a message with the retain flag on this topic may be.
    pub fn retained(&self, topic: &TopicName) -> Retained {
        // With retain as published a new message may carry the flag as well [3.3.1-13].
        if self.matching(topic).any(|wish| wish.retain_as_published) {
            return Retained::Live;
        }
        match self.matching(topic).any(|wish| wish.retain_handling == RetainHandling::Always) {
            true => Retained::Asked,
            false => Retained::Told,
        }
    }

    /// What the broker had granted and delivers for, as far as we know.
    pub fn granted(&self, epoch: u64) -> Vec<TopicFilter> {
        let granted = |row: &&SubscriptionRow| {
            row.wanted && row.granted.is_some_and(|(_, granted)| granted == epoch || granted == STALE)
        };
        self.rows.values().filter(granted).map(|row| row.wish.filter.clone()).collect()
    }

    /// The app wants this.
    pub fn subscribe(&mut self, wish: Subscription, epoch: u64, fx: &mut Effects) {
        if let Some(row) = self.rows.get(&wish.filter)
            && row.wanted
            && row.wish == wish
        {
            if let (true, Some((qos, granted))) = (self.up, row.granted)
                && granted == epoch
            {
                fx.events.push(Event::Subscribed { filter: wish.filter, qos });
            } else {
                self.refused.retain(|filter| *filter != wish.filter);
                self.pump(epoch, fx);
            }
            return;
        }
        self.refused.retain(|filter| *filter != wish.filter);
        // What the old wish was granted still delivers: losing the session before the new grant is a gap all the same.
        let granted = self.rows.get(&wish.filter).and_then(|row| row.granted).map(|(qos, _)| (qos, STALE));
        let row = SubscriptionRow { wish, wanted: true, granted };
        fx.writes.push(Write::Subscription(row.clone()));
        self.rows.insert(row.wish.filter.clone(), row);
        self.pump(epoch, fx);
    }

    /// The app no longer wants this.
    pub fn unsubscribe(&mut self, filter: TopicFilter, epoch: u64, fx: &mut Effects) {
        let Some(row) = self.rows.get_mut(&filter) else {
            fx.events.push(Event::Unsubscribed { filter });
            return;
        };
        row.wanted = false;
        fx.writes.push(Write::Subscription(row.clone()));
        self.refused.retain(|refused| *refused != filter);
        self.pump(epoch, fx);
    }

    /// The session is up. `resumed`: the broker still has it, and with it the grants.
    pub fn connected(&mut self, resumed: bool, ids_available: bool, epoch: u64, fx: &mut Effects) {
        self.up = true;
        self.ids_available = ids_available;
        self.pending.clear();
        self.refused.clear();
        if !resumed {
            let gone: Vec<_> =
                self.rows.values().filter(|row| !row.wanted).map(|row| row.wish.filter.clone()).collect();
            for filter in gone {
                self.forget(filter, fx);
            }
        }
        for row in self.rows.values().filter(|row| row.wanted) {
            if let Some((qos, granted)) = row.granted
                && granted == epoch
            {
                fx.events.push(Event::Subscribed { filter: row.wish.filter.clone(), qos });
            }
        }
        self.pump(epoch, fx);
    }

    /// Whether the broker still has the grants is in doubt: everything is to be asked for again.
    pub fn doubt(&mut self, fx: &mut Effects) {
        for row in self.rows.values_mut() {
            if let Some((_, epoch)) = &mut row.granted {
                *epoch = STALE;
                fx.writes.push(Write::Subscription(row.clone()));
            }
        }
    }

    /// The link is gone; requests on it are made again on the next.
    pub fn disconnected(&mut self) {
        self.up = false;
        self.pending.clear();
    }

    /// The broker has lost the session: a gap opens for everything that was granted in it.
    pub fn session_lost(&mut self, old_epoch: u64, from_ms: i64, after_seq: u64, fx: &mut Effects) {
        self.disconnected();
        for (filter, row) in &self.rows {
            // One that was granted in an earlier epoch only has its gap already, or was refused since.
            let granted = row.granted.is_some_and(|(_, epoch)| epoch == old_epoch || epoch == STALE);
            if row.wanted && granted && !self.gaps.contains_key(filter) {
                let (filter, cause) = (filter.clone(), GapCause::SessionLost);
                self.gaps.insert(filter.clone(), OpenGap { filter: filter.clone(), cause, from_ms, after_seq });
                fx.writes.push(Write::GapOpen { filter, cause, from_ms, after_seq });
            }
        }
    }

    /// SUBACK and UNSUBACK.
    ///
    /// # Errors
    /// It does not fit its request.
    pub fn acknowledged(
        &mut self,
        ack: &SubAck,
        unsubscribe: bool,
        epoch: u64,
        now: Now,
        fx: &mut Effects,
    ) -> Result<bool, Violation> {
        let Some(request) = self.pending.get(&ack.pid) else { return Ok(false) };
        if unsubscribe != matches!(request, Request::Unsubscribe(_)) {
            return Err(Violation(ReasonCode::ProtocolError, "SUBACK and UNSUBACK mixed up [3.8.4-2]"));
        }
        // A 3.1.1 UNSUBACK has no reasons.
        if ack.reasons.len() != 1 && !(unsubscribe && ack.reasons.is_empty()) {
            return Err(Violation(ReasonCode::ProtocolError, "SUBACK with a wrong number of reasons [3.8.4-6]"));
        }
        match self.pending.remove(&ack.pid) {
            Some(Request::Subscribe(wish)) => self.answered(&wish, ack.reasons[0], epoch, now, fx),
            Some(Request::Unsubscribe(filter)) => match self.rows.get_mut(&filter) {
                Some(row) if row.wanted => {
                    // Wanted again meanwhile: the broker has forgotten it, so ask anew.
                    row.granted = None;
                    fx.writes.push(Write::Subscription(row.clone()));
                }
                Some(_) => self.forget(filter, fx),
                None => {}
            },
            None => {}
        }
        self.pump(epoch, fx);
        Ok(true)
    }

    fn answered(&mut self, wish: &Subscription, reason: ReasonCode, epoch: u64, now: Now, fx: &mut Effects) {
        let filter = wish.filter.clone();
        let Some(row) = self.rows.get_mut(&filter) else { return };
        if !row.wanted || row.wish != *wish {
            return;
        }
        let Some(qos) = QoS::from_number(reason.code()) else {
            self.refused.push(filter.clone());
            fx.events.push(Event::SubscribeRefused { filter, reason });
            return;
        };
        row.granted = Some((qos, epoch));
        fx.writes.push(Write::Subscription(row.clone()));
        fx.events.push(Event::Subscribed { filter: filter.clone(), qos });
        if let Some(gap) = self.gaps.remove(&filter) {
            fx.writes.push(Write::GapClose { filter: filter.clone(), cause: gap.cause, to_ms: now.wall_ms });
            fx.events.push(Event::Gap(Gap {
                filters: vec![filter],
                cause: gap.cause,
                from_ms: gap.from_ms,
                to_ms: Some(now.wall_ms),
                after_seq: gap.after_seq,
                bytes: None,
            }));
        }
    }

    fn forget(&mut self, filter: TopicFilter, fx: &mut Effects) {
        self.rows.remove(&filter);
        if self.gaps.remove(&filter).is_some() {
            // Nobody waits for it any more: what is missing is known up to now, so the record stays as it is.
            tracing::debug!("a gap stays open: its subscription was given up");
        }
        fx.writes.push(Write::SubscriptionGone(filter.clone()));
        fx.events.push(Event::Unsubscribed { filter });
    }

    /// Asks for everything that is not as it should be, one filter a packet, as far as identifiers go.
    fn pump(&mut self, epoch: u64, fx: &mut Effects) {
        if !self.up {
            return;
        }
        let mut foreign = Vec::new();
        for (filter, row) in &self.rows {
            if self.pending.len() as u64 >= REQUESTS.count() {
                break;
            }
            let granted = row.granted.is_some_and(|(_, granted)| granted == epoch);
            let on_wire = self.pending.values().any(|request| match request {
                Request::Subscribe(wish) => wish.filter == *filter,
                Request::Unsubscribe(pending) => pending == filter,
            });
            if on_wire || row.wanted && (granted || self.refused.contains(filter)) {
                continue;
            }
            if self.service.is_some_and(|service| service.topic_problem(filter.as_str()).is_some()) {
                // Left from another service: here it was never granted, so there is nothing to end either.
                let (filter, reason) = (filter.clone(), ReasonCode::TopicFilterInvalid);
                if row.wanted {
                    self.refused.push(filter.clone());
                    fx.events.push(Event::SubscribeRefused { filter, reason });
                } else {
                    foreign.push(filter);
                }
                continue;
            }
            let mut pid = REQUESTS.pid(self.next, 0);
            while self.pending.contains_key(&pid) {
                self.next += 1;
                pid = REQUESTS.pid(self.next, 0);
            }
            self.next += 1;
            if row.wanted {
                let mut wish = row.wish.clone();
                if !self.ids_available {
                    wish.id = None;
                }
                wish.qos = self.service.map_or(wish.qos, |service| wish.qos.min(service.max_qos));
                fx.sends.push(Packet::Subscribe(Subscribe { pid, wish }));
                self.pending.insert(pid, Request::Subscribe(row.wish.clone()));
            } else {
                fx.sends.push(Packet::Unsubscribe(Unsubscribe { pid, filter: filter.clone() }));
                self.pending.insert(pid, Request::Unsubscribe(filter.clone()));
            }
        }
        foreign.into_iter().for_each(|filter| self.forget(filter, fx));
    }
}
