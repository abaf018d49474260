//! What the store keeps: last values, gaps, and the lines of an export.

use std::fmt;
use std::time::Duration;

use homing::{Gap, LastValue, TopicFilter};
use serde::Serialize;

use super::{MessageLine, time};

/// A topic's last value.
#[derive(Serialize)]
pub(crate) struct LastLine<'a> {
    #[serde(flatten)]
    message: MessageLine<'a>,
    age_ms: u64,
}

impl<'a> LastLine<'a> {
    pub(crate) fn new(value: &'a LastValue, now_ms: i64) -> Self {
        let age_ms = u64::try_from(value.age(now_ms).as_millis()).unwrap_or(u64::MAX);
        Self { message: MessageLine::new(&value.message), age_ms }
    }
}

impl fmt::Display for LastLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = match self.age_ms {
            ms @ 0..1_000 => Duration::from_millis(ms),
            ms => Duration::from_secs(ms / 1_000),
        };
        write!(f, "{}  ({} ago)", self.message, humantime::format_duration(age))
    }
}

/// When messages may be missing.
#[derive(Debug, Serialize)]
pub(crate) struct GapFields<'a> {
    filters: &'a [TopicFilter],
    from: String,
    to: Option<String>,
    why: &'static str,
    /// Of what was too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl<'a> GapFields<'a> {
    pub(crate) fn new(gap: &'a Gap) -> Self {
        Self {
            filters: &gap.filters,
            from: time(gap.from_ms),
            to: gap.to_ms.map(time),
            why: gap.cause.as_str(),
            bytes: gap.bytes,
        }
    }
}

impl fmt::Display for GapFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {:<16}", self.from, self.to.as_deref().unwrap_or("still open              "), self.why)?;
        self.filters.iter().try_for_each(|filter| write!(f, "  {}", filter.as_str().escape_debug()))?;
        self.bytes.map_or(Ok(()), |bytes| write!(f, "  {bytes} bytes"))
    }
}

/// A line of `export`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Kind<'a> {
    /// A message that a consumer is not done with.
    Inbox(MessageLine<'a>),
    /// A message that all are done with and retention still keeps.
    History(MessageLine<'a>),
    Last(LastLine<'a>),
    Gap(GapFields<'a>),
}

#[cfg(test)]
mod tests {
    use homing::GapCause;

    use super::*;

    #[test]
    fn keys_of_a_gap_are_the_contract() {
        let filters: [TopicFilter; 1] = ["home/#".parse().unwrap()];
        let why = GapCause::SessionLost.as_str();
        let gap = GapFields { filters: &filters, from: time(0), to: None, why, bytes: None };
        assert_eq!(
            serde_json::to_string(&gap).unwrap(),
            r#"{"filters":["home/#"],"from":"1970-01-01T00:00:00.000Z","to":null,"why":"session_lost"}"#
        );
        let kind = serde_json::to_string(&Kind::Gap(GapFields { bytes: Some(7), to: Some(time(1)), ..gap })).unwrap();
        assert!(kind.starts_with(r#"{"kind":"gap","filters":["#) && kind.ends_with(r#""bytes":7}"#), "{kind}");
    }
}
