//! `homing sub`: print, flush, then move the cursor.

use std::future::pending;
use std::num::{NonZeroU64, NonZeroUsize};

use homing::{ConsumerSpec, Event, Homing, Message, State, Subscription, TopicFilter};
use tokio::time::{Instant, sleep_until};

use crate::args::{Common, SubArgs};
use crate::consume::{self, BATCH};
use crate::exit::{CLOSE, Exit, Failure};
use crate::notes::Notes;
use crate::output::{MessageLine, Out};
use crate::signals::Signals;

pub(crate) async fn run(common: Common, args: SubArgs) -> Result<Exit, Failure> {
    let mut options = common.options()?;
    let spec = consume::consumer(&mut options, args.consumer.as_deref(), &args.filters);
    // Connected once consumer and wishes stand in the store.
    options.connect = false;
    let homing = Homing::open(options).await?;
    let result = receive(&homing, spec, &args, Signals::install()?).await;
    let closed = homing.close(CLOSE).await;
    let exit = result?;
    closed?;
    Ok(exit)
}

async fn receive(homing: &Homing, spec: ConsumerSpec, args: &SubArgs, mut signals: Signals) -> Result<Exit, Failure> {
    let mut consumer = homing.consumer(spec).await?;
    for filter in &args.filters {
        homing.subscribe(wish(filter, args)).await?;
    }
    let mut events = homing.events();
    homing.connect().await?;
    let mut out = Out::default();
    let mut notes = Notes::default();
    let mut left = args.count.map_or(u64::MAX, NonZeroU64::get);
    let mut heard = Instant::now();
    while let Some(max) = NonZeroUsize::new(usize::try_from(left).unwrap_or(usize::MAX)) {
        let idle = async {
            match args.idle_exit {
                Some(idle) => sleep_until(heard + idle).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            code = signals.arrived() => return Ok(Exit::Signal(code)),
            event = events.next() => {
                let event = event.ok_or_else(|| Failure::failed("the driver has stopped"))?;
                notes.event(&event);
                if event == Event::State(State::TakenOver) {
                    return Err(Failure::failed("another client has taken the session over"));
                }
            }
            messages = consumer.next(max.min(BATCH)) => {
                let messages = messages?;
                print(&mut out, &messages, args.json)?;
                if let Some(last) = messages.last()
                    && !args.no_done
                {
                    consumer.done_through(last.at).await?;
                }
                left -= messages.len() as u64;
                heard = Instant::now();
            }
            () = idle => break,
        }
    }
    Ok(Exit::Done)
}

fn wish(filter: &TopicFilter, args: &SubArgs) -> Subscription {
    let mut wish = Subscription::new(filter.clone(), args.qos);
    wish.no_local = args.no_local;
    wish.retain_as_published = args.retain_as_published;
    wish.retain_handling = args.retain_handling.into();
    wish
}

fn print(out: &mut Out, messages: &[Message], json: bool) -> Result<(), Failure> {
    for message in messages {
        let line = MessageLine::new(message);
        if json { out.json(&line) } else { out.text(&line) }?;
    }
    out.flush()
}
