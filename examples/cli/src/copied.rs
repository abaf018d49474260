//! `outbox release` and `outbox discard`: what becomes of the outbox of a store that was put back from a copy.

use homing::Homing;
use serde::Serialize;

use crate::args::{Common, OutboxCommand};
use crate::exit::{CLOSE, Exit, Failure};
use crate::output::Out;

#[derive(Serialize)]
struct Decided {
    decided: &'static str,
    /// False: nothing was held.
    was_held: bool,
}

pub(crate) async fn run(common: &Common, command: OutboxCommand) -> Result<Exit, Failure> {
    let mut options = common.options()?;
    if !options.store.exists() {
        return Err(Failure::failed(format_args!("{}: there is no store", options.store.display())));
    }
    options.connect = false;
    let homing = Homing::open(options).await?;
    let (decided, result, json) = match command {
        OutboxCommand::Release { json } => ("release", homing.release_outbox().await, json),
        OutboxCommand::Discard { json } => ("discard", homing.discard_outbox().await, json),
    };
    let closed = homing.close(CLOSE).await;
    let was_held = result?;
    closed?;
    let mut out = Out::default();
    match json {
        true => out.json(&Decided { decided, was_held }),
        false if was_held => out.text(format_args!("{decided}: done")),
        false => out.text("nothing was held"),
    }?;
    out.flush()?;
    Ok(Exit::Done)
}
