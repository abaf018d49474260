//! Row by row out of a damaged file: what cannot be read is stepped over, what is not understood is left out.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::codec::{Flags, int, read_outbox, read_props, read_topic};
use super::error::StoreError;
use super::salvage::LARGEST;
use super::session_row::{read_cause, read_filter};
use crate::model::rows::split_id;

/// Rows saved in one transaction.
const BATCH: u64 = 4_096;
/// So many numbers behind an unreadable row are tried one by one, then in growing steps.
const ONE_BY_ONE: i64 = 2_048;

type Check = fn(&Row<'_>) -> Result<(), StoreError>;

/// A table that is copied: its columns, the key first.
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: &'static str,
    /// The key is SQLite's row number: what cannot be read is stepped over.
    numbered: bool,
    check: Check,
}

/// In `columns` NULL stands for one that only the check reads.
pub(super) const TABLES: [Table; 12] = [
    Table {
        name: "outbox",
        columns: "id, topic, payload, props, flags, expires_ms, supersede, after_ord",
        numbered: true,
        check: message,
    },
    Table {
        name: "parked",
        columns: "id, topic, payload, props, flags, expires_ms, supersede, NULL, reason, at_ms",
        numbered: true,
        check: message,
    },
    Table { name: "verdict", columns: "id, outcome, detail, at_ms, other_id", numbered: true, check: any },
    Table {
        name: "topic",
        columns: "tid, name, last_seq, last_at_ms, last_payload, last_props, last_flags",
        numbered: true,
        check: |row| read_topic(row, 1).map(drop),
    },
    Table { name: "inbox", columns: "seq, tid, payload, props, flags, received_ms", numbered: true, check: received },
    Table {
        name: "gap",
        columns: "id, filter, cause, from_ms, to_ms, after_seq, bytes",
        numbered: true,
        check: |row| read_filter(row, 1).and(read_cause(row, 2)).map(drop),
    },
    Table { name: "mailbox", columns: "mid, request, at_ms", numbered: true, check: any },
    Table { name: "incident", columns: "id, at_ms, kind, detail", numbered: true, check: any },
    Table { name: "idem", columns: "key, id, until_ms", numbered: false, check: any },
    Table {
        name: "consumer",
        columns: "name, filters, cursor, lag_policy, lag_messages, lag_ms, skipped, skipped_from, skipped_through",
        numbered: false,
        check: consumer,
    },
    Table { name: "consumer_done", columns: "name, seq", numbered: false, check: any },
    Table {
        name: "subscription",
        columns: "filter, sub_id, wanted, qos, options",
        numbered: false,
        check: subscription,
    },
];

fn any(_: &Row<'_>) -> Result<(), StoreError> {
    Ok(())
}

fn message(row: &Row<'_>) -> Result<(), StoreError> {
    let (lane, ord) = split_id(read_outbox(row, &mut None)?.id);
    if lane > 1 || ord == 0 || ord > LARGEST { Err(StoreError::corrupt("id")) } else { Ok(()) }
}

fn received(row: &Row<'_>) -> Result<(), StoreError> {
    read_props(row, 3)?;
    Flags::read(row, 4)?;
    if row.get::<_, i64>(0)? > int(LARGEST) { Err(StoreError::corrupt("seq")) } else { Ok(()) }
}

fn consumer(row: &Row<'_>) -> Result<(), StoreError> {
    super::consumers::read_row(row).map(drop)
}

fn subscription(row: &Row<'_>) -> Result<(), StoreError> {
    read_filter(row, 0)?;
    let (qos, options): (u8, u8) = (row.get(3)?, row.get(4)?);
    if qos > 2 || options > 11 { Err(StoreError::corrupt("subscription")) } else { Ok(()) }
}

/// Copies the rows of a table that can be read and understood; says how many.
pub(super) fn copy(source: &Connection, target: &Connection, table: &Table) -> Result<u64, StoreError> {
    let Table { name, columns, .. } = table;
    let into = columns.replace(", NULL", "");
    let values: Vec<usize> =
        columns.split(", ").enumerate().filter(|(_, column)| *column != "NULL").map(|(index, _)| index).collect();
    let places = vec!["?"; values.len()].join(",");
    let insert = format!("INSERT OR REPLACE INTO {name} ({into}) VALUES ({places})");
    // What is met twice counts once.
    let mut sink = Sink { target, insert, values, saved: 0, check: table.check };
    target.execute_batch("BEGIN")?;
    if table.numbered {
        step_over(source, table, &mut sink)?
    } else {
        both_ends(source, table, &mut sink)?
    };
    target.execute_batch("COMMIT")?;
    Ok(target.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

struct Sink<'c> {
    target: &'c Connection,
    insert: String,
    values: Vec<usize>,
    saved: u64,
    check: Check,
}

impl Sink<'_> {
    /// A row that is not understood is left out; an error is the new store's.
    fn take(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        if (self.check)(row).is_err() {
            return Ok(());
        }
        let values: Result<Vec<Value>, _> = self.values.iter().map(|column| row.get::<_, Value>(*column)).collect();
        let Ok(values) = values else { return Ok(()) };
        match self.target.prepare_cached(&self.insert)?.execute(params_from_iter(values)) {
            Ok(_) => self.saved += 1,
            // What no version of ours would have stored.
            Err(rusqlite::Error::SqliteFailure(code, _)) if code.code == rusqlite::ErrorCode::ConstraintViolation => {}
            Err(error) => return Err(error.into()),
        }
        if self.saved.is_multiple_of(BATCH) {
            self.target.execute_batch("COMMIT; PRAGMA wal_checkpoint(PASSIVE); BEGIN")?;
        }
        Ok(())
    }
}

/// In the order of row numbers; behind an unreadable page, the first number that can be found again.
fn step_over(source: &Connection, table: &Table, sink: &mut Sink<'_>) -> Result<(), StoreError> {
    let key = table.columns.split(',').next().unwrap_or_default();
    let sql = format!("SELECT {} FROM {} WHERE {key} >= ?1 ORDER BY {key}", table.columns, table.name);
    let Ok(mut statement) = source.prepare(&sql) else { return Ok(()) };
    let found =
        |number: i64| source.prepare_cached(&sql).and_then(|mut probe| probe.query([number])?.next().map(drop)).is_ok();
    let mut last = 0;
    loop {
        let from = last;
        let Ok(mut rows) = statement.query([from + 1]) else { return Ok(()) };
        let ended = loop {
            match rows.next() {
                Ok(Some(row)) => {
                    // A page of another place may stand here: numbers only rise.
                    let Ok(number) = row.get::<_, i64>(0) else { continue };
                    if number <= last {
                        continue;
                    }
                    last = number;
                    if last == i64::MAX {
                        return Ok(());
                    }
                    sink.take(row)?;
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if ended {
            return Ok(());
        }
        // Nothing came from there on: it is the same search that fails.
        let (mut bad, mut step) = (if last > from { last } else { from + 1 }, 1_i64);
        let good = loop {
            let Some(next) = bad.checked_add(step) else { return Ok(()) };
            if found(next) {
                break next;
            }
            bad = next;
            if bad - last > ONE_BY_ONE {
                step = step.saturating_mul(2);
            }
        };
        let (mut low, mut high) = (bad, good);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if found(middle) { high = middle } else { low = middle }
        }
        last = high - 1;
    }
}

/// From the first row on and from the last one back, as far as each goes.
fn both_ends(source: &Connection, table: &Table, sink: &mut Sink<'_>) -> Result<(), StoreError> {
    let key =
        if table.name == "consumer_done" { "name, seq" } else { table.columns.split(',').next().unwrap_or_default() };
    let back = key.replace(',', " DESC,") + " DESC";
    for order in [key, back.as_str()] {
        let sql = format!("SELECT {} FROM {} ORDER BY {order}", table.columns, table.name);
        let Ok(mut statement) = source.prepare(&sql) else { return Ok(()) };
        let Ok(mut rows) = statement.query([]) else { continue };
        loop {
            match rows.next() {
                Ok(Some(row)) => sink.take(row)?,
                Ok(None) => return Ok(()),
                Err(_) => break,
            }
        }
    }
    Ok(())
}
