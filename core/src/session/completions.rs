//! QoS 2 messages that are complete for us while the broker may not know it: a broker that falls back is not believed.
//!
//! mosquitto 2.0.11 sends the PUBLISH again (DUP, same identifier) after it had our PUBREC, if a link breaks between PUBREL
//! and PUBCOMP and the next one dies while the PUBRELs are being repeated, before its CONNACK is read or after (measured: 1 to
//! 3 of 500 kills, and it keeps to it for as many links as it takes). So only a repetition behind a link that ended before a
//! PINGRESP is one: otherwise a broker that gives the lowest free identifier to every message could send the same reading
//! anew, and it would be lost.

use std::collections::HashMap;

/// So many PUBCOMPs may be unproven before a PINGREQ asks for the proof.
const UNPROVEN: usize = 1024;

/// Packet identifiers and contents by what is known of their PUBCOMP.
#[derive(Debug, Default)]
pub(super) struct Completions {
    /// Sent on this link.
    sent: HashMap<u16, u64>,
    /// Sent before a PINGREQ that is not answered yet.
    fenced: HashMap<u16, u64>,
    /// Sent on an earlier link, perhaps never received.
    suspects: HashMap<u16, u64>,
    /// A link since the completion ended before a PINGRESP: the broker may have fallen back.
    armed: bool,
    fence: bool,
}

impl Completions {
    /// From the rows: whatever an earlier process completed.
    pub(super) fn new(suspects: impl Iterator<Item = (u16, u64)>) -> Self {
        Self { suspects: suspects.collect(), ..Self::default() }
    }

    /// A PUBREL came for what an earlier link completed: the broker lacks our PUBCOMP, the next one leaves with this turn.
    pub(super) fn again(&mut self, pid: u16) -> bool {
        let content = self.suspects.remove(&pid);
        self.sent.extend(content.map(|content| (pid, content)));
        content.is_some()
    }

    /// A PUBCOMP leaves with this turn.
    pub(super) fn add(&mut self, pid: u16, content: u64) {
        self.sent.insert(pid, content);
    }

    /// A PUBLISH with this identifier came: is it the message that was complete already? Not on the link that completed
    /// it, there the identifier is the broker's to use again; and what is not exactly the same is a new message.
    pub(super) fn repeats(&mut self, pid: u16, content: u64, dup: bool) -> bool {
        self.sent.remove(&pid);
        self.fenced.remove(&pid);
        self.suspects.remove(&pid) == Some(content) && dup && self.armed
    }

    /// See `armed`.
    pub(super) fn arm(&mut self, unproven: bool) {
        self.armed = unproven;
    }

    /// Whether the answer to a ping would settle much, or doubts from an earlier link.
    pub(super) fn wants_fence(&self) -> bool {
        !self.fence && (self.sent.len() >= UNPROVEN || !self.suspects.is_empty())
    }

    /// A PINGREQ goes out.
    pub(super) fn fence(&mut self) {
        if !self.fence {
            self.fence = true;
            self.fenced = std::mem::take(&mut self.sent);
        }
    }

    /// Its answer has come: whatever the broker repeats after a reconnect came before it.
    pub(super) fn fence_passed(&mut self) -> HashMap<u16, u64> {
        if !std::mem::take(&mut self.fence) {
            return HashMap::new();
        }
        let mut known = std::mem::take(&mut self.fenced);
        known.extend(std::mem::take(&mut self.suspects));
        known
    }

    /// The link is gone: nothing was proven.
    pub(super) fn disconnected(&mut self) {
        self.fence = false;
        self.suspects.extend(std::mem::take(&mut self.fenced));
        self.suspects.extend(std::mem::take(&mut self.sent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed_on_a_link_that_broke() -> Completions {
        let mut completions = Completions::default();
        completions.add(7, 70);
        completions.disconnected();
        completions
    }

    #[test]
    fn p3_behind_a_link_that_proved_nothing_the_same_message_again_is_a_repetition() {
        let mut completions = completed_on_a_link_that_broke();
        completions.arm(true);
        assert!(completions.repeats(7, 70, true));
        assert!(!completions.repeats(7, 70, true), "only once");
    }

    #[test]
    fn p4_an_identifier_that_is_used_again_brings_a_new_message() {
        for (armed, content, dup) in [(false, 70, true), (true, 71, true), (true, 70, false)] {
            let mut completions = completed_on_a_link_that_broke();
            completions.arm(armed);
            assert!(!completions.repeats(7, content, dup), "armed {armed}, content {content}, dup {dup}");
        }
        let mut completions = Completions::default();
        completions.arm(true);
        completions.add(7, 70);
        assert!(!completions.repeats(7, 70, true), "completed on this very link");
    }

    #[test]
    fn a_pingresp_proves_nothing_of_a_pubcomp_that_was_repeated_behind_its_pingreq() {
        let mut completions = completed_on_a_link_that_broke();
        completions.fence();
        assert!(completions.again(7));
        assert_eq!(completions.fence_passed(), HashMap::new());
        completions.disconnected();
        completions.arm(true);
        assert!(completions.repeats(7, 70, true));
    }

    #[test]
    fn a_pingresp_proves_what_was_sent_before_its_pingreq() {
        let mut completions = completed_on_a_link_that_broke();
        assert!(completions.wants_fence());
        completions.add(8, 80);
        completions.fence();
        completions.add(9, 90);
        assert!(!completions.wants_fence(), "one at a time");
        assert_eq!(completions.fence_passed(), HashMap::from([(7, 70), (8, 80)]));
        completions.disconnected();
        completions.arm(true);
        assert!(completions.repeats(9, 90, true), "not proven yet");
    }
}
