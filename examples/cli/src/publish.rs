//! `homing pub`: accept, say the id, then try to send for as long as was asked for.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use bytes::Bytes;
use homing::{Event, Events, Fate, Homing, Properties, Publish, ReasonCode, State, Why};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::accept;
use crate::args::{Common, PubArgs};
use crate::exit::{CLOSE, Exit, Failure, complain};
use crate::lines::{self, Line};
use crate::notes::Notes;
use crate::output::{Out, Verdict};
use crate::signals::Signals;
use crate::values::Wait;
use crate::verdicts::Verdicts;

/// How long messages are tried to be sent when nothing was asked for.
const TRY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Accepted {
    id: u64,
}

pub(crate) async fn run(common: Common, args: PubArgs) -> Result<Exit, Failure> {
    let mut options = common.options()?;
    let template = template(&args);
    let mut source = Source::new(&args, template, options.max_payload)?;
    // Connected once the stream of events is there, so that none is missed.
    options.connect = false;
    let homing = Homing::open(options).await?;
    let mut signals = Signals::install()?;
    let mut run = Run {
        events: homing.events(),
        homing,
        verdicts: Verdicts::default(),
        out: Out::default(),
        json: args.json,
        failed: false,
        notes: Notes::default(),
    };
    if args.wait != Some(Wait::Accepted) {
        run.homing.connect().await?;
    }
    let result = tokio::select! {
        result = run.work(&mut source, args.wait) => result,
        code = signals.arrived() => Ok(Exit::Signal(code)),
    };
    let closed = run.homing.close(CLOSE).await;
    let exit = result?;
    closed?;
    Ok(exit)
}

struct Run {
    homing: Homing,
    events: Events,
    verdicts: Verdicts,
    out: Out,
    json: bool,
    failed: bool,
    notes: Notes,
}

impl Run {
    async fn work(&mut self, source: &mut Source, wait: Option<Wait>) -> Result<Exit, Failure> {
        let mut end = false;
        while !end || wait == Some(Wait::Delivered) && !self.verdicts.is_empty() {
            tokio::select! {
                batch = source.next(), if !end => match batch {
                    Some(batch) => end = !self.accept(batch?, wait).await?,
                    None => end = true,
                },
                event = self.events.next(), if wait == Some(Wait::Delivered) => {
                    self.event(&event.ok_or_else(|| Failure::failed("the driver has stopped"))?)?;
                }
            }
            self.out.flush()?;
        }
        if wait.is_none() {
            // What is not sent by then stays in the outbox for the next run.
            let homing = self.homing.clone();
            let mut tried = std::pin::pin!(homing.flush(TRY));
            loop {
                tokio::select! {
                    flushed = &mut tried => {
                        flushed?;
                        break;
                    }
                    Some(event) = self.events.next() => self.notes.event(&event),
                }
            }
        }
        Ok(if self.failed { Exit::Failed } else { Exit::Done })
    }

    /// False: something was refused, and nothing more is read.
    async fn accept(&mut self, batch: Batch, wait: Option<Wait>) -> Result<bool, Failure> {
        if batch.too_long {
            self.failed = true;
            complain("a line of stdin is longer than 64 MiB");
        }
        for result in accept::each(&self.homing, batch.messages).await {
            match result {
                Ok(id) => {
                    let id = id.number();
                    if wait == Some(Wait::Delivered) {
                        self.verdicts.accepted(id);
                    }
                    if self.json {
                        self.out.json(&Accepted { id })
                    } else {
                        self.out.text(format_args!("{id} accepted"))
                    }?;
                }
                Err(error) => {
                    self.failed = true;
                    complain(&error.to_string());
                }
            }
        }
        Ok(!self.failed)
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        self.notes.event(event);
        let Self { verdicts, out, json, failed, homing, .. } = self;
        let mut tell = |id: u64, fate: &Fate| {
            *failed |= !matches!(fate, Fate::Delivered { .. });
            let line = Verdict::new(id, fate);
            if *json { out.json(&line) } else { out.text(&line) }
        };
        match event {
            Event::Settled(ends) => {
                for (id, fate) in ends.iter() {
                    // Ends of messages of earlier runs are not this command's answer.
                    if verdicts.ended(id.number()) {
                        tell(id.number(), fate)?;
                    }
                }
            }
            Event::Missed(_) => {
                verdicts.catch_up(&homing.reader()?, &mut tell)?;
                refused(&homing.state().get())?;
            }
            Event::State(state) => refused(state)?,
            Event::Warning { code: "outbox_held", .. } => {
                return Err(Failure::failed("the outbox is held: see homing outbox release, homing outbox discard"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// No verdict will come soon if the broker does not let us in.
fn refused(state: &State) -> Result<(), Failure> {
    use ReasonCode::{BadAuthenticationMethod, BadUserNameOrPassword, Banned, ClientIdentifierNotValid, NotAuthorized};
    match state {
        State::TakenOver => {
            Err(Failure::failed("another client has taken the session over; the message waits in the store"))
        }
        State::Waiting { why: Why::Broker(reason), .. }
            if matches!(
                reason,
                BadAuthenticationMethod | BadUserNameOrPassword | Banned | ClientIdentifierNotValid | NotAuthorized
            ) =>
        {
            Err(Failure::failed(format_args!("the broker refused us: {reason}; the message waits in the store")))
        }
        State::Waiting { why: why @ (Why::Refused(_) | Why::ProxyRefused(_)), .. } => {
            Err(Failure::failed(format_args!("{why}; the message waits in the store")))
        }
        _ => Ok(()),
    }
}

fn template(args: &PubArgs) -> Publish {
    let mut properties = Properties::default();
    properties.content_type.clone_from(&args.content_type);
    properties.response_topic.clone_from(&args.response_topic);
    properties.correlation_data = args.correlation_data.clone().map(Bytes::from);
    properties.user.clone_from(&args.user_property);
    let mut message = Publish::new(args.topic.clone(), Bytes::new()).qos(args.qos).retain(args.retain);
    message.ttl = args.ttl;
    message.supersede.clone_from(&args.supersede);
    message.if_unsupported = args.if_unsupported.into();
    message.properties(properties)
}

/// Where the messages come from.
enum Source {
    One(Option<Publish>),
    Lines(mpsc::Receiver<io::Result<Vec<Line>>>, Publish),
}

struct Batch {
    messages: Vec<Publish>,
    too_long: bool,
}

impl Source {
    fn new(args: &PubArgs, template: Publish, max_payload: usize) -> Result<Self, Failure> {
        if args.stdin_lines {
            return Ok(Self::Lines(lines::of_stdin(Some)?, template));
        }
        let payload = match &args.message {
            Some(text) => text.clone().into_bytes(),
            None if io::stdin().is_terminal() => {
                return Err(Failure::usage("no MESSAGE: give it as an argument or on stdin ('' is an empty one)"));
            }
            None => {
                let mut payload = Vec::new();
                // One byte over the limit is enough to be refused for it.
                io::stdin().lock().take(max_payload as u64 + 1).read_to_end(&mut payload)?;
                payload
            }
        };
        Ok(Self::One(Some(with(&template, payload))))
    }

    async fn next(&mut self) -> Option<Result<Batch, Failure>> {
        match self {
            Self::One(message) => message.take().map(|message| Ok(Batch { messages: vec![message], too_long: false })),
            Self::Lines(lines, template) => Some(match lines.recv().await? {
                Err(error) => Err(Failure::failed(format_args!("stdin: {error}"))),
                Ok(lines) => {
                    let mut batch = Batch { messages: Vec::with_capacity(lines.len()), too_long: false };
                    for line in lines {
                        match line {
                            Line::Bytes(payload) => batch.messages.push(with(template, payload)),
                            Line::TooLong => batch.too_long = true,
                        }
                    }
                    Ok(batch)
                }
            }),
        }
    }
}

fn with(template: &Publish, payload: Vec<u8>) -> Publish {
    let mut message = template.clone();
    message.payload = payload.into();
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_ends_the_wait() {
        let waiting = |why| State::Waiting { retry_in_ms: 1, why };
        assert!(refused(&waiting(Why::Broker(ReasonCode::BadUserNameOrPassword))).is_err());
        assert!(refused(&waiting(Why::Refused("HTTP 401".to_owned()))).is_err());
        assert!(refused(&waiting(Why::ProxyRefused("proxy http://p:1".to_owned()))).is_err());
        assert!(refused(&State::TakenOver).is_err());
        assert!(refused(&waiting(Why::Broker(ReasonCode::ServerBusy))).is_ok());
        assert!(refused(&waiting(Why::Unreachable("no route".to_owned()))).is_ok());
        assert!(refused(&State::Online { session_present: true }).is_ok());
    }
}
