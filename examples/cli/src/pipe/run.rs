//! The pipe at work: lines in their order, events and messages between them, every line flushed before it waits.

use std::future::poll_fn;
use std::iter::Peekable;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use homing::{
    Cancel, Consumer, ConsumerSpec, Error, Event, Events, Farewell, Homing, Message, MessageId, Position, Subscription,
    TopicFilter,
};
use serde_json::Value;
use tokio::task::{JoinSet, unconstrained};

use super::codes;
use super::line::{Connection, Line};
use super::parse::{Op, Parsed, Problem, parse};
use crate::accept;
use crate::args::{Common, PipeArgs};
use crate::consume::{self, BATCH};
use crate::exit::{CLOSE, Exit, Failure};
use crate::lines;
use crate::notes::Notes;
use crate::output::{MessageLine, Out, StatusLine, Verdict};
use crate::signals::Signals;
use crate::verdicts::Verdicts;

pub(crate) async fn run(common: Common, args: PipeArgs) -> Result<Exit, Failure> {
    let mut options = common.options()?;
    let spec = consume::consumer(&mut options, args.consumer.as_deref(), &args.filters);
    // Connected once the stream of events is there, so that none is missed.
    options.connect = false;
    let homing = Homing::open(options).await?;
    let signals = Signals::install()?;
    let result = work(&homing, spec, &args, signals).await;
    let closed = homing.close(CLOSE).await;
    let exit = result?;
    closed?;
    Ok(exit)
}

async fn work(homing: &Homing, spec: ConsumerSpec, args: &PipeArgs, mut signals: Signals) -> Result<Exit, Failure> {
    let mut events = homing.events();
    let mut consumer = homing.consumer(spec.clone()).await?;
    for filter in &args.filters {
        homing.subscribe(Subscription::new(filter.clone(), args.qos)).await?;
    }
    homing.connect().await?;
    let mut lines = lines::of_stdin(parse)?;
    let mut pipe = Pipe {
        homing: homing.clone(),
        spec,
        out: Out::default(),
        verdicts: Verdicts::default(),
        notes: Notes::default(),
        waits: JoinSet::new(),
    };
    let mut end = false;
    let mut drained = !args.exit_when_drained;
    loop {
        pipe.out.flush()?;
        if end && pipe.waits.is_empty() {
            if drained {
                return Ok(Exit::Done);
            }
            // Every accepted message has come to its end; what the stream has dropped stands in the rows.
            pipe.ready_events(&mut events).await?;
            pipe.catch_up()?;
            drained = true;
            continue;
        }
        tokio::select! {
            code = signals.arrived() => return Ok(Exit::Signal(code)),
            event = events.next() => pipe.event(event)?,
            messages = consumer.next(BATCH) => {
                let messages = messages?;
                pipe.messages(&messages)?;
                if let Some(last) = messages.last() && args.auto_done {
                    consumer.done_through(last.at).await?;
                }
            }
            Some(wait) = pipe.waits.join_next() => {
                // What a flush has waited for is told before it.
                pipe.ready_events(&mut events).await?;
                pipe.waited(wait?)?;
            }
            batch = lines.recv(), if !end => match batch {
                Some(batch) => {
                    let batch = batch.map_err(|error| Failure::failed(format_args!("stdin: {error}")))?;
                    // What a commit holds up must not hold up a signal; what is committed stays, told or not.
                    tokio::select! {
                        done = pipe.lines(batch, &consumer) => done?,
                        code = signals.arrived() => return Ok(Exit::Signal(code)),
                    }
                }
                None => {
                    end = true;
                    if args.exit_when_drained {
                        pipe.wait_until_drained();
                    }
                }
            },
        }
    }
}

/// Something that takes its time beside everything else.
enum Waited {
    Flushed { reference: Option<Value>, result: Result<bool, Error> },
    Drained(Result<(), Error>),
}

struct Pipe {
    homing: Homing,
    spec: ConsumerSpec,
    out: Out,
    verdicts: Verdicts,
    notes: Notes,
    waits: JoinSet<Waited>,
}

impl Pipe {
    /// Does the lines in their order; publishes that follow each other are committed together, and so are marks.
    async fn lines(&mut self, batch: Vec<Parsed>, consumer: &Consumer) -> Result<(), Failure> {
        let mut batch = batch.into_iter().peekable();
        while let Some(Parsed { reference, op }) = batch.next() {
            match op {
                Err(Problem { code, message }) => self.out.json(&Line::error(reference, code, message))?,
                Ok(Op::Publish(first)) => {
                    let mut references = vec![reference];
                    let mut messages = vec![first];
                    while let Some((reference, message)) = next_publish(&mut batch) {
                        references.push(reference);
                        messages.push(message);
                    }
                    self.publish(references, messages).await?;
                }
                Ok(Op::Done(first)) => {
                    let mut marks = vec![(reference, first)];
                    while let Some(mark) = next_done(&mut batch) {
                        marks.push(mark);
                    }
                    self.done(marks, consumer).await?;
                }
                Ok(op) => {
                    if let Err(error) = self.other(op, reference.clone()).await? {
                        self.out.json(&Line::error(reference, codes::of(&error), error))?;
                    }
                }
            }
            self.out.flush()?;
        }
        Ok(())
    }

    async fn publish(&mut self, references: Vec<Option<Value>>, messages: Vec<homing::Publish>) -> Result<(), Failure> {
        let results = accept::each(&self.homing, messages).await;
        for (reference, result) in references.into_iter().zip(results) {
            match result {
                Ok(id) => {
                    let id = id.number();
                    self.verdicts.accepted(id);
                    self.out.json(&Line::Accepted { reference, id })?;
                }
                Err(error) => self.out.json(&Line::error(reference, codes::of_publish(&error), error))?,
            }
        }
        Ok(())
    }

    /// A mark covers all before it: if the furthest one holds, all do, and one commit is enough.
    async fn done(&mut self, marks: Vec<(Option<Value>, u64)>, consumer: &Consumer) -> Result<(), Failure> {
        let position = |seq| Position::new(self.homing.store_id(), seq);
        let furthest = marks.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
        if consumer.done_through(position(furthest)).await.is_ok() {
            return Ok(());
        }
        for (reference, seq) in marks {
            if let Err(error) = consumer.done_through(position(seq)).await {
                self.out.json(&Line::error(reference, codes::of(&error), error))?;
            }
        }
        Ok(())
    }

    async fn other(&mut self, op: Op, reference: Option<Value>) -> Result<Result<(), Error>, Failure> {
        Ok(match op {
            Op::Subscribe(wish) => self.subscribe(wish).await,
            Op::Unsubscribe(filter) => self.homing.unsubscribe(filter).await,
            Op::Cancel(id) => match self.homing.cancel(MessageId::new(self.homing.store_id(), id)).await {
                // Its verdict tells it.
                Ok(Cancel::Cancelled) => Ok(()),
                Ok(answer) => {
                    let why = match answer {
                        Cancel::Settled(fate) => Verdict::new(id, &fate).outcome,
                        _ => "in_flight",
                    };
                    let text = format!("message {id} cannot be cancelled any more: {why}");
                    self.out.json(&Line::error(reference, codes::NOT_WAITING, text))?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Op::Connect => self.homing.connect().await,
            Op::Disconnect => self.homing.disconnect(Farewell::KeepSession).await,
            Op::Status => match self.homing.reader()?.status() {
                Ok(status) => {
                    let status = StatusLine::new(status).live(
                        Connection::of(&self.homing.state().get()).state,
                        self.homing.metrics(),
                        jiff::Timestamp::now().as_millisecond(),
                    );
                    self.out.json(&Line::Status { reference, status: Box::new(status) })?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Op::Flush(deadline) => {
                let homing = self.homing.clone();
                self.waits.spawn(async move { Waited::Flushed { reference, result: homing.flush(deadline).await } });
                Ok(())
            }
            // Done in `lines`.
            Op::Publish(_) | Op::Done(_) => Ok(()),
        })
    }

    async fn subscribe(&mut self, wish: Subscription) -> Result<(), Error> {
        let filter: TopicFilter = wish.filter.clone();
        // A consumer that wants only some topics has to want these too.
        if !self.spec.filters.is_empty() && !self.spec.filters.contains(&filter) {
            let spec = self.spec.clone().filter(filter);
            self.homing.consumer(spec.clone()).await?;
            self.spec = spec;
        }
        self.homing.subscribe(wish).await
    }

    /// Events that are there already.
    async fn ready_events(&mut self, events: &mut Events) -> Result<(), Failure> {
        loop {
            let mut next = pin!(unconstrained(events.next()));
            match poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
                Poll::Ready(event) => self.event(event)?,
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn event(&mut self, event: Option<Event>) -> Result<(), Failure> {
        let event = event.ok_or_else(|| Failure::failed("the driver has stopped"))?;
        match &event {
            Event::Settled(ends) => {
                for (id, fate) in ends.iter().map(|(id, fate)| (id.number(), fate)) {
                    if self.verdicts.settled(id, fate) {
                        self.out.json(&Line::Verdict(Verdict::new(id, fate)))?;
                    }
                }
            }
            Event::Missed(_) => {
                self.catch_up()?;
                self.out.json(&Line::Connection(Connection::of(&self.homing.state().get())))?;
            }
            Event::Warning { .. } => self.notes.event(&event),
            event => {
                if let Some(line) = Line::of(event) {
                    self.out.json(&line)?;
                }
            }
        }
        Ok(())
    }

    fn catch_up(&mut self) -> Result<(), Failure> {
        let out = &mut self.out;
        self.verdicts.catch_up(&self.homing.reader()?, |id, fate| out.json(&Line::Verdict(Verdict::new(id, fate))))
    }

    fn messages(&mut self, messages: &[Message]) -> Result<(), Failure> {
        for message in messages {
            self.out.json(&Line::Message(MessageLine::new(message)))?;
        }
        self.out.flush()
    }

    fn waited(&mut self, waited: Waited) -> Result<(), Failure> {
        match waited {
            Waited::Flushed { reference, result: Ok(drained) } => self.out.json(&Line::Flushed { reference, drained }),
            Waited::Flushed { reference, result: Err(error) } => {
                self.out.json(&Line::error(reference, codes::of(&error), error))
            }
            Waited::Drained(result) => Ok(result?),
        }
    }

    /// Messages of earlier runs included.
    fn wait_until_drained(&mut self) {
        let homing = self.homing.clone();
        self.waits.spawn(async move {
            loop {
                match homing.flush(Duration::from_secs(3600)).await {
                    Ok(false) => {}
                    Ok(true) => return Waited::Drained(Ok(())),
                    Err(error) => return Waited::Drained(Err(error)),
                }
            }
        });
    }
}

fn next_publish(batch: &mut Peekable<impl Iterator<Item = Parsed>>) -> Option<(Option<Value>, homing::Publish)> {
    match batch.next_if(|line| matches!(line.op, Ok(Op::Publish(_))))? {
        Parsed { reference, op: Ok(Op::Publish(message)) } => Some((reference, message)),
        _ => None,
    }
}

fn next_done(batch: &mut Peekable<impl Iterator<Item = Parsed>>) -> Option<(Option<Value>, u64)> {
    match batch.next_if(|line| matches!(line.op, Ok(Op::Done(_))))? {
        Parsed { reference, op: Ok(Op::Done(seq)) } => Some((reference, seq)),
        _ => None,
    }
}
