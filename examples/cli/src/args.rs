//! The command line as data. Names and flags are a contract with scripts.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use homing::{ClientId, Limit, QoS, TopicFilter, TopicName};

use crate::config::Replaced;
use crate::profile::ProfileArgs;
use crate::values::{DurabilityArg, IfUnsupportedArg, InboxFullArg, Mqtt, RetainHandlingArg, Wait};
use crate::values::{duration, limit, pair, qos, rate};

pub(crate) use bench::{BenchCommand, BenchOpen, BenchPublish, BenchReceive};
pub(crate) use outbox::{OutboxArgs, OutboxCommand};
pub(crate) use parse::parse;
pub(crate) use tls::TlsArgs;

/// A durable MQTT client: nothing is lost or doubled when it is killed.
#[derive(Parser)]
#[command(name = "homing", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = help::TOP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes, before or after its name. None: not given, neither here nor in the environment nor
/// (once merged) in the configuration file. No `Debug`: it may hold credentials.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Common flags")]
pub(crate) struct Common {
    /// The file that holds the session [default: one a client id, in the user's data folder]
    #[arg(long, global = true, value_name = "FILE", env = "HOMING_STORE", hide_env_values = true)]
    pub(crate) store: Option<PathBuf>,
    /// mqtt://[user:password@]host[:port], mqtts:// for TLS, ws:// or wss:// (WebSocket, with a path), unix:///path/of/socket
    /// Again for more addresses of the same broker. A password here shows in the list of processes: give it by the variable,
    /// or as `user` and `password` in --config [default: what the store knows]
    // A string, checked later: an error of clap would repeat the text, and with it a password.
    #[arg(long, global = true, value_name = "URL", env = "HOMING_BROKER", hide_env_values = true)]
    pub(crate) broker: Vec<String>,
    /// Through a proxy: http:// (CONNECT), socks5:// or socks5h://[user:password@]host:port; or `system`: what HTTPS_PROXY,
    /// ALL_PROXY and NO_PROXY say; or `none`, against a file or a variable that names one [default: none]
    // A string for the same reason.
    #[arg(long, global = true, value_name = "URL", env = "HOMING_PROXY", hide_env_values = true)]
    pub(crate) proxy: Option<String>,
    /// Client identifier [default: the store's own; a new store makes one]
    #[arg(long, global = true, value_name = "ID", env = "HOMING_CLIENT_ID", hide_env_values = true)]
    pub(crate) client_id: Option<ClientId>,
    /// MQTT version [default: auto]
    #[arg(long, global = true, value_name = "VERSION", env = "HOMING_MQTT", hide_env_values = true)]
    pub(crate) mqtt: Option<Mqtt>,
    /// Longest silence on the link; 0s turns it off [default: 60s]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, env = "HOMING_KEEP_ALIVE", hide_env_values = true)]
    pub(crate) keep_alive: Option<Duration>,
    /// How long the broker keeps the session while we are away [default: 7d]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, env = "HOMING_SESSION_EXPIRY", hide_env_values = true)]
    pub(crate) session_expiry: Option<Duration>,
    /// What a commit survives [default: power-loss]
    #[arg(long, global = true, value_name = "LEVEL", env = "HOMING_DURABILITY", hide_env_values = true)]
    pub(crate) durability: Option<DurabilityArg>,
    /// Most unfinished outgoing QoS 1 and 2 messages [default: 1000]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "HOMING_INFLIGHT", hide_env_values = true)]
    pub(crate) inflight: Option<u16>,
    /// Most unfinished outgoing QoS 2 messages with MQTT 3.1.1 [default: 20]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "HOMING_INFLIGHT_QOS2", hide_env_values = true)]
    pub(crate) inflight_qos2: Option<u16>,
    /// How long messages stay in the inbox once they are done [default: 30d]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, env = "HOMING_RETENTION", hide_env_values = true)]
    pub(crate) retention: Option<Duration>,
    /// Most messages and bytes waiting to be sent [default: 2000000,1GiB]
    #[arg(long, global = true, value_name = "LIMIT", value_parser = limit, env = "HOMING_OUTBOX_LIMIT", hide_env_values = true)]
    pub(crate) outbox_limit: Option<Limit>,
    /// Most messages and bytes kept in the inbox [default: 2000000,1GiB]
    #[arg(long, global = true, value_name = "LIMIT", value_parser = limit, env = "HOMING_INBOX_LIMIT", hide_env_values = true)]
    pub(crate) inbox_limit: Option<Limit>,
    /// What to do at the inbox's limit [default: pause]
    #[arg(long, global = true, value_name = "POLICY", env = "HOMING_INBOX_FULL", hide_env_values = true)]
    pub(crate) inbox_full: Option<InboxFullArg>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) service: ProfileArgs,
    /// TOML file with these flags as keys, `user`, `password`, and tables (`websocket-headers`, services)
    #[arg(long, global = true, value_name = "FILE", env = "HOMING_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Say more on stderr; twice or thrice: still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// User name and password of the configuration file.
    #[arg(skip)]
    pub(crate) credentials: Option<homing::Credentials>,
    /// The file's brokers, if a flag or a variable has put others in their place.
    #[arg(skip)]
    pub(crate) replaced: Option<Replaced>,
    /// The table of the configuration file.
    #[arg(skip)]
    pub(crate) websocket_headers: Vec<homing::HttpHeader>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The promise in under a minute: kills a phone while messages are in flight, counts what was lost
    #[command(after_help = "Examples:\n  homing demo\n  homing demo --fast --json")]
    Demo(DemoArgs),
    /// An embedded broker, for trying things out
    #[command(after_help = "Example:\n  homing broker --listen 127.0.0.1:1883")]
    Broker(BrokerArgs),
    /// The sensors of a home
    #[command(after_help = "Example:\n  homing simulate --rooms 4 --rate 10/s --broker mqtt://localhost")]
    Simulate(SimulateArgs),
    /// Publish; every message is on disk before its id is printed
    #[command(after_help = "Examples:\n  homing pub home/light on --broker mqtt://localhost\n  \
        homing pub home/light on --wait delivered --json\n  seq 1000 | homing pub home/count --stdin-lines -q 2\n  \
        homing pub home/photo < photo.jpg")]
    Pub(PubArgs),
    /// Receive through a durable consumer; a message is done once it is printed
    #[command(after_help = "Examples:\n  homing sub 'home/#' --broker mqtt://localhost\n  \
        homing sub 'home/+/temperature' --consumer chart --count 100 --json")]
    Sub(SubArgs),
    /// One bounded catch-up: send what waits, receive what is there, go again
    #[command(after_help = "Example:\n  homing sync --deadline 20s --json --store light.db")]
    Sync(SyncArgs),
    /// The whole SDK for a script: JSON lines in, JSON lines out
    #[command(
        after_help = "Example:\n  echo '{\"op\":\"publish\",\"ref\":\"a1\",\"topic\":\"home/light\",\"payload\":\"on\"}' \
        | homing pipe --exit-when-drained --broker mqtt://localhost"
    )]
    Pipe(PipeArgs),
    /// Messages that are not finished yet: cancelling one, releasing those of a restored copy (no connection is made)
    #[command(
        after_help = "Examples:\n  homing outbox --json --store light.db\n  homing outbox cancel 7 --store light.db"
    )]
    Outbox(OutboxArgs),
    /// Received messages that the store still keeps (no connection is made)
    #[command(after_help = "Example:\n  homing inbox --json --store light.db")]
    Inbox(ReadArgs),
    /// What became of a message (no connection is made)
    #[command(after_help = "Example:\n  homing verdict 7 --store light.db")]
    Verdict(VerdictArgs),
    /// Store and session at a glance (no connection is made)
    #[command(after_help = "Example:\n  homing status --json --store light.db")]
    Status(ReadArgs),
    /// Integrity check, sizes, what befell the store, and how to mend it (no connection is made)
    #[command(after_help = "Examples:\n  homing doctor --store light.db\n  homing doctor --json --store light.db\n  \
        homing doctor --repair --store light.db\n\nEnds with 0 if all is well, with 1 if something is wrong. Only --repair \
        changes anything.")]
    Doctor(DoctorArgs),
    /// The last value of each topic, with its age (no connection is made)
    #[command(after_help = "Examples:\n  homing last --store panel.db\n  homing last 'home/+/temperature' --json")]
    Last(LastArgs),
    /// What came on some topics (no connection is made)
    #[command(after_help = "Examples:\n  homing history 'home/#' --since 2h --json\n  \
        homing history home/kitchen/temperature --limit 500 --plot")]
    History(HistoryArgs),
    /// When messages may be missing, and why (no connection is made)
    #[command(after_help = "Example:\n  homing gaps --json --store panel.db")]
    Gaps(ReadArgs),
    /// Everything received that the store keeps, as JSON lines (no connection is made)
    #[command(after_help = "Example:\n  homing export --json --store panel.db > panel.jsonl")]
    Export(ReadArgs),
    /// A completion script for a shell, on stdout
    #[command(after_help = "Example:\n  homing completions bash > ~/.local/share/bash-completion/completions/homing")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The manual: the main page on stdout, or a page a command in a folder
    #[command(after_help = "Example:\n  homing man ~/.local/share/man/man1")]
    Man {
        /// Where to; made if missing
        folder: Option<PathBuf>,
    },
    /// The benchmarks of the README
    #[command(subcommand)]
    #[command(after_help = "Example:\n  homing bench publish --count 100000 --broker mqtt://localhost")]
    Bench(BenchCommand),
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// A short run, for tests
    #[arg(long)]
    pub(crate) fast: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct BrokerArgs {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
    pub(crate) listen: SocketAddr,
    /// Keeps sessions and retained messages there [default: in memory only]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// For the demo: no broker is left behind, however the demo ends
    #[arg(long, hide = true)]
    pub(crate) until_stdin_ends: bool,
}

#[derive(Args)]
pub(crate) struct SimulateArgs {
    /// Number of rooms
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) rooms: NonZeroUsize,
    /// Messages a second, all rooms together
    #[arg(long, value_parser = rate, default_value = "10/s")]
    pub(crate) rate: f64,
    /// The same seed gives the same home [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PubArgs {
    /// Where to
    pub(crate) topic: TopicName,
    /// The payload [default: all of stdin, unless that is a terminal]
    #[arg(conflicts_with = "stdin_lines", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// Quality of service
    #[arg(short, long, value_parser = qos, default_value = "1", value_name = "0-2")]
    pub(crate) qos: QoS,
    /// The broker keeps it as the topic's retained message
    #[arg(short, long)]
    pub(crate) retain: bool,
    /// Each line of stdin is a message
    #[arg(long)]
    pub(crate) stdin_lines: bool,
    /// It expires if it cannot be sent within this time
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) ttl: Option<Duration>,
    /// Replaces waiting messages with the same key, of 1 to 255 bytes
    #[arg(long, value_name = "KEY")]
    pub(crate) supersede: Option<String>,
    /// What to do if the broker does not support the QoS or the retain flag, or the size (park: keep it for another one)
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    pub(crate) if_unsupported: IfUnsupportedArg,
    /// Wait until it is on disk, or until the broker's verdict [default: up to 5 s]
    #[arg(long, value_name = "FOR")]
    pub(crate) wait: Option<Wait>,
    /// MQTT 5: MIME type of the payload
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// MQTT 5: where an answer should go
    #[arg(long, value_name = "TOPIC")]
    pub(crate) response_topic: Option<TopicName>,
    /// MQTT 5: which request an answer belongs to
    #[arg(long, value_name = "TEXT")]
    pub(crate) correlation_data: Option<String>,
    /// MQTT 5: a user property; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) user_property: Vec<(String, String)>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct SubArgs {
    /// Topic filters
    #[arg(required = true, value_name = "FILTER")]
    pub(crate) filters: Vec<TopicFilter>,
    /// Highest quality of service
    #[arg(short, long, value_parser = qos, default_value = "1", value_name = "0-2")]
    pub(crate) qos: QoS,
    /// Durable consumer: remembers what was done with [default: default, which sees every message of the store]
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<NonZeroU64>,
    /// End when no message has come for so long
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) idle_exit: Option<Duration>,
    /// Leave the messages in the inbox as not done
    #[arg(long)]
    pub(crate) no_done: bool,
    /// MQTT 5: not what this client published itself
    #[arg(long)]
    pub(crate) no_local: bool,
    /// MQTT 5: keep the retain flag as it was published
    #[arg(long)]
    pub(crate) retain_as_published: bool,
    /// MQTT 5: when the broker sends retained messages
    #[arg(long, value_name = "WHEN", default_value = "if-new")]
    pub(crate) retain_handling: RetainHandlingArg,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct SyncArgs {
    /// For everything, names and connecting included
    #[arg(long, value_parser = duration, value_name = "TIME", default_value = "20s")]
    pub(crate) deadline: Duration,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PipeArgs {
    /// Topic filters to subscribe to
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<TopicFilter>,
    /// Highest quality of service of the filters
    #[arg(short, long, value_parser = qos, default_value = "1", value_name = "0-2")]
    pub(crate) qos: QoS,
    /// Durable consumer [default: default, which sees every message of the store]
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,
    /// A message is done once its line is written
    #[arg(long)]
    pub(crate) auto_done: bool,
    /// At the end of stdin, wait until every accepted message has its verdict
    #[arg(long)]
    pub(crate) exit_when_drained: bool,
}

#[derive(Args)]
pub(crate) struct ReadArgs {
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// Mend it: set a damaged file aside and save what can be read, count anew, give unused room back
    #[arg(long)]
    pub(crate) repair: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct LastArgs {
    /// Topics [default: all]
    pub(crate) filter: Option<TopicFilter>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct HistoryArgs {
    /// Topics
    pub(crate) filter: TopicFilter,
    /// Only what was received within this time
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) since: Option<Duration>,
    /// Only the newest of them
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,
    /// Draw the payloads that are numbers as a chart, one a topic
    #[arg(long, conflicts_with = "json")]
    pub(crate) plot: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct VerdictArgs {
    /// The id that was printed when the message was accepted
    pub(crate) id: u64,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

mod bench;
mod help;
mod outbox;
mod parse;
#[cfg(test)]
mod tests;
mod tls;
