//! What a boot of the machine may have cost: commits that were not synced (durability `process_kill`).

use std::fs;

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::session_row::read_hot;
use super::writer::write_hot;
use crate::model::options::Durability;
use crate::model::rows::Hot;

/// So many numbers are skipped when commits may have been lost.
pub(super) const SKIP: u64 = 65_536;

/// Names this boot; empty: the system does not say.
fn boot_id() -> String {
    if cfg!(any(target_os = "linux", target_os = "android")) {
        return fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default();
    }
    String::new()
}

/// This boot as a number; 0: the system does not say.
pub fn this_boot() -> i64 {
    let id = boot_id();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map_or(0, |id| (id as u64 ^ (id >> 64) as u64).cast_signed())
}

/// Commits of `process_kill` are not synced: if the machine went down in between, numbers that were given out may be
/// forgotten. Then so many are skipped that none is given twice.
pub(super) fn settle_boot(connection: &Connection, durability: Durability) -> Result<Hot, StoreError> {
    let mut hot = read_hot(connection)?;
    let (boot, clean): (String, bool) =
        connection.query_row("SELECT boot_id, clean FROM session", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let now = boot_id();
    let lost = !clean && (now.is_empty() || now != boot);
    let clean_now = durability == Durability::PowerLoss;
    if !lost && clean == clean_now && (clean || boot == now) {
        return Ok(hot);
    }
    // Still with full synchronisation: a skip that is forgotten would be made again, over numbers given since.
    let turn = connection.unchecked_transaction()?;
    turn.execute("UPDATE session SET boot_id = ?1, clean = ?2", params![now, clean_now])?;
    if lost {
        hot.turn += 1;
        hot.next_seq += SKIP;
        for lane in &mut hot.lanes {
            lane.next_ord += SKIP;
            lane.verdict_floor = lane.next_ord;
        }
        write_hot(&turn, &hot)?;
    }
    turn.commit()?;
    Ok(hot)
}
