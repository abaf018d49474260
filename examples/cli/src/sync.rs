//! `homing sync`: one bounded catch-up, as a phone does it in the background.

use std::fmt;
use std::time::Instant;

use homing::{Homing, SyncReport};
use serde::Serialize;

use crate::args::{Common, SyncArgs};
use crate::exit::{CLOSE, Exit, Failure};
use crate::notes::Notes;
use crate::output::Out;
use crate::signals::Signals;

#[derive(Serialize)]
struct Line {
    sent: u64,
    received: u64,
    waiting: u64,
    drained: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, waiting, drained } = self;
        let end = if *drained { "drained" } else { "not drained" };
        write!(f, "{sent} sent, {received} received, {waiting} waiting, {end}")
    }
}

pub(crate) async fn run(common: Common, args: SyncArgs) -> Result<Exit, Failure> {
    if args.deadline.is_zero() {
        return Err(Failure::usage("--deadline must be at least 1ms"));
    }
    let begun = Instant::now();
    let mut options = common.options()?;
    options.connect = false;
    let homing = Homing::open(options).await?;
    let mut signals = Signals::install()?;
    // Opening counts too; what is left is never nothing, so that the answer is always a report.
    let left = args.deadline.saturating_sub(begun.elapsed()).max(std::time::Duration::from_millis(1));
    let result = tokio::select! {
        result = catch_up(&homing, left, args.json) => result,
        code = signals.arrived() => Ok(Exit::Signal(code)),
    };
    let closed = homing.close(CLOSE).await;
    let exit = result?;
    closed?;
    Ok(exit)
}

async fn catch_up(homing: &Homing, left: std::time::Duration, json: bool) -> Result<Exit, Failure> {
    let (mut events, mut notes) = (homing.events(), Notes::default());
    let report = {
        let mut sync = std::pin::pin!(homing.sync(left));
        loop {
            tokio::select! {
                report = &mut sync => break report?,
                Some(event) = events.next() => notes.event(&event),
            }
        }
    };
    let SyncReport { sent, received, waiting, drained, .. } = report;
    let line = Line { sent, received, waiting, drained };
    let mut out = Out::default();
    if json { out.json(&line) } else { out.text(&line) }?;
    out.flush()?;
    match (report.connected, report.trouble) {
        (true, _) => Ok(Exit::Done),
        (false, Some(why)) => Err(Failure::failed(format_args!("the broker was not reached: {why}"))),
        (false, None) => Err(Failure::failed("the broker was not reached in time")),
    }
}
