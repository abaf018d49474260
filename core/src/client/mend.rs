//! Mending a store when told to.

use super::clock::wall_ms;
use super::failed::store_options;
use crate::model::error::OpenError;
use crate::model::options::Options;
use crate::store::{Checkup, repair};

impl Checkup {
    /// Mends the store of these options as its driver: a damaged file is set aside, and what can be read of it is saved into
    /// a new store; counters are counted anew; unused room is given back to the system. Says what was done. Makes no
    /// connection. A kill in between leaves the old file or the new one, never half of either (P10).
    ///
    /// # Errors
    /// [`OpenError`]: `StoreInUse` beside a driver; `StoreUnavailable` if there is no such file.
    pub fn repair(options: &Options) -> Result<Vec<String>, OpenError> {
        repair(&store_options(options, wall_ms()))
    }
}
