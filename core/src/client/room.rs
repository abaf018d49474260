//! Room on the disk, turn by turn (P10): what a turn may take in, who is told that it is nothing, and when it is looked
//! for again.

use super::command::{Command, Outgoing};
use super::turn::{Engine, TurnInput};
use crate::model::error::{NoRoom, PublishError};
use crate::model::event::{Event, Storage};
use crate::model::rows::disk_cost;
use crate::session::effect::{Input, Now};
use crate::store::{StoreError, StoreErrorKind};
use crate::wire::packet::Packet;

/// How often room is looked for during a shortage.
const RETRY_MS: i64 = 1_000;
/// Close to the edge shortages come and go by the second: the app is told of one a minute, and of its end.
const TELL_EVERY_MS: i64 = 60_000;
/// Rows that retention removes in a turn during a shortage: at most so many pages of the log.
const SHORT_ROWS: usize = 32;
/// A place in an index somewhere in the middle.
const KEY_COST: u64 = 4_096;

/// What is known of it; outlives the engine when the store is opened again.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Intake {
    /// What this turn began with.
    given: u64,
    /// Why it was nothing.
    why: Option<NoRoom>,
    /// What the app was told, and when it was last told of a shortage.
    told: Option<NoRoom>,
    told_at: Option<i64>,
    /// What stands in the store for readers.
    reported: Option<NoRoom>,
    /// When to look again.
    retry_at: Option<i64>,
    /// A publish was refused since room was last looked for: what all consumers are done with makes room for it.
    refused: bool,
    /// More is to be removed in the next turn.
    more_at: Option<i64>,
}

impl Intake {
    /// After a commit that found no room.
    pub(super) fn reopened(self, full: bool) -> Self {
        Self { why: full.then_some(NoRoom::Disk), retry_at: None, ..self }
    }

    pub(super) fn timeout(&self) -> Option<i64> {
        [self.retry_at, self.more_at].into_iter().flatten().min()
    }

    /// How many rows retention may remove in this turn: a page that becomes free is written to the log once more.
    pub(super) const fn retention_rows(&self, most: usize) -> usize {
        if self.is_short() || self.refused { SHORT_ROWS } else { most }
    }

    /// Whether done messages are to make room.
    pub(super) const fn is_refusing(&self) -> bool {
        self.refused
    }

    /// While somebody waits for it the rest follows at once, in turns of their own.
    pub(super) fn go_on(&mut self, more: bool, waited_for: bool, now: Now) {
        self.more_at = (more && (waited_for || self.is_short() || self.refused)).then_some(now.mono_ms);
    }

    pub(super) const fn storage(&self) -> Storage {
        match self.why {
            None => Storage::Ok,
            Some(NoRoom::Disk) => Storage::Full,
            Some(NoRoom::Reader) => Storage::Reader,
        }
    }

    /// Whether nothing is taken in.
    pub(super) const fn is_short(&self) -> bool {
        self.why.is_some()
    }

    /// What the app does not know yet. A shortage that is not told now is looked at again with the next look for room.
    fn tell(&mut self, now: Now) -> Option<Event> {
        if self.why == self.told {
            return None;
        }
        let (code, text) = match self.why {
            Some(_) if self.told_at.is_some_and(|at| now.mono_ms < at + TELL_EVERY_MS) => return None,
            Some(why) => {
                self.told_at = Some(now.mono_ms);
                ("storage_full", format!("nothing is taken in or acknowledged: {why}"))
            }
            None => ("storage_ok", "there is room again; what waited goes on".to_owned()),
        };
        self.told = self.why;
        Some(Event::Warning { code, text })
    }

    /// Whether it is for a reader: then what is deleted makes no room.
    pub(super) fn is_held_by_reader(&self) -> bool {
        self.why == Some(NoRoom::Reader)
    }
}

fn admits(input: &TurnInput) -> bool {
    matches!(
        input,
        TurnInput::Command(Command::Publish { .. } | Command::PublishAll { .. })
            | TurnInput::Session(Input::Packet(Packet::Publish(_)))
    )
}

impl Engine {
    /// Before anything else of the turn: measuring touches the log.
    pub(super) fn measure_room(&mut self, inputs: &[TurnInput], now: Now) -> Result<(), StoreError> {
        self.intake.more_at = None;
        if self.intake.is_short() {
            let at = *self.intake.retry_at.get_or_insert(now.mono_ms + RETRY_MS);
            if now.mono_ms < at {
                self.give_room(0);
                return Ok(());
            }
        } else if !self.session.wants_room()
            && !inputs.iter().any(admits)
            && !self.is_mailbox_due(now)
            && !self.store.is_tight()
        {
            return Ok(());
        }
        (self.intake.retry_at, self.intake.refused) = (None, false);
        let room = self.store.room(self.session.lacks_disk().unwrap_or(0))?;
        self.intake.why = room.why;
        self.give_room(room.bytes);
        if self.intake.is_short() {
            self.intake.retry_at = Some(now.mono_ms + RETRY_MS);
        }
        Ok(())
    }

    fn give_room(&mut self, bytes: u64) {
        self.intake.given = bytes;
        self.session.set_disk(bytes);
    }

    /// At the end of the turn: what still waits, and what the app is to be told.
    pub(super) fn settle_room(&mut self, now: Now) -> Result<(), StoreError> {
        if self.session.lacks_disk().is_some() && !self.intake.is_short() {
            if self.session.disk() < self.intake.given {
                // This turn has taken what it could; the next one measures anew.
                self.intake.retry_at = Some(now.mono_ms);
            } else {
                self.store.run_short();
                self.intake.why = Some(NoRoom::Disk);
                self.intake.retry_at = Some(now.mono_ms + RETRY_MS);
            }
        }
        self.fx.events.extend(self.intake.tell(now));
        if std::mem::replace(&mut self.intake.reported, self.intake.why) == self.intake.why {
            return Ok(());
        }
        self.report(now)
    }

    /// Whether these messages find room; then it is theirs.
    pub(super) fn take_room<'a>(&mut self, messages: impl Iterator<Item = &'a Outgoing>) -> Result<(), NoRoom> {
        let cost = messages.map(|message| {
            // Keys stand in indexes of their own, in any order.
            let keys = u64::from(message.key.is_some()) + u64::from(message.row.supersede.is_some());
            disk_cost(message.row.size()).saturating_add(keys * KEY_COST)
        });
        let cost = cost.fold(0, u64::saturating_add);
        let left = self.session.disk();
        if cost > left {
            self.intake.refused = true;
            return Err(self.intake.why.unwrap_or(NoRoom::Disk));
        }
        self.session.set_disk(left - cost);
        Ok(())
    }

    /// Checkpoints, and what else can wait until there is nothing to do. Whether more of it is left.
    pub(crate) fn maintain(&mut self, idle: bool) -> Result<bool, StoreError> {
        if idle && !self.intake.is_short() {
            self.index_idle()?;
        }
        let more = self.store.maintain(idle)?;
        Ok(idle && (more || self.is_behind() && !self.intake.is_short()))
    }
}

/// What an app is told of a commit that failed.
pub(crate) fn publish_error(error: &StoreError) -> PublishError {
    match error.kind {
        StoreErrorKind::Full => PublishError::StorageFull { why: NoRoom::Disk },
        _ => PublishError::Storage { detail: error.text.clone() },
    }
}
