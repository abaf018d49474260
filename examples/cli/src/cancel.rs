//! `homing outbox cancel`: takes a message back that was not sent yet. It drives the store for that moment.

use homing::{Cancel, Homing, MessageId, Reader};

use crate::args::{Common, ReadArgs};
use crate::exit::{CLOSE, Exit, Failure};
use crate::output::{Out, Verdict};

pub(crate) async fn run(common: Common, args: &ReadArgs, id: u64) -> Result<Exit, Failure> {
    // A store that is not there is an error, not one to be made.
    Reader::open(&common.store_path()?)?;
    let mut options = common.options()?;
    options.connect = false;
    let homing = Homing::open(options).await?;
    let answer = homing.cancel(MessageId::new(homing.store_id(), id)).await;
    let closed = homing.close(CLOSE).await;
    match answer? {
        Cancel::Cancelled => {}
        Cancel::Settled(fate) => {
            let line = Verdict::new(id, &fate);
            return Err(Failure::failed(format_args!("message {id} has come to its end already: {}", line.outcome)));
        }
        _ => {
            return Err(Failure::failed(format_args!(
                "too late to cancel message {id}: it was sent, and the broker may have it"
            )));
        }
    }
    closed?;
    let line = Verdict::new(id, &homing::Fate::Cancelled);
    let mut out = Out::default();
    if args.json { out.json(&line) } else { out.text(&line) }?;
    out.flush()?;
    Ok(Exit::Done)
}
