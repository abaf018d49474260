//! `last`, `history`, `gaps`, `export`: what was received, from the rows alone, beside a running driver too. In pages: memory
//! stays small, and no transaction stays open while a slow reader of stdout is waited for.

mod plot;

use std::num::NonZeroU64;

use homing::{HistoryQuery, LastValue, Message, Position, Reader, TopicFilter};

use crate::args::{Common, HistoryArgs, LastArgs, ReadArgs};
use crate::exit::{Exit, Failure};
use crate::output::{GapFields, Kind, LastLine, MessageLine, Out};
use crate::read::{PAGE, open};

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub(crate) fn last(common: &Common, args: &LastArgs) -> Result<Exit, Failure> {
    let reader = open(common)?;
    let mut out = Out::default();
    last_values(&reader, args.filter.as_ref(), |value| {
        let line = LastLine::new(value, now_ms());
        if args.json { out.json(&line) } else { out.text(&line) }
    })?;
    out.flush()?;
    Ok(Exit::Done)
}

fn last_values(
    reader: &Reader,
    filter: Option<&TopicFilter>,
    mut each: impl FnMut(&LastValue) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = reader.last(filter, after.as_ref(), PAGE)?;
        page.values.iter().try_for_each(&mut each)?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

pub(crate) fn history(common: &Common, args: &HistoryArgs) -> Result<Exit, Failure> {
    let reader = open(common)?;
    let mut query = HistoryQuery::new(args.filter.clone());
    if let Some(since) = args.since {
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        query = query.since(now_ms().saturating_sub(since));
    }
    let most = args.limit.map_or(u64::MAX, NonZeroU64::get);
    let after = match args.limit {
        Some(limit) => before_the_newest(&reader, &query, limit.get())?,
        None => None,
    };
    if args.plot {
        return plot::plot(&args.filter, |each| messages(&reader, &query, after, most, each));
    }
    let mut out = Out::default();
    messages(&reader, &query, after, most, |message| {
        let line = MessageLine::new(message);
        if args.json { out.json(&line) } else { out.text(&line) }
    })?;
    out.flush()?;
    Ok(Exit::Done)
}

/// Oldest first, and no more than `most`: a driver may receive meanwhile.
fn messages(
    reader: &Reader,
    query: &HistoryQuery,
    mut after: Option<Position>,
    most: u64,
    mut each: impl FnMut(&Message) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = most;
    loop {
        let page = reader.history(query, after, PAGE.min(usize::try_from(left).unwrap_or(PAGE)))?;
        page.messages.iter().try_for_each(&mut each)?;
        left -= page.messages.len() as u64;
        match page.next {
            Some(next) if left > 0 => after = Some(next),
            _ => return Ok(()),
        }
    }
}

/// Where the newest `limit` messages begin. They are counted from the end rather than gathered: memory stays small.
fn before_the_newest(reader: &Reader, query: &HistoryQuery, limit: u64) -> Result<Option<Position>, Failure> {
    let query = query.clone().newest_first();
    let (mut after, mut left) = (None, limit);
    loop {
        let page = reader.history(&query, after, PAGE.min(usize::try_from(left).unwrap_or(PAGE)))?;
        left -= page.messages.len() as u64;
        if let (0, Some(first)) = (left, page.messages.last()) {
            return Ok(Some(Position::new(first.at.store(), first.at.seq() - 1)));
        }
        match page.next {
            Some(next) => after = Some(next),
            // There are fewer.
            None => return Ok(None),
        }
    }
}

pub(crate) fn gaps(common: &Common, args: &ReadArgs) -> Result<Exit, Failure> {
    let mut out = Out::default();
    for line in open(common)?.gaps()?.iter().map(GapFields::new) {
        if args.json { out.json(&line) } else { out.text(&line) }?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Messages, last values and gaps; nothing of the session, so nothing with credentials.
pub(crate) fn export(common: &Common) -> Result<Exit, Failure> {
    let reader = open(common)?;
    let mut out = Out::default();
    // What is not done at the beginning: a message that comes later is not done either.
    let done = reader.status()?.consumers.iter().map(|consumer| consumer.cursor).min().unwrap_or(u64::MAX);
    let mut after = 0;
    loop {
        let messages = reader.inbox(after, PAGE)?;
        for message in &messages {
            let line = MessageLine::new(message);
            out.json(&if message.at.seq() > done { Kind::Inbox(line) } else { Kind::History(line) })?;
        }
        out.flush()?;
        match messages.last() {
            Some(message) => after = message.at.seq(),
            None => break,
        }
    }
    last_values(&reader, None, |value| out.json(&Kind::Last(LastLine::new(value, now_ms()))))?;
    for gap in &reader.gaps()? {
        out.json(&Kind::Gap(GapFields::new(gap)))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}
