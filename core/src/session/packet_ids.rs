//! Packet identifiers: a lane's ordinal gives the identifier, and the identifier gives the ordinal back.

/// A lane's share of the 65,535 packet identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidRange {
    first: u16,
    count: u16,
}

/// Identifiers of the normal lane.
pub const NORMAL: PidRange = PidRange { first: 1, count: 57_344 };
/// Identifiers of the urgent lane.
pub const URGENT: PidRange = PidRange { first: 57_345, count: 7_935 };
/// By lane.
pub const LANES: [PidRange; 2] = [NORMAL, URGENT];
/// Identifiers of SUBSCRIBE and UNSUBSCRIBE.
pub const REQUESTS: PidRange = PidRange { first: 65_280, count: 256 };

impl PidRange {
    /// How many identifiers there are: the span of unfinished ordinals must stay below it, or one wraps onto a live one.
    pub const fn count(self) -> u64 {
        self.count as u64
    }

    /// The identifier of an ordinal.
    pub const fn pid(self, ord: u64, salt: u64) -> u16 {
        self.first + (ord.wrapping_add(salt) % self.count as u64) as u16
    }

    /// The ordinal in `oldest .. oldest + count` that has this identifier; None if it is not of this range.
    pub const fn ord(self, pid: u16, salt: u64, oldest: u64) -> Option<u64> {
        if pid < self.first || pid - self.first >= self.count {
            return None;
        }
        let count = self.count as u64;
        let base = oldest.wrapping_add(salt) % count;
        Some(oldest + ((pid - self.first) as u64 + count - base) % count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_identifier_leads_back_to_its_ordinal(oldest in 1u64..1 << 40, ahead in 0u64..57_344, salt in 0u64..1 << 32) {
            let pid = NORMAL.pid(oldest + ahead, salt);
            prop_assert!((1..=57_344).contains(&pid));
            prop_assert_eq!(NORMAL.ord(pid, salt, oldest), Some(oldest + ahead));
            prop_assert_eq!(URGENT.ord(pid, salt, oldest), None);
        }

        #[test]
        fn p5_the_lanes_share_no_identifier(oldest in 1u64..1 << 40, ahead in 0u64..7_935, salt in 0u64..1 << 32) {
            let pid = URGENT.pid(oldest + ahead, salt);
            prop_assert!((57_345..=65_279).contains(&pid));
            prop_assert_eq!(URGENT.ord(pid, salt, oldest), Some(oldest + ahead));
            prop_assert_eq!((NORMAL.ord(pid, salt, oldest), REQUESTS.ord(pid, salt, oldest)), (None, None));
        }
    }

    #[test]
    fn identifiers_of_other_ranges_are_nobodys() {
        assert_eq!(NORMAL.ord(0, 0, 1), None);
        assert_eq!(NORMAL.ord(57_345, 0, 1), None);
        assert_eq!(REQUESTS.ord(65_535, 0, 0), Some(255));
    }
}
