//! Credentials on a link: enhanced authentication during CONNECT, and others in time before those in use expire [4.12].

mod state;

pub(super) use state::Authentication;

use super::Session;
use super::connection::Phase;
use super::effect::{Answer, Effects, Now, Question};
use crate::model::broker_url::BrokerUrl;
use crate::model::credentials::{
    AuthData, Challenge, Credentials, CredentialsError, CredentialsEvent, CredentialsSource, WhyAsked,
};
use crate::model::event::{Event, Why};
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Auth, ConnAck, Disconnect, Packet, Protocol};

/// So many steps of the broker make an exchange at the most.
const ROUNDS: u32 = 10;
/// How long the broker may take for its next step, and our side for the answer to it.
const STEP_LIMIT_MS: i64 = 20_000;
/// So long before they expire credentials are replaced, or a tenth of their life if that is shorter.
const MARGIN_MS: i64 = 60_000;
/// The shortest time between two questions that no connect asks for, and the first wait after one without an answer.
const ASK_DISTANCE_MS: i64 = 5_000;
const LONGEST_ASK_WAIT_MS: i64 = 60_000;
/// A signed URL that was asked for longer ago is not shown: services take it for minutes, and the link it was for never came.
const SIGNED_FOR_MS: i64 = 60_000;
/// A wall clock that moves by so much against the one that counts through sleep was wrong before: what it signed is, too.
const CLOCK_STEP_MS: u64 = 60_000;
/// How long a new link is put off for a quiet moment, at the most.
const LONGEST_QUIET_WAIT_MS: i64 = 30_000;

/// What is being asked of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Fresh,
    Step,
    Proof,
}

impl Session {
    /// Those that the address in use holds itself; they go before all others.
    fn own(&self) -> Option<&Credentials> {
        self.conn.addresses.current().and_then(BrokerUrl::credentials)
    }

    fn provider(&self) -> bool {
        self.has_provider() && self.own().is_none()
    }

    /// Whether there is one, for this address or for others.
    fn has_provider(&self) -> bool {
        matches!(self.options.credentials, Some(CredentialsSource::Provider(_)))
    }

    /// Why credentials are needed for the link that was asked for; None: they are there already.
    pub fn needs_credentials(&self) -> Option<WhyAsked> {
        (self.auth.fresh.is_none() && self.own().is_none()).then_some(self.auth.why)
    }

    /// The signed path and query of the WebSocket request, if the link that was asked for begins with one that is there already.
    pub fn signed_target(&self) -> Option<&str> {
        self.auth.fresh.as_ref()?.target.as_deref()
    }

    /// Whether CONNECT named an authentication method.
    pub(super) fn has_method(&self) -> bool {
        self.auth.method.is_some()
    }

    /// Whether an answer of the provider is waited for, but for those that a link begins with.
    pub fn is_asking(&self) -> bool {
        self.auth.pending.is_some()
    }

    /// Whether nothing is to be read from the link before the provider has answered: the broker is not proven yet.
    pub fn holds_connack(&self) -> bool {
        self.auth.connack.is_some()
    }

    /// A link is asked for, and with it credentials.
    pub(super) fn ask_for_link(&mut self, moved: bool, now: Now) {
        let kept = self.auth.fresh.as_ref().map(|fresh| fresh.expires_ms());
        let expired = kept.flatten().is_some_and(|at| at <= now.wall_ms);
        // What was made for one host is not shown to another.
        if self.changed_meanwhile() || expired || moved {
            self.auth.fresh = None;
        }
        if now.mono_ms - self.auth.asked_at > SIGNED_FOR_MS {
            self.auth.forget_signed();
        }
        if self.auth.why == WhyAsked::Reconnect && self.auth.is_due(now) {
            self.auth.why = WhyAsked::Expired;
        }
        self.auth.asked_at = now.mono_ms;
    }

    /// The credentials of the CONNECT that is about to be sent.
    pub(super) fn present(
        &mut self,
        given: Option<Box<Credentials>>,
        protocol: Protocol,
        now: Now,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let credentials = match self.own() {
            Some(own) => Some(Box::new(own.clone())),
            None => self.auth.fresh.take().or(given),
        };
        self.auth.link_ended();
        let enhanced = credentials.as_ref().and_then(|own| own.method());
        if enhanced.is_some() && protocol == Protocol::V4 {
            return Err(CredentialsError::NeedsMqtt5);
        }
        self.auth.method = enhanced.map(str::to_owned);
        let provider = self.provider();
        self.auth.in_use(credentials.as_ref().and_then(|own| own.expires_ms()), provider, now);
        if self.own().is_none() {
            self.auth.why = WhyAsked::Reconnect;
        }
        Ok(credentials.map(|boxed| *boxed))
    }

    /// A CONNACK that accepts: whether it may be believed. None: it is dealt with, or will be.
    pub(super) fn prove(&mut self, ack: ConnAck, now: Now, fx: &mut Effects) -> Option<ConnAck> {
        if ack.properties.authentication_method != self.auth.method {
            let text = match self.auth.method {
                None => "a CONNACK with an authentication method, though none was asked for [MQTT-4.12.0-6]",
                Some(_) => "a CONNACK with another authentication method, or without one [MQTT-4.12.0-5]",
            };
            self.violation(ReasonCode::ProtocolError, text.to_owned(), fx);
            return None;
        }
        if self.auth.method.is_none() || self.auth.proven || !self.provider() {
            return Some(ack);
        }
        self.conn.handshake_goes_on(now.mono_ms + STEP_LIMIT_MS);
        self.ask(Pending::Proof, ack.properties.authentication_data.clone(), fx);
        self.auth.connack = Some(Box::new(ack));
        None
    }

    /// A packet that came behind a CONNACK which is not believed yet waits with it. None: it does.
    pub(super) fn behind_connack(&mut self, packet: Packet) -> Option<Packet> {
        if !self.holds_connack() {
            return Some(packet);
        }
        self.auth.behind.push(packet);
        None
    }

    fn ask(&mut self, pending: Pending, data: Option<AuthData>, fx: &mut Effects) {
        let method = self.auth.method.clone().unwrap_or_default();
        let challenge = Challenge { method, data, round: self.auth.rounds };
        self.auth.pending = Some(pending);
        self.auth.answer_by = None;
        fx.ask = Some(match pending {
            Pending::Proof => Question::Proof(challenge),
            Pending::Fresh | Pending::Step => Question::Step(challenge),
        });
    }

    /// AUTH from the broker, during CONNECT or on a link that is up.
    pub(super) fn auth_packet(&mut self, packet: Auth, now: Now, fx: &mut Effects) {
        let up = self.conn.up().is_some();
        let text = match (&self.auth.method, packet.reason) {
            (None, _) => "AUTH, though CONNECT named no authentication method [MQTT-4.12.0-6]",
            (method, _) if packet.method != *method => {
                "AUTH with another authentication method, or without one [MQTT-4.12.0-5]"
            }
            _ if up && !self.auth.renewing => "AUTH that nobody asked for [4.12.1]",
            _ if self.auth.pending.is_some() => "AUTH before the last one was answered [4.12]",
            (_, ReasonCode::ContinueAuthentication) if self.auth.rounds >= ROUNDS => {
                let text = format!("an authentication of more than {ROUNDS} steps [4.12]");
                return self.violation(ReasonCode::ImplementationSpecificError, text, fx);
            }
            (_, ReasonCode::ContinueAuthentication) => {
                self.auth.rounds += 1;
                if !self.provider() {
                    return self.fail_exchange(CredentialsError::NoExchange, fx);
                }
                if !up {
                    self.conn.handshake_goes_on(now.mono_ms + STEP_LIMIT_MS);
                }
                return self.ask(Pending::Step, packet.data, fx);
            }
            (_, ReasonCode::Success) if up => return self.ask(Pending::Proof, packet.data, fx),
            _ => "AUTH with a reason that a server does not send here [3.15.2.1]",
        };
        self.violation(ReasonCode::ProtocolError, text.to_owned(), fx);
    }

    /// The provider has answered. What nobody waits for any more belonged to a link that is gone.
    pub(super) fn answered(&mut self, answer: Answer, now: Now, fx: &mut Effects) {
        let pending = match &answer {
            Answer::Fresh(_) => Pending::Fresh,
            Answer::Step(_) => Pending::Step,
            Answer::Proof(_) => Pending::Proof,
        };
        if self.auth.pending != Some(pending) {
            return;
        }
        self.auth.pending = None;
        match answer {
            Answer::Fresh(Ok(credentials)) => self.refresh(credentials, now, fx),
            Answer::Fresh(Err(error)) => {
                let wait = self.auth.refresh_wait;
                self.auth.refresh_wait = (2 * wait).min(LONGEST_ASK_WAIT_MS);
                self.auth.refresh_at = (!error.is_lasting()).then_some(now.mono_ms + wait);
                fx.events.push(Event::Credentials(CredentialsEvent::Failed(error)));
                // The answer may be older than the app's word.
                self.ask_for_changed(now);
            }
            Answer::Step(Ok(data)) => {
                match self.conn.up() {
                    Some(_) => self.auth.answer_by = Some(now.mono_ms + STEP_LIMIT_MS),
                    None => self.conn.handshake_goes_on(now.mono_ms + STEP_LIMIT_MS),
                }
                self.say(ReasonCode::ContinueAuthentication, data, fx);
            }
            Answer::Proof(Ok(())) => match self.auth.connack.take() {
                Some(connack) => {
                    self.auth.proven = true;
                    self.connack(*connack, now, fx);
                    for packet in std::mem::take(&mut self.auth.behind) {
                        self.packet(packet, now, fx);
                    }
                }
                None => {
                    (self.auth.renewing, self.auth.rounds) = (false, 0);
                    let until = self.auth.renewed_until_ms.take();
                    self.auth.in_use(until, true, now);
                    self.auth.why = WhyAsked::Reconnect;
                    fx.events.push(Event::Credentials(CredentialsEvent::Refreshed { in_place: true }));
                    self.ask_for_changed(now);
                }
            },
            Answer::Step(Err(error)) | Answer::Proof(Err(error)) => self.fail_exchange(error, fx),
        }
    }

    fn say(&mut self, reason: ReasonCode, data: Option<AuthData>, fx: &mut Effects) {
        fx.sends.push(Packet::Auth(Auth { reason, method: self.auth.method.clone(), data }));
    }

    /// The exchange cannot go on, and the link with it.
    fn fail_exchange(&mut self, error: CredentialsError, fx: &mut Effects) {
        fx.sends.push(Packet::Disconnect(Disconnect::new(ReasonCode::ImplementationSpecificError)));
        self.close(Why::Credentials(error), fx);
    }

    /// New credentials for a link that is up.
    fn refresh(&mut self, credentials: Box<Credentials>, now: Now, fx: &mut Effects) {
        if self.auth.method.is_some() && credentials.method() == self.auth.method.as_deref() {
            (self.auth.renewing, self.auth.rounds) = (true, 0);
            self.auth.renewed_until_ms = credentials.expires_ms();
            self.auth.answer_by = Some(now.mono_ms + STEP_LIMIT_MS);
            let data = credentials.enhanced.as_ref().and_then(|enhanced| enhanced.data.clone());
            return self.say(ReasonCode::ReAuthenticate, data, fx);
        }
        let left = self.auth.expires_at.map_or(i64::MAX, |at| at.saturating_sub(now.mono_ms).max(0));
        self.auth.fresh = Some(credentials);
        self.auth.go_by = Some(now.mono_ms + (left / 2).min(LONGEST_QUIET_WAIT_MS));
        self.change_links(now, fx);
    }

    /// A new link with the new credentials, at a quiet moment: what is in flight would be sent again.
    pub(super) fn change_links(&mut self, now: Now, fx: &mut Effects) {
        if self.auth.go_by.is_none() || self.conn.up().is_none() {
            return;
        }
        let busy = self.out.has_session_state() || self.inb.has_session_state() || !self.subs.is_answered();
        if busy && self.auth.go_by.is_some_and(|at| at > now.mono_ms) {
            return;
        }
        self.auth.changing = true;
        self.leave(self.conn.purpose(), fx);
    }

    /// The broker has accepted a CONNECT.
    pub(super) fn credentials_accepted(&mut self, now: Now, fx: &mut Effects) {
        if std::mem::take(&mut self.auth.changing) {
            fx.events.push(Event::Credentials(CredentialsEvent::Refreshed { in_place: false }));
        }
        self.ask_for_changed(now);
    }

    fn ask_for_changed(&mut self, now: Now) {
        if self.changed_meanwhile() && self.provider() {
            self.auth.refresh_at = Some(now.mono_ms.max(self.auth.asked_at + ASK_DISTANCE_MS));
        }
    }

    /// Whether the app has said so while others were being asked for or tried.
    fn changed_meanwhile(&mut self) -> bool {
        let changed = std::mem::take(&mut self.auth.changed);
        if changed {
            self.auth.are_old();
        }
        changed
    }

    /// When the credentials want something, if the session is up.
    pub(super) fn credentials_at(&self) -> Option<i64> {
        self.conn.up()?;
        [self.auth.answer_by, self.auth.refresh_at, self.auth.go_by].into_iter().flatten().min()
    }

    /// Time has passed.
    pub(super) fn look_at_credentials(&mut self, now: Now, fx: &mut Effects) {
        if self.conn.phase == Phase::Down && self.has_provider() && self.auth.is_clock_set(now) {
            self.conn.sooner(now.mono_ms);
        }
        if self.conn.up().is_none() {
            return;
        }
        if self.auth.answer_by.is_some_and(|at| at <= now.mono_ms) {
            return self.fail_exchange(CredentialsError::NoAnswer, fx);
        }
        let idle = self.auth.pending.is_none() && !self.auth.renewing && self.auth.go_by.is_none();
        if idle && self.auth.refresh_at.is_some_and(|at| at <= now.mono_ms) {
            (self.auth.refresh_at, self.auth.asked_at) = (None, now.mono_ms);
            self.auth.pending = Some(Pending::Fresh);
            fx.ask = Some(Question::Fresh(WhyAsked::Expired));
        }
        self.change_links(now, fx);
    }

    /// The app has others than the provider gave last.
    pub(super) fn credentials_changed(&mut self, now: Now, fx: &mut Effects) {
        if !self.has_provider() {
            return;
        }
        match self.conn.phase {
            Phase::Up(_) if self.auth.renewing || self.auth.pending.is_some() || self.auth.go_by.is_some() => {
                self.auth.changed = true;
            }
            Phase::Up(_) => {
                self.auth.changed = true;
                self.ask_for_changed(now);
                self.look_at_credentials(now, fx);
            }
            Phase::Down => {
                self.auth.fresh = None;
                // Before the first question there are no last ones.
                if self.metrics.link_attempts > 0 {
                    self.auth.are_old();
                }
                self.conn.sooner(now.mono_ms);
            }
            Phase::Opening | Phase::Handshake { .. } | Phase::Closing => self.auth.changed = true,
        }
    }

    /// The broker ends a link that was up. With credentials that have expired meanwhile, or on a link that lived for long, a
    /// provider's next ones are worth a try before the long wait.
    pub(super) fn may_renew(&mut self, now: Now) {
        self.conn.renewable = self.provider() && (self.auth.is_due(now) || self.conn.is_stable(now.mono_ms));
    }

    /// A link is gone, or was not made: what that says of the credentials.
    pub(super) fn judged(&mut self, why: &Why, retry_in_ms: u64, now: Now, fx: &mut Effects) {
        let reason = match why {
            Why::Broker(reason) if reason.refuses_credentials() => *reason,
            // HTTP's 401 or 403.
            Why::Refused(_) => ReasonCode::NotAuthorized,
            Why::Credentials(error) => {
                fx.events.push(Event::Credentials(CredentialsEvent::Failed(*error)));
                return self.hurry(now);
            }
            _ => return,
        };
        if self.own().is_none() {
            self.auth.why = WhyAsked::Refused(reason);
            self.auth.refused_clock = Some(now.wall_ms - now.mono_ms);
        }
        fx.events.push(Event::Credentials(CredentialsEvent::Refused { reason, retry_in_ms }));
        self.hurry(now);
    }

    /// Others came while these were being refused.
    fn hurry(&mut self, now: Now) {
        if self.changed_meanwhile() {
            self.conn.sooner(now.mono_ms);
        }
    }
}
