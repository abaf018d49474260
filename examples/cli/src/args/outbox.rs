//! `homing outbox` and what can be done to a message in it.

use clap::{Args, Subcommand};

use super::ReadArgs;

#[derive(Args)]
pub(crate) struct OutboxArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(subcommand)]
    pub(crate) command: Option<OutboxCommand>,
}

#[derive(Subcommand)]
pub(crate) enum OutboxCommand {
    /// A restored copy: send its messages after all (the original may have sent them)
    #[command(after_help = "Example:\n  homing outbox release --store light.db")]
    Release {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// A restored copy: cancel the messages that came with it
    #[command(after_help = "Example:\n  homing outbox discard --store light.db")]
    Discard {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Take a message back that was not sent yet
    #[command(after_help = "Example:\n  homing outbox cancel 7 --store light.db")]
    Cancel {
        /// The id that was printed when the message was accepted
        id: u64,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}
