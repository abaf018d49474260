//! Values of flags and configuration keys as people write them: durations, limits, rates.

use std::time::Duration;

use clap::ValueEnum;
use homing::{Durability, IfUnsupported, InboxFull, Limit, QoS, RetainHandling, Version};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mqtt {
    #[value(name = "3", alias = "3.1.1")]
    V3,
    #[value(name = "5")]
    V5,
    Auto,
}

impl From<Mqtt> for Version {
    fn from(mqtt: Mqtt) -> Self {
        match mqtt {
            Mqtt::V3 => Self::V311,
            Mqtt::V5 => Self::V5,
            Mqtt::Auto => Self::Auto,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    #[value(alias = "power_loss")]
    PowerLoss,
    #[value(alias = "process_kill")]
    ProcessKill,
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Self {
        match durability {
            DurabilityArg::PowerLoss => Self::PowerLoss,
            DurabilityArg::ProcessKill => Self::ProcessKill,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IfUnsupportedArg {
    Refuse,
    Downgrade,
    Park,
}

impl From<IfUnsupportedArg> for IfUnsupported {
    fn from(policy: IfUnsupportedArg) -> Self {
        match policy {
            IfUnsupportedArg::Refuse => Self::Refuse,
            IfUnsupportedArg::Downgrade => Self::Downgrade,
            IfUnsupportedArg::Park => Self::Park,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InboxFullArg {
    /// Acknowledgements are withheld, the broker keeps the rest.
    Pause,
    /// The oldest messages go, a gap and the consumers are told.
    #[value(alias = "drop_oldest")]
    DropOldest,
}

impl From<InboxFullArg> for InboxFull {
    fn from(policy: InboxFullArg) -> Self {
        match policy {
            InboxFullArg::Pause => Self::Pause,
            InboxFullArg::DropOldest => Self::DropOldest,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RetainHandlingArg {
    Always,
    IfNew,
    Never,
}

impl From<RetainHandlingArg> for RetainHandling {
    fn from(handling: RetainHandlingArg) -> Self {
        match handling {
            RetainHandlingArg::Always => Self::Always,
            RetainHandlingArg::IfNew => Self::IfNew,
            RetainHandlingArg::Never => Self::Never,
        }
    }
}

/// What `pub --wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Until the commit.
    Accepted,
    /// Until the verdict.
    Delivered,
}

pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_number).ok_or_else(|| "QoS is 0, 1 or 2".to_owned())
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 500ms, 60s, 2h or 7d"))
}

/// `2000000,1GiB`: messages and bytes.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    let wrong = || "a limit is messages and bytes, like 2000000,1GiB".to_owned();
    let (messages, size) = text.split_once(',').ok_or_else(wrong)?;
    let messages = messages.trim().parse().map_err(|_| wrong())?;
    let size = size.trim();
    let digits = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
    let (number, unit) = size.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
    Ok(Limit { messages, bytes })
}

/// `10/s`: messages a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<f64>().ok();
    number.filter(|rate| *rate > 0.0 && rate.is_finite()).ok_or_else(|| "a rate is above zero, like 10/s".to_owned())
}

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "a user property is NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_messages_and_bytes() {
        assert_eq!(limit("2000000,1GiB"), Ok(Limit { messages: 2_000_000, bytes: 1 << 30 }));
        assert_eq!(limit("5, 10 MB"), Ok(Limit { messages: 5, bytes: 10_000_000 }));
        assert_eq!(limit("5,700"), Ok(Limit { messages: 5, bytes: 700 }));
        for wrong in ["", "5", "5,", ",5", "5,1TiBB", "-1,5", "5,99999999999GiB"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_and_pairs_and_qos() {
        assert_eq!(rate("10/s"), Ok(10.0));
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(rate("0/s").is_err() && rate("x").is_err() && rate("inf").is_err());
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err());
        assert_eq!(qos("2"), Ok(QoS::ExactlyOnce));
        assert!(qos("3").is_err() && qos("-1").is_err() && qos("").is_err());
    }
}
