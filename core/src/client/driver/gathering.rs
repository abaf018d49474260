//! What a turn takes from the link: whole packets, or how it ended.

use tokio::time::Instant;

use super::{CREDIT, Driver, Slot, TURN_INPUTS, stalled_until};
use crate::client::turn::TurnInput;
use crate::link::{LinkError, stranger};
use crate::model::broker_url::{BrokerUrl, Scheme};
use crate::model::event::Why;
use crate::session::effect::Input;

impl Driver {
    /// Takes packets out of what was read, up to the bound of a turn.
    pub(super) fn gather(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        let stalled = stalled_until(&self.slot, engine).is_some_and(|at| at <= Instant::now());
        let Slot::Open(link, decoder) = &mut self.slot else { return };
        if engine.session().holds_connack() {
            return;
        }
        if link.take_heard() {
            engine.heard(self.clock.now());
        }
        let broker = engine.session().address();
        let tls = broker.is_some_and(BrokerUrl::is_tls);
        let plain = broker.is_some_and(|broker| broker.scheme() == Scheme::Mqtt) && self.options.transport.is_none();
        let limit = self.inputs.len() + TURN_INPUTS;
        while self.inputs.len() < limit {
            match decoder.decode(link.input()) {
                Ok(Some(packet)) => {
                    tracing::trace!(?packet, "received");
                    self.inputs.push(TurnInput::Session(Input::Packet(packet)));
                }
                Ok(None) => {
                    if let Some(skipped) = decoder.take_skipped() {
                        self.inputs.push(TurnInput::Session(Input::Skipped(skipped)));
                        continue;
                    }
                    if let Some(error) = link.failure() {
                        let why = match error {
                            LinkError::Eof => Why::Closed,
                            LinkError::Tls(failure) => Why::Tls(failure.clone()),
                            // OpenSSL's servers say nothing to whoever does not speak TLS.
                            error @ LinkError::Reset(_) if link.counters().0 == 0 && plain => {
                                Why::Cut(format!("{error}, before any answer; if this port wants TLS, write mqtts://"))
                            }
                            error => Why::Cut(error.to_string()),
                        };
                        self.inputs.push(TurnInput::Session(Input::LinkDown(why)));
                        self.keep_counters();
                        self.slot = Slot::None;
                    } else if stalled {
                        self.inputs.push(TurnInput::Session(Input::LinkDown(Why::WriteTimeout)));
                        self.keep_counters();
                        self.slot = Slot::None;
                    } else if link.take_drained() && link.unsent() < CREDIT {
                        self.inputs.push(TurnInput::Session(Input::Tick));
                    }
                    return;
                }
                Err(error) => {
                    // Nothing was taken out yet: it is the first thing that ever came.
                    let first = link.counters().0 == link.input().len() as u64;
                    match stranger::speaks(link.input(), tls).filter(|_| first) {
                        None => self.inputs.push(TurnInput::Session(Input::Broken(error))),
                        Some(words) => {
                            let why = Why::Unreachable(words.to_owned());
                            self.inputs.push(TurnInput::Session(Input::LinkDown(why)));
                            self.keep_counters();
                            self.slot = Slot::None;
                        }
                    }
                    return;
                }
            }
        }
        self.more = true;
    }
}
