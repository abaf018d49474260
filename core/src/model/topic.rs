//! Topic names, topic filters and client identifiers that cannot be wrong: parsed once, at the edge.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest UTF-8 string MQTT can carry, in bytes [MQTT-1.5.4-1].
pub const MAX_STRING_BYTES: usize = 65_535;

/// Why a topic name, topic filter or client identifier was refused. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Topic names and filters need at least one character [MQTT-4.7.3-1].
    #[error("{what} is empty; it needs at least one character")]
    Empty {
        /// Which kind of name.
        what: &'static str,
    },
    /// Longer than 65,535 bytes of UTF-8 [MQTT-4.7.3-3].
    #[error("{what} is {bytes} bytes long; the limit is 65535")]
    TooLong {
        /// Which kind of name.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// Holds U+0000 [MQTT-1.5.4-2].
    #[error("{what} holds the character U+0000 at byte {at}; remove it")]
    Nul {
        /// Which kind of name.
        what: &'static str,
        /// Byte offset of the character.
        at: usize,
    },
    /// A topic name holds `+` or `#`, which only filters may [MQTT-3.3.2-2].
    #[error("topic holds a wildcard: {topic}; publish to one topic, wildcards are for subscribing")]
    Wildcard {
        /// The refused topic.
        topic: String,
    },
    /// `#` or `+` in a place where a filter may not have it [MQTT-4.7.1-1], [MQTT-4.7.1-2].
    #[error("filter has a misplaced wildcard: {filter}; '+' must fill a whole level, '#' must be the last level")]
    MisplacedWildcard {
        /// The refused filter.
        filter: String,
    },
    /// `$share` without a group or without a filter behind it [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error("shared subscription is not of the form $share/GROUP/FILTER: {filter}")]
    Share {
        /// The refused filter.
        filter: String,
    },
}

fn check(what: &'static str, text: &str) -> Result<(), NameError> {
    if text.len() > MAX_STRING_BYTES {
        return Err(NameError::TooLong { what, bytes: text.len() });
    }
    match text.find('\0') {
        Some(at) => Err(NameError::Nul { what, at }),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

/// A topic that a message is published to: 1 to 65,535 bytes, no wildcards, no U+0000.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);
name_type!(TopicName);

impl TopicName {
    /// Checks and keeps a topic name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty { what: "topic" });
        }
        check("topic", &text)?;
        if text.contains(['+', '#']) {
            return Err(NameError::Wildcard { topic: text.as_ref().to_owned() });
        }
        Ok(Self(text))
    }
}

/// A topic filter: what a subscription or a consumer wants. `+` stands for one level, a last `#` for all below.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicFilter(Arc<str>);
name_type!(TopicFilter);

impl TopicFilter {
    /// Checks and keeps a topic filter, a shared one (`$share/GROUP/FILTER`) included.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty { what: "filter" });
        }
        check("filter", &text)?;
        let levels = match text.strip_prefix("$share") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let share = || NameError::Share { filter: text.as_ref().to_owned() };
                let (group, filter) = rest.get(1..).and_then(|rest| rest.split_once('/')).ok_or_else(share)?;
                if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
                    return Err(share());
                }
                filter
            }
            _ => &text,
        };
        let mut rest = levels.split('/').peekable();
        while let Some(level) = rest.next() {
            let whole = level.len() == 1;
            let misplaced = level.contains('+') && !whole || level.contains('#') && !(whole && rest.peek().is_none());
            if misplaced {
                return Err(NameError::MisplacedWildcard { filter: text.as_ref().to_owned() });
            }
        }
        Ok(Self(text))
    }

    /// Whether this is a shared subscription (`$share/…`) [MQTT-4.8.2].
    pub fn is_shared(&self) -> bool {
        self.0.starts_with("$share/")
    }

    /// The filter without `$share` and group.
    fn levels(&self) -> &str {
        match self.0.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((_, filter)) => filter,
            None => &self.0,
        }
    }

    /// How every topic that matches begins, and whether that is all of it: then only the topic of that name matches.
    pub(crate) fn literal(&self) -> (&str, bool) {
        let levels = self.levels();
        match levels.find(['+', '#']) {
            None => (levels, true),
            // `a/#` matches `a` too.
            Some(at) if levels[at..].starts_with('#') => (levels[..at].strip_suffix('/').unwrap_or(""), false),
            Some(at) => (&levels[..at], false),
        }
    }

    /// Whether a message on `topic` matches. Wildcards in the first level do not match topics that begin with `$`
    /// [MQTT-4.7.2-1]. For a shared subscription the part behind the group counts.
    pub fn matches(&self, topic: &TopicName) -> bool {
        let filter = self.levels();
        if topic.as_str().starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.as_str().split('/');
        let mut wanted = filter.split('/');
        loop {
            match (wanted.next(), names.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(want), Some(name)) if want == name => {}
                _ => return false,
            }
        }
    }
}

/// A client identifier: 1 to 65,535 bytes, no U+0000. A session belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Arc<str>);
name_type!(ClientId);

impl ClientId {
    /// Checks and keeps a client identifier.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty { what: "client id" });
        }
        check("client id", &text)?;
        Ok(Self(text))
    }
}
