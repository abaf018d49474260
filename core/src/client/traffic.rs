//! Bytes on links: the link counts its own, the driver adds up.

use crate::link::Link;

/// Bytes read, written and ignored on all links, and read and written on the present or last one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) ignored: u64,
    pub(crate) link: (u64, u64),
}

impl Traffic {
    /// With those of a link that lives, and what its decoder ignored.
    pub(crate) fn with(self, link: &Link, ignored: u64) -> Self {
        let (bytes_in, bytes_out) = link.counters();
        Self {
            bytes_in: self.bytes_in + bytes_in,
            bytes_out: self.bytes_out + bytes_out,
            ignored: self.ignored + ignored,
            link: (bytes_in, bytes_out),
        }
    }
}
