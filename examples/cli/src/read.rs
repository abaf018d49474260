//! `outbox`, `inbox`, `verdict`, `status`: from the rows alone, beside a running driver too.

use homing::{MessageId, Reader};

use crate::args::{Common, ReadArgs, VerdictArgs};
use crate::exit::{Exit, Failure};
use crate::output::{MessageLine, Out, OutboxLine, StatusLine, Verdict};

/// Rows that one read takes: no transaction stays open while a slow reader of stdout is waited for.
pub(crate) const PAGE: usize = 500;

pub(crate) fn open(common: &Common) -> Result<Reader, Failure> {
    Ok(Reader::open(&common.store_path()?)?)
}

pub(crate) fn outbox(common: &Common, args: &ReadArgs) -> Result<Exit, Failure> {
    let reader = open(common)?;
    let mut out = Out::default();
    let mut after = 0;
    loop {
        let rows = reader.outbox(after, PAGE)?;
        for line in rows.iter().map(OutboxLine::new) {
            if args.json { out.json(&line) } else { out.text(&line) }?;
        }
        out.flush()?;
        match rows.last() {
            Some(row) => after = row.id.number(),
            None => return Ok(Exit::Done),
        }
    }
}

pub(crate) fn inbox(common: &Common, args: &ReadArgs) -> Result<Exit, Failure> {
    let reader = open(common)?;
    let mut out = Out::default();
    let mut after = 0;
    loop {
        let messages = reader.inbox(after, PAGE)?;
        for message in &messages {
            let line = MessageLine::new(message);
            if args.json { out.json(&line) } else { out.text(&line) }?;
        }
        out.flush()?;
        match messages.last() {
            Some(message) => after = message.at.seq(),
            None => return Ok(Exit::Done),
        }
    }
}

pub(crate) fn verdict(common: &Common, args: &VerdictArgs) -> Result<Exit, Failure> {
    let reader = open(common)?;
    let fate = reader.fate(MessageId::new(reader.store_id(), args.id))?;
    let line = Verdict::new(args.id, &fate);
    let mut out = Out::default();
    if args.json { out.json(&line) } else { out.text(&line) }?;
    out.flush()?;
    Ok(Exit::Done)
}

pub(crate) fn status(common: &Common, args: &ReadArgs) -> Result<Exit, Failure> {
    let line = StatusLine::new(open(common)?.status()?);
    let mut out = Out::default();
    if args.json { out.json(&line) } else { out.text(&line) }?;
    out.flush()?;
    Ok(Exit::Done)
}
