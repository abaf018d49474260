//! Mending a store when told to.

use super::clock::wall_ms;
use crate::model::error::OpenError;
use crate::model::options::Options;
use crate::store::{Checkup, StoreOptions, repair};

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

/// What the store needs to know of the options.
pub(super) fn store_options(options: &Options, wall_ms: i64) -> StoreOptions<'_> {
    StoreOptions {
        path: &options.store,
        durability: options.durability,
        client_id: options.client_id.as_ref(),
        first_consumer: &options.first_consumer,
        first_consumer_filters: &options.first_consumer_filters,
        #[cfg(feature = "encryption")]
        key: options.key.as_ref(),
        device_token: options.device_token.as_ref(),
        wall_ms,
    }
}
