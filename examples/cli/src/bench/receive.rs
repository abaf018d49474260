//! `bench receive`: from the first message to the last one stored and acknowledged. Somebody else publishes them.

use std::time::{Duration, Instant};

use homing::Subscription;
use serde_json::json;

use super::measure::{cpu, peak_rss, rounded};
use super::publish::word;
use super::{CLOSE, connect, print, with_progress};
use crate::args::{BenchReceive, Common};
use crate::exit::Failure;

/// How often the counters are looked at: the error of the clock, at either end.
const LOOK: Duration = Duration::from_millis(1);

pub(super) async fn run(common: &Common, args: BenchReceive) -> Result<(), Failure> {
    let options = common.options()?;
    let (durability, store) = (options.durability, options.store.clone());
    let (client, _) = connect(options).await?;
    client.subscribe(Subscription::new(args.filter, args.qos)).await?;
    let count = args.count.get();
    // Counters are raised once a turn's messages are committed and their acknowledgements are on their way.
    let received = || client.metrics().received;
    let arriving = with_progress(count, received, async {
        while received() == 0 {
            tokio::time::sleep(LOOK).await;
        }
        let start = (Instant::now(), cpu(), client.metrics().commits);
        while received() < count {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, Failure>(start)
    });
    let (start, cpu_before, commits_before) = arriving.await?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_us = (cpu() - cpu_before).as_secs_f64() * 1e6;
    let commits = client.metrics().commits - commits_before;
    client.close(CLOSE).await?;
    let first = homing::Reader::open(&store)?.inbox(0, 1)?;
    print(&json!({
        "bench": "receive",
        "count": count,
        "payload": first.first().map(|message| message.payload.len()),
        "qos": args.qos.number(),
        "callers": 0,
        "durability": word(durability),
        "seconds": rounded(seconds),
        "per_second": (count as f64 / seconds).round(),
        "cpu_us_per_message": rounded(cpu_us / count as f64),
        "peak_rss_bytes": peak_rss(),
        "accept_p50_us": null,
        "accept_p99_us": null,
        "commits": commits,
    }))
}
