//! `bench publish`: callers that publish, await the id, and repeat; from CONNACK to the last verdict.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;
use homing::{Durability, Fate, Homing, MessageId, Publish, PublishError, QoS, TopicName};
use serde_json::json;
use tokio::task::JoinSet;

use super::measure::{cpu, peak_rss, rounded};
use super::{CLOSE, FOR_EVER, connect, payload, print, with_progress};
use crate::args::{BenchPublish, Common};
use crate::exit::Failure;

/// What all callers share.
struct Work {
    client: Homing,
    topic: TopicName,
    bytes: usize,
    qos: QoS,
    count: u64,
    next: AtomicU64,
    /// From the call to the id, in microseconds.
    accepted: Mutex<Histogram<u64>>,
}

/// Returns the last id that this caller was given.
async fn call(work: Arc<Work>) -> Result<Option<MessageId>, PublishError> {
    let mut last = None;
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number >= work.count {
            return Ok(last);
        }
        let message = Publish::new(work.topic.clone(), payload(number, work.bytes)).qos(work.qos);
        let start = Instant::now();
        last = Some(work.client.publish(message).await?);
        let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        work.accepted.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took);
    }
}

pub(super) async fn run(common: &Common, args: BenchPublish) -> Result<(), Failure> {
    let options = common.options()?;
    let durability = options.durability;
    let (client, clock) = connect(options).await?;
    let (cpu_before, before) = (cpu(), client.metrics());
    // Up to a minute for one publish, at three digits.
    let accepted = Mutex::new(Histogram::new_with_max(60_000_000, 3)?);
    let count = args.count.get();
    let (topic, bytes, qos) = (args.topic, args.payload as usize, args.qos);
    let work = Arc::new(Work { client: client.clone(), topic, bytes, qos, count, next: AtomicU64::new(0), accepted });
    let mut callers: JoinSet<_> = (0..args.callers.get()).map(|_| call(work.clone())).collect();
    let settled = with_progress(count, || client.metrics().settled - before.settled, async {
        let mut last = None;
        while let Some(ended) = callers.join_next().await {
            last = last.max(ended??);
        }
        client.flush(FOR_EVER).await?;
        Ok::<_, Failure>(last)
    });
    let last = settled.await?;
    let seconds = clock.elapsed().as_secs_f64();
    let cpu_us = (cpu() - cpu_before).as_secs_f64() * 1e6;
    let commits = client.metrics().commits - before.commits;
    let fate = match last {
        Some(id) => client.fate(id).await?,
        None => Fate::Unknown,
    };
    client.close(CLOSE).await?;
    let accepted = work.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    print(&json!({
        "bench": "publish",
        "count": count,
        "payload": bytes,
        "qos": qos.number(),
        "callers": args.callers.get(),
        "durability": word(durability),
        "seconds": rounded(seconds),
        "per_second": (count as f64 / seconds).round(),
        "cpu_us_per_message": rounded(cpu_us / count as f64),
        "peak_rss_bytes": peak_rss(),
        "accept_p50_us": accepted.value_at_quantile(0.5),
        "accept_p99_us": accepted.value_at_quantile(0.99),
        "commits": commits,
    }))?;
    match fate {
        Fate::Delivered { .. } | Fate::Sent => Ok(()),
        // A broker that refuses is fast.
        fate => Err(Failure::failed(format_args!("the last message was not delivered: {fate:?}"))),
    }
}

/// As `--durability` and the documents write it.
pub(super) const fn word(durability: Durability) -> &'static str {
    match durability {
        Durability::ProcessKill => "process_kill",
        _ => "power_loss",
    }
}
