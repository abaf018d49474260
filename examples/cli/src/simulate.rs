//! `homing simulate`: a home's sensors publish through the SDK until they are stopped.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::args::{Common, SimulateArgs};
use crate::exit::{Exit, Failure};
use crate::sensors::Home;
use crate::signals::Signals;

/// How long the end may take.
const CLOSE: Duration = Duration::from_secs(5);

pub(crate) async fn run(common: Common, args: SimulateArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    let client = homing::Homing::open(common.options()?).await?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut tick = interval(Duration::from_secs_f64(1.0 / args.rate));
    // After a pause of the machine the home goes on, it does not catch up.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stdout = anstream::stdout();
    let mut exit = Ok(Exit::Done);
    for reading in Home::new(args.rooms.get(), seed) {
        tokio::select! {
            biased;
            code = signals.arrived() => {
                exit = Ok(Exit::Signal(code));
                break;
            }
            _ = tick.tick() => {}
        }
        let id = match client.publish(reading.to_publish()).await {
            Ok(id) => id.number(),
            Err(error) => {
                exit = Err(error.into());
                break;
            }
        };
        let line = match args.json {
            true => json!({"id": id, "topic": reading.topic.as_str(), "payload": reading.payload}).to_string(),
            false => format!("{} {}", reading.topic, reading.payload),
        };
        if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            exit = Err(Failure::stdout(error));
            break;
        }
    }
    client.close(CLOSE).await?;
    exit
}
