//! What follows a commit: packets to the link, answers to callers, the end of the client.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{CONNECT_LIMIT, CONNECT_LIMIT_EACH, Driver, FAREWELL_LIMIT, LONGEST_GOODBYE, Slot};
use crate::client::command::Reply;
use crate::client::traffic::Traffic;
use crate::client::turn::Engine;
use crate::link::LinkError;
use crate::link::dial::dial;
use crate::model::broker_url::BrokerUrl;
use crate::model::error::Error;
use crate::model::event::Why;
use crate::session::Session;
use crate::wire::encode;
use crate::wire::packet::Packet;

/// A message with this topic makes a test panic.
#[cfg(test)]
pub(crate) const PANICS: &str = "panic/encoded";

impl Driver {
    pub(super) fn send(&mut self) {
        if let Slot::Open(link, decoder) = &mut self.slot {
            let protocol = decoder.protocol();
            for packet in self.out.sends.drain(..) {
                if let Packet::Publish(publish) = &packet {
                    self.sending = Some(publish.pid);
                    #[cfg(test)]
                    assert_ne!(publish.topic.as_str(), PANICS);
                }
                tracing::trace!(?packet, "sent");
                if let Err(error) = encode(&packet, protocol, link.output()) {
                    tracing::error!(error = %error, "a packet could not be written");
                    self.out.close = true;
                }
            }
            self.sending = None;
            link.try_write();
            if !self.engine.as_ref().is_some_and(|engine| engine.session().wants_credit()) {
                // Nobody waits for the buffer to run empty: no turn for it.
                link.take_drained();
            }
        }
        self.out.sends.clear();
        if std::mem::take(&mut self.out.close) {
            self.keep_counters();
            let abort = std::mem::take(&mut self.out.abort);
            self.slot = match std::mem::replace(&mut self.slot, Slot::None) {
                Slot::Open(..) if abort => Slot::Closing(Box::pin(std::future::ready(()))),
                Slot::Open(link, _) => {
                    Slot::Closing(Box::pin(async move {
                        // A farewell that does not get through is no failure: the link is given up anyway.
                        drop(tokio::time::timeout(FAREWELL_LIMIT, link.finish()).await);
                    }))
                }
                // An attempt that is given up: the session waits for its end all the same.
                Slot::Opening(_) => Slot::Closing(Box::pin(std::future::ready(()))),
                // It was not even begun.
                Slot::None if self.waits_for_an_end() => Slot::Closing(Box::pin(std::future::ready(()))),
                // A link that ended in this very turn has told so.
                ended @ (Slot::None | Slot::Closing(_)) => ended,
            };
        }
        if let Some(question) = self.out.ask.take() {
            let broker = self.broker();
            self.asking = Some(self.asker.answer(question, broker));
        } else if !self.engine.as_ref().is_some_and(|engine| engine.session().is_asking()) {
            // The link that it was asked for is gone.
            self.asking = None;
        }
        if std::mem::take(&mut self.out.open) {
            let options = Arc::clone(&self.options);
            let tls = Arc::clone(&self.tls);
            let (broker, asker) = (self.broker(), self.asker.clone());
            let session = self.engine.as_ref().map(Engine::session);
            let why = session.and_then(Session::needs_credentials);
            // A signed URL is part of the link.
            let signed = session.and_then(Session::signed_target).map(|target| Zeroizing::new(target.to_owned()));
            let several = session.is_some_and(Session::has_other_addresses);
            self.slot = Slot::Opening(Box::pin(async move {
                let broker = broker.ok_or_else(|| not_opened(LinkError::Other("no broker is known".to_owned())))?;
                let until = Instant::now() + CONNECT_LIMIT;
                // Before the link: a broker that waits for its CONNECT would cut it while the provider thinks.
                let credentials = match why {
                    Some(why) => asker.credentials(why, &broker).await.map_err(Why::Credentials)?,
                    None => None,
                };
                let given = credentials.as_ref().and_then(|given| given.target.as_deref());
                let target = given.or(signed.as_ref().map(|signed| signed.as_str()));
                let broker = target.map_or(broker.clone(), |target| broker.with_target(target));
                let left = until.saturating_duration_since(Instant::now());
                // A slow provider does not take the time of the way.
                let left = if several { left.min(CONNECT_LIMIT_EACH) } else { left };
                Ok((dial(&broker, &options, &tls, left).await.map_err(not_opened)?, credentials))
            }));
        }
    }

    /// Whether the session has given up what was never there: an attempt of this very turn.
    fn waits_for_an_end(&self) -> bool {
        !self.out.open && self.engine.as_ref().is_some_and(|engine| !engine.session().is_down())
    }

    /// The broker to connect to: the app's, or the one that the store knows.
    fn broker(&self) -> Option<BrokerUrl> {
        self.engine.as_ref().and_then(|engine| engine.session().address()).cloned()
    }

    /// Whoever wants to close, to pause or to go on waits for the driver from now on, whatever becomes of the turn.
    pub(in crate::client) fn take_endings(&mut self) {
        let until = |limit: Duration| Instant::now() + limit.min(LONGEST_GOODBYE);
        // Several at once are one: the shortest goodbye counts, and what the first one of a pause has found.
        for (limit, answer) in self.out.ending.drain(..) {
            let (at, answers) = self.closing.get_or_insert_with(|| (until(limit), Vec::new()));
            *at = until(limit).min(*at);
            answers.push(answer);
        }
        for (limit, answer, wanted) in self.out.pausing.drain(..) {
            let (at, answers, _) = self.pausing.get_or_insert_with(|| (until(limit), Vec::new(), wanted));
            *at = until(limit).min(*at);
            answers.push(answer);
        }
        self.resuming.append(&mut self.out.resuming);
    }

    pub(super) fn answer(&mut self) {
        self.take_endings();
        let Some(engine) = &self.engine else { return self.out.replies.drain(..).for_each(Reply::committed) };
        let hot = engine.session().hot();
        self.fanout.arrived(hot.next_seq - 1);
        self.fanout.settled(&mut self.out.settled);
        self.fanout.events(&mut self.out.events);
        self.fanout.metrics(engine.metrics());
        // Last: whoever has an answer finds what led to it in the stream of events and in the counters.
        self.out.replies.drain(..).for_each(Reply::committed);
    }

    /// Bytes on all links.
    pub(super) fn counters(&self) -> Traffic {
        match &self.slot {
            Slot::Open(link, decoder) => self.counted.with(link, decoder.ignored_bytes()),
            _ => self.counted,
        }
    }

    /// The link is about to go: its counters stay.
    pub(in crate::client) fn keep_counters(&mut self) {
        self.counted = self.counters();
    }

    pub(in crate::client) async fn finish(&mut self) {
        // Before those who wait are let go: they ask whether the client is closed.
        self.commands.close();
        self.take_endings();
        self.end_reading().await;
        // Before the lock is free: the next driver's socket has the same name.
        self.stop_listening();
        self.glance_farewell();
        let until = self.closing.as_ref().map_or_else(Instant::now, |(at, _)| *at);
        let farewell = |mut engine: Engine| engine.be_patient(until).and_then(|()| engine.farewell(self.clock.now()));
        let result = self.engine.take().map_or(Ok(()), farewell);
        let result = result.map_err(|error| Error::Storage { detail: error.text });
        self.slot = Slot::None;
        for answer in self.closing.take().into_iter().flat_map(|(_, answers)| answers) {
            drop(answer.send(result.clone()));
        }
    }
}

/// Why a link could not be made. The one place where an error of a layer below MQTT becomes a reason of the session.
fn not_opened(error: LinkError) -> Why {
    match error {
        LinkError::Tls(failure) => Why::Tls(failure),
        error if error.refuses_credentials() => Why::Refused(error.to_string()),
        error if error.refuses_proxy_credentials() => Why::ProxyRefused(error.to_string()),
        error => Why::Unreachable(error.to_string()),
    }
}
