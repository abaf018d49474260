//! How far the store surely got, written beside it: a database that is behind its mark is an older copy put back.
//!
//! The mark stands in the lock file, which only the driver touches. It may be behind, it is never ahead: only a turn that
//! would survive a power cut is named. A mark that is torn or missing is no mark.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Store;
use super::lock::DriverLock;

/// After so many turns without a pause the mark is written all the same.
const EVERY: u64 = 1_000;
/// `homing 1`, the store's id in hexadecimal, the turn, a checksum, spaces between, a line end.
const LENGTH: usize = 8 + 1 + 32 + 1 + 20 + 1 + 16 + 1;

/// What the lock file says of the store it stands beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) store_id: [u8; 16],
    pub(super) turn: u64,
}

impl Mark {
    fn encode(self) -> String {
        let id = u128::from_be_bytes(self.store_id);
        let words = format!("homing 1 {id:032x} {:020}", self.turn);
        let sum = checksum(words.as_bytes());
        format!("{words} {sum:016x}\n")
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let words = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
        let (words, sum) = words.rsplit_once(' ')?;
        if checksum(words.as_bytes()) != u64::from_str_radix(sum, 16).ok()? {
            return None;
        }
        let (id, turn) = words.strip_prefix("homing 1 ")?.split_once(' ')?;
        let store_id = u128::from_str_radix(id, 16).ok()?.to_be_bytes();
        Some(Self { store_id, turn: turn.parse().ok()? })
    }
}

/// FNV-1a: tells a torn write, no more is asked of it.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl DriverLock {
    pub(super) fn mark(&self) -> Option<Mark> {
        let mut file = self.file();
        let mut text = Vec::with_capacity(LENGTH);
        file.seek(SeekFrom::Start(0)).ok()?;
        file.take(LENGTH as u64).read_to_end(&mut text).ok()?;
        Mark::decode(&text)
    }

    pub(super) fn set_mark(&self, mark: Mark) -> io::Result<()> {
        let mut file = self.file();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(mark.encode().as_bytes())
    }

    /// A new store begins here: whatever stood beside the old one says nothing of it.
    pub(super) fn forget_mark(&self) -> io::Result<()> {
        self.file().set_len(0)
    }
}

impl Store {
    /// Writes the mark; `now` at once, else only after many turns.
    pub(super) fn keep_mark(&mut self, now: bool) {
        let due = if now { self.marked < self.certain } else { self.marked + EVERY <= self.certain };
        if !due {
            return;
        }
        // The lock file has its block since it was first written: this needs no room. Where it fails all the same, an
        // older copy put back may go unnoticed, which is no reason to stop.
        match self.lock.set_mark(Mark { store_id: self.session.store_id, turn: self.certain }) {
            Ok(()) => self.marked = self.certain,
            Err(error) => tracing::warn!(%error, "the lock file cannot be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_torn_one_does_not() {
        let mark = Mark { store_id: [0xab; 16], turn: u64::MAX };
        let text = mark.encode().into_bytes();
        assert_eq!((text.len(), Mark::decode(&text)), (LENGTH, Some(mark)));
        for end in 0..text.len() {
            assert_eq!(Mark::decode(&text[..end]), None);
            let mut torn = Mark { store_id: [0xab; 16], turn: 7 }.encode().into_bytes();
            torn[..end].copy_from_slice(&text[..end]);
            let whole = [Some(mark), Some(Mark { store_id: [0xab; 16], turn: 7 })];
            assert!(Mark::decode(&torn).is_none_or(|read| whole.contains(&Some(read))), "{end}");
        }
    }
}
