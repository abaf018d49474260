//! What the turn does for the inbox beside the messages themselves: the index, limits, consumers that lag.

use super::turn::Engine;
use crate::store::{INDEX_ROWS, StoreError};

impl Engine {
    /// While messages come: a batch once it is full.
    pub(super) fn index(&mut self) -> Result<(), StoreError> {
        if self.store.unindexed(self.session.hot().next_seq) >= INDEX_ROWS {
            self.store.index()?;
        }
        Ok(())
    }

    /// Nothing else is to be done: what is left is taken up, in a commit of its own.
    pub(super) fn index_idle(&mut self) -> Result<(), StoreError> {
        if self.is_behind() {
            if self.store.index_alone(self.session.hot())? {
                self.commits += 1;
                self.session.hot_mut().turn = self.store.hot().turn;
            }
        }
        Ok(())
    }

    /// Whether rows wait to be indexed.
    pub(crate) fn is_behind(&self) -> bool {
        self.store.unindexed(self.session.hot().next_seq) > 0
    }
}
