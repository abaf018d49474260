//! `homing broker`: a whole MQTT broker in this process, from the crate `mqtt5`, for trying things out.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use mqtt5::broker::MqttBroker;
use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use serde_json::json;

use crate::args::{BrokerArgs, Common};
use crate::exit::{Exit, Failure};
use crate::signals::Signals;

/// Waiting messages a client; at the crate's own 10,000 the oldest of a long night would be dropped without a word.
const QUEUED_MESSAGES: usize = 1_000_000;
const QUEUED_BYTES: usize = 1 << 30;
/// Unacknowledged messages on their way to one client; the crate's own 64 makes every catch-up slow.
const OUTBOUND_INFLIGHT: u16 = 1_000;

pub(crate) async fn run(_common: Common, args: BrokerArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    wait_for_port(args.listen).await?;
    let mut broker = MqttBroker::with_config(config(args.listen, args.data)).await?;
    let address = broker.local_addr().ok_or_else(|| Failure::failed("the broker has no address"))?;
    let shutdown = broker.shutdown_handle();
    let mut ready = broker.ready_receiver();
    let mut running = tokio::spawn(async move { broker.run().await });
    tokio::select! {
        result = &mut running => result??,
        result = ready.wait_for(|ready| *ready) => drop(result?),
    }
    let line = match args.json {
        true => json!({"event": "listening", "address": address.to_string(), "port": address.port()}).to_string(),
        false => format!("listening on mqtt://{address}"),
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Failure::stdout)?;
    let exit = tokio::select! {
        result = &mut running => return result?.map(|()| Exit::Done).map_err(Failure::from),
        code = signals.arrived() => Exit::Signal(code),
        () = stdin_ends(), if args.until_stdin_ends => Exit::Done,
    };
    shutdown.shutdown();
    running.await??;
    Ok(exit)
}

fn config(listen: SocketAddr, data: Option<PathBuf>) -> BrokerConfig {
    // The crate's own default is a folder in the place where it was started.
    let storage = match data {
        Some(folder) => StorageConfig::new().with_base_dir(folder),
        None => StorageConfig::new().with_backend(StorageBackend::Memory),
    }
    .with_max_queued_messages_per_client(QUEUED_MESSAGES)
    .with_max_queued_bytes_per_client(QUEUED_BYTES);
    let mut config = BrokerConfig::new()
        .with_bind_addresses(vec![listen])
        .with_max_outbound_inflight(OUTBOUND_INFLIGHT)
        .with_sys_topics_enabled(false)
        .with_storage(storage);
    config.auth_config.allow_anonymous = true;
    config
}

/// The port of a broker that was just killed is busy for a moment. Asked here and not by the broker's crate, which
/// answers with a text only.
async fn wait_for_port(listen: SocketAddr) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(listen) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries < 20 => tries += 1,
            Err(error) => return Err(Failure::failed(format_args!("--listen {listen}: {error}; name another port"))),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn stdin_ends() {
    // A thread, for the runtime's own stdin would keep the process alive. An error is an end too.
    let read = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = read.await;
}
