//! The arguments of `homing bench`.

use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Args, Subcommand};
use homing::{QoS, TopicFilter, TopicName};

use crate::values::qos;

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Each caller: publish, await the id, repeat; from CONNACK to the last verdict
    #[command(after_help = "Example:\n  homing bench publish --count 100000 --broker mqtt://localhost")]
    Publish(BenchPublish),
    /// From the first message to the last one stored and acknowledged
    #[command(
        after_help = "Example:\n  homing bench receive --count 100000 --filter 'dev/#' --broker mqtt://localhost"
    )]
    Receive(BenchReceive),
    /// From open to the first PUBLISH on the wire, with many messages waiting
    #[command(after_help = "Example:\n  homing bench open --rows 1000000 --broker mqtt://localhost")]
    Open(BenchOpen),
}

#[derive(Args)]
pub(crate) struct BenchPublish {
    /// Number of messages
    #[arg(long, value_name = "N")]
    pub(crate) count: NonZeroU64,
    /// Payload size in bytes
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = clap::value_parser!(u32).range(16..))]
    pub(crate) payload: u32,
    /// Quality of service
    #[arg(short, long, value_parser = qos, default_value = "1", value_name = "0-2")]
    pub(crate) qos: QoS,
    /// Concurrent callers
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) callers: NonZeroUsize,
    /// Where to
    #[arg(long, default_value = "dev/0123456789/telemetry")]
    pub(crate) topic: TopicName,
}

#[derive(Args)]
pub(crate) struct BenchReceive {
    /// Number of messages
    #[arg(long, value_name = "N")]
    pub(crate) count: NonZeroU64,
    /// What to subscribe to
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: TopicFilter,
    /// Highest quality of service
    #[arg(short, long, value_parser = qos, default_value = "1", value_name = "0-2")]
    pub(crate) qos: QoS,
}

#[derive(Args)]
pub(crate) struct BenchOpen {
    /// Number of waiting messages, made first
    #[arg(long, value_name = "N")]
    pub(crate) rows: NonZeroU64,
    /// For this command itself: only makes the rows, in a process whose memory is not measured
    #[arg(long, hide = true)]
    pub(crate) fill: bool,
}
