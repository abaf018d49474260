//! What an app wants written beside the store for its widgets.

use super::topic::TopicFilter;

/// The `<store>-glance` file: last values for a widget that cannot, or need not, open the store.
///
/// While the client runs, the file is replaced by an atomic rename when something has changed, at most once a second, and once
/// more when the client is paused or closed. After a kill the last one stays: `at` says how old it is. It is JSON of at most
/// 64 KiB:
///
/// ```json
/// {"at": 1764000000000, "connection": "connected", "omitted": 0,
///  "alerts": [],
///  "last": [{"topic": "home/kitchen/temperature", "payload_base64": "MjEuNQ==", "at": 1763999998000}]}
/// ```
///
/// Times are Unix milliseconds: `at` of the file is when it was written, that of a value when the broker last said so.
/// `connection` is `connecting`, `connected`, `waiting` or `disconnected`. Values stand newest first; what does not fit is
/// counted in `omitted`. The file is not encrypted, whatever the store is, and a power cut may leave an older one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Glance {
    /// Which last values stand in `last`.
    pub filters: Vec<TopicFilter>,
    /// Which stand in `alerts`, as long as their payload is not empty: clearing a retained alarm ends it.
    pub alerts: Vec<TopicFilter>,
}

impl Glance {
    /// The last values of these topics, and no alerts.
    pub fn new(filters: impl IntoIterator<Item = TopicFilter>) -> Self {
        Self { filters: filters.into_iter().collect(), alerts: Vec::new() }
    }

    /// Alerts too.
    #[must_use]
    pub fn alerts(mut self, filters: impl IntoIterator<Item = TopicFilter>) -> Self {
        self.alerts.extend(filters);
        self
    }
}
