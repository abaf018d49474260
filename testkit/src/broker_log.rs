//! What mosquitto did to a subscriber, from its own log (`log_type all`): which messages it rolled back.
//!
//! mosquitto 2.0.11, measured: when a link breaks while the broker repeats its PUBRELs after a resume, the messages not yet
//! reached are published again at the next resume, though their PUBREC had come. To a client that has meanwhile answered such a
//! PUBREL the repeat looks like a new message under a free identifier [4.3.3].

use std::collections::{BTreeSet, HashMap};

/// Ordinals (from 0, in order of first delivery) of the QoS 2 messages that were published to `client` again after their
/// PUBREC had come.
pub fn rolled_back(log: impl Iterator<Item = String>, client: &str) -> BTreeSet<u64> {
    let publish = format!("Sending PUBLISH to {client} (");
    let pubrec = format!("Received PUBREC from {client} (");
    let pubcomp = format!("Received PUBCOMP from {client} (");
    let mut open: HashMap<u16, (u64, bool)> = HashMap::new();
    let (mut next, mut found) = (0, BTreeSet::new());
    for line in log {
        if let Some((_, fields)) = line.split_once(&publish) {
            let pid =
                fields.split(", ").find_map(|field| field.strip_prefix('m')).and_then(|digits| digits.parse().ok());
            let Some(pid) = pid else { continue };
            let (ordinal, received) = *open.entry(pid).or_insert_with(|| {
                next += 1;
                (next - 1, false)
            });
            if received {
                found.insert(ordinal);
            }
        } else if let Some((_, rest)) = line.split_once(&pubrec) {
            if let Some((_, received)) = open.get_mut(&answered(rest)) {
                *received = true;
            }
        } else if let Some((_, rest)) = line.split_once(&pubcomp) {
            open.remove(&answered(rest));
        }
    }
    found
}

/// `Mid: 7)` and `Mid: 7, RC:0)`.
fn answered(rest: &str) -> u16 {
    let digits = rest.trim_start_matches("Mid: ");
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_else(|_| panic!("no packet identifier in mosquitto's log: {rest}"))
}

#[cfg(test)]
mod tests {
    use super::rolled_back;

    #[test]
    fn a_publish_after_its_pubrec_is_a_roll_back_and_an_ordinary_repeat_is_none() {
        let log = "1: Sending PUBLISH to me (d0, q2, r0, m7, 'a', ... (1 bytes))
            1: Sending PUBLISH to me (d0, q2, r0, m8, 'a', ... (1 bytes))
            1: Received PUBREC from me (Mid: 8)
            1: Sending PUBREL to me (m8)
            1: Sending PUBLISH to me (d1, q2, r0, m7, 'a', ... (1 bytes))
            1: Sending PUBLISH to me (d1, q2, r0, m8, 'a', ... (1 bytes))
            1: Sending PUBLISH to you (d1, q2, r0, m8, 'a', ... (1 bytes))
            1: Received PUBREC from me (Mid: 7, RC:0)
            1: Received PUBCOMP from me (Mid: 7)
            1: Sending PUBLISH to me (d0, q2, r0, m7, 'a', ... (1 bytes))";
        assert_eq!(rolled_back(log.lines().map(str::to_owned), "me").into_iter().collect::<Vec<_>>(), [1]);
    }
}
