//! The command line of Homing: reads the arguments, runs one command, ends with its exit status.

mod accept;
mod args;
mod bench;
mod broker;
mod cancel;
mod config;
mod consume;
mod copied;
mod demo;
mod doctor;
mod exit;
mod generate;
mod lines;
mod notes;
mod offline;
mod output;
mod pipe;
mod profile;
mod publish;
mod read;
mod sensors;
mod signals;
mod simulate;
mod sub;
mod sync;
mod token;
mod values;
mod verdicts;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use args::{Cli, Command, OutboxCommand, ReadArgs};
use exit::{Exit, Failure, complain};

fn main() -> ExitCode {
    let cli = args::parse();
    log_to_stderr(cli.common.verbose);
    // One worker beside this thread: signals are noticed while a write to stdout waits for a slow reader.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| {
        let result = runtime.block_on(run(cli));
        // Whatever still runs has no say any more; a thread that reads stdin would never end.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(exit) => exit.code(),
        Err(Failure::StdoutClosed) => 0,
        Err(Failure::Failed(text)) => {
            complain(&text);
            1
        }
        Err(Failure::Usage(text)) => {
            complain(&text);
            2
        }
    }
    .into()
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let common = cli.common.with_config()?;
    match cli.command {
        Command::Demo(args) => demo::run(common, args).await,
        Command::Broker(args) => broker::run(common, args).await,
        Command::Simulate(args) => simulate::run(common, args).await,
        Command::Bench(args) => bench::run(common, args).await,
        Command::Pub(args) => publish::run(common, args).await,
        Command::Sub(args) => sub::run(common, args).await,
        Command::Sync(args) => sync::run(common, args).await,
        Command::Pipe(args) => pipe::run(common, args).await,
        Command::Outbox(args) => match args.command {
            None => read::outbox(&common, &args.read),
            Some(OutboxCommand::Cancel { id, json }) => {
                cancel::run(common, &ReadArgs { json: json || args.read.json }, id).await
            }
            Some(OutboxCommand::Release { json }) => copied::release(&common, json || args.read.json).await,
            Some(OutboxCommand::Discard { json }) => copied::discard(&common, json || args.read.json).await,
        },
        Command::Inbox(args) => read::inbox(&common, &args),
        Command::Doctor(args) => doctor::run(&common, &args),
        Command::Last(args) => offline::last(&common, &args),
        Command::History(args) => offline::history(&common, &args),
        Command::Gaps(args) => offline::gaps(&common, &args),
        Command::Export(_) => offline::export(&common),
        Command::Verdict(args) => read::verdict(&common, &args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { folder } => generate::man(folder.as_deref()),
        Command::Status(args) => read::status(&common, &args),
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .init();
}
