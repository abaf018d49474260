//! What `sub` and `pipe` share: the durable consumer, and how many messages one read takes.

use std::num::NonZeroUsize;

use homing::{ConsumerSpec, Options, TopicFilter};

/// Messages handed over at once: they are printed, flushed and marked together.
pub(crate) const BATCH: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The default consumer sees every message of the store, a named one what it was made for. In a new store the named one
/// is the first: a `default` that nobody reads would keep every message for ever.
pub(crate) fn consumer(options: &mut Options, name: Option<&str>, filters: &[TopicFilter]) -> ConsumerSpec {
    let Some(name) = name else { return ConsumerSpec::new("default") };
    name.clone_into(&mut options.first_consumer);
    filters.clone_into(&mut options.first_consumer_filters);
    filters.iter().cloned().fold(ConsumerSpec::new(name), ConsumerSpec::filter)
}
