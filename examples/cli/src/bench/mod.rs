//! `homing bench`: what users get, measured: the product's own defaults, a real broker, real syncs.

mod measure;
mod open;
mod publish;
mod receive;

use std::time::{Duration, Instant};

use homing::{Event, Homing, Options, State};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::args::{BenchCommand, Common};
use crate::exit::{Exit, Failure};
use crate::signals::Signals;

const CLOSE: Duration = Duration::from_secs(5);
/// As long as it takes.
const FOR_EVER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time to reach the broker.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(mut common: Common, command: BenchCommand) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    if common.broker.is_empty() {
        return Err(Failure::usage("bench needs a broker: name one with --broker mqtt://host:1883"));
    }
    // Kept to the end, and then removed with the store in it.
    let _temporary = temporary_store(&mut common)?;
    let work = async {
        match command {
            BenchCommand::Publish(args) => publish::run(&common, args).await,
            BenchCommand::Receive(args) => receive::run(&common, args).await,
            BenchCommand::Open(args) => open::run(&common, args).await,
        }
    };
    tokio::select! {
        result = work => result.map(|()| Exit::Done),
        code = signals.arrived() => Ok(Exit::Signal(code)),
    }
}

fn temporary_store(common: &mut Common) -> Result<Option<TempDir>, Failure> {
    if common.store.is_some() {
        return Ok(None);
    }
    let folder = tempfile::Builder::new().prefix("homing-bench-").tempdir()?;
    common.store = Some(folder.path().join("bench.db"));
    Ok(Some(folder))
}

/// A payload that an observer can tell from all others: the number as 16 hex digits, then filler.
fn payload(number: u64, bytes: usize) -> Vec<u8> {
    let mut payload = format!("{number:016x}").into_bytes();
    payload.resize(bytes.max(payload.len()), b'.');
    payload
}

/// Opens without a connection, so that no event is missed; then connects. Returns the moment of the CONNACK.
async fn connect(mut options: Options) -> Result<(Homing, Instant), Failure> {
    options.connect = false;
    let client = Homing::open(options).await?;
    let mut events = client.events();
    client.connect().await?;
    let online = async {
        loop {
            match events.next().await {
                Some(Event::State(State::Online { .. })) => return Ok(Instant::now()),
                Some(Event::State(State::Waiting { why, .. })) => {
                    return Err(Failure::failed(format_args!("no connection: {why}")));
                }
                Some(_) => {}
                None => return Err(Failure::failed("the client ended")),
            }
        }
    };
    let clock = timeout(PATIENCE, online).await.map_err(|_| Failure::failed("no answer from the broker in 30 s"))??;
    Ok((client, clock))
}

/// Does the work, with a bar on stderr if that is a terminal.
async fn with_progress<T>(count: u64, position: impl Fn() -> u64, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::new(count);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len}, {per_sec}") {
        bar.set_style(style);
    }
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => {
                bar.finish_and_clear();
                return result;
            }
            _ = tick.tick() => bar.set_position(position()),
        }
    }
}

/// The last line: its keys are a contract.
fn print(line: &Value) -> Result<(), Failure> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").map_err(Failure::stdout)
}
