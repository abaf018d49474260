//! `bench open`: a store with many waiting messages, from open to the first PUBLISH on the wire and to the last verdict.

use std::process::Stdio;
use std::time::{Duration, Instant};

use homing::{Homing, Options, Publish, TopicName};
use serde_json::json;

use super::measure::{millis, peak_rss};
use super::{CLOSE, FOR_EVER, payload, print, with_progress};
use crate::args::{BenchOpen, Common};
use crate::exit::Failure;

/// Rows a transaction while they are made.
const BATCH: u64 = 1_000;
const PAYLOAD: usize = 100;
/// How often it is looked whether a PUBLISH has gone out: the error of that time.
const LOOK: Duration = Duration::from_micros(50);

pub(super) async fn run(common: &Common, args: BenchOpen) -> Result<(), Failure> {
    let mut options = common.options()?;
    let rows = args.rows.get();
    if args.fill {
        options.connect = false;
        return fill(options, rows).await;
    }
    fill_in_child(&options, rows).await?;
    options.connect = true;
    let start = Instant::now();
    let client = Homing::open(options).await?;
    let opened = start.elapsed();
    let watched = client.clone();
    // A thread that looks, for a timer of the runtime is a whole millisecond late.
    let first = tokio::task::spawn_blocking(move || {
        while watched.metrics().sent == 0 {
            std::thread::sleep(LOOK);
        }
        start.elapsed()
    });
    let drained = with_progress(rows, || client.metrics().settled, async {
        client.flush(FOR_EVER).await?;
        Ok::<_, Failure>(start.elapsed())
    });
    let drained = drained.await?;
    let first = first.await?;
    client.close(CLOSE).await?;
    print(&json!({
        "bench": "open",
        "rows": rows,
        "open_ms": millis(opened),
        "first_publish_ms": millis(first),
        "drained_ms": millis(drained),
        "peak_rss_bytes": peak_rss(),
    }))
}

/// In a process of its own, for this one's peak memory shall be that of opening and draining.
async fn fill_in_child(options: &Options, rows: u64) -> Result<(), Failure> {
    let mut child = tokio::process::Command::new(std::env::current_exe()?)
        // As this process was called: same store options, same client identifier.
        .args(std::env::args_os().skip(1))
        .arg("--fill")
        .env("HOMING_STORE", &options.store)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    match child.wait().await?.success() {
        true => Ok(()),
        false => Err(Failure::failed(format_args!("the {rows} waiting messages could not be made"))),
    }
}

async fn fill(options: Options, rows: u64) -> Result<(), Failure> {
    let topic = TopicName::new("dev/0123456789/telemetry")?;
    let client = Homing::open(options).await?;
    let work = async {
        let mut made = 0;
        while made < rows {
            let batch = made..rows.min(made + BATCH);
            made = batch.end;
            let messages = batch.map(|number| Publish::new(topic.clone(), payload(number, PAYLOAD))).collect();
            client.publish_all(messages).await?;
        }
        Ok::<_, Failure>(())
    };
    with_progress(rows, || client.metrics().published, work).await?;
    Ok(client.close(CLOSE).await?)
}
