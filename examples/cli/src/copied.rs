//! `outbox release` and `outbox discard`: what becomes of the outbox of a store that was put back from a copy.

use homing::{Homing, Reader};
use serde::Serialize;

use crate::args::Common;
use crate::exit::{CLOSE, Exit, Failure};
use crate::output::Out;

#[derive(Serialize)]
struct Decided {
    decided: &'static str,
    /// False: nothing was held.
    was_held: bool,
}

pub(crate) async fn release(common: &Common, json: bool) -> Result<Exit, Failure> {
    let homing = open(common).await?;
    let was_held = homing.release_outbox().await;
    homing.close(CLOSE).await?;
    tell(&Decided { decided: "release", was_held: was_held? }, json)
}

pub(crate) async fn discard(common: &Common, json: bool) -> Result<Exit, Failure> {
    let homing = open(common).await?;
    let was_held = homing.discard_outbox().await;
    homing.close(CLOSE).await?;
    tell(&Decided { decided: "discard", was_held: was_held? }, json)
}

async fn open(common: &Common) -> Result<Homing, Failure> {
    // A store that is not there is an error, not one to be made.
    Reader::open(&common.store_path()?)?;
    let mut options = common.options()?;
    options.connect = false;
    Ok(Homing::open(options).await?)
}

fn tell(decided: &Decided, json: bool) -> Result<Exit, Failure> {
    let mut out = Out::default();
    match (json, decided.was_held) {
        (true, _) => out.json(decided),
        (false, true) => out.text(format_args!("{}: done", decided.decided)),
        (false, false) => out.text("nothing was held"),
    }?;
    out.flush()?;
    Ok(Exit::Done)
}
