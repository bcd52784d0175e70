//! The host table, read in place.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::packing::{is_bracketed, is_packed, packed_bytes, unpack};
use crate::host::Host;
use crate::host_pattern::HostPattern;

/// The average number of hosts in a bucket.
#[cfg(feature = "compile")]
pub(super) const HOSTS_A_BUCKET: usize = 4;

/// Hashes a host's text.
pub(super) fn hash(text: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text)
}

/// Returns the bucket of a hash among `buckets`.
pub(super) fn bucket(hash: u64, buckets: u32) -> u32 {
    let upper = hash >> 32;
    u32::try_from(upper.wrapping_mul(u64::from(buckets)) >> 32).unwrap_or(0)
}

/// A tag that distinguishes most entries of a bucket: 6 bits of the hash, whether the text is in brackets, and the
/// pattern's kind.
pub(super) fn tag(hash: u64, text: &[u8], below: bool) -> u8 {
    let [low, ..] = hash.to_le_bytes();
    (low & 0x3f) | (u8::from(is_bracketed(text)) << 6) | (u8::from(below) << 7)
}

/// An entry: a host pattern and the list of its rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'b> {
    pub(super) tag: u8,
    /// The number of characters in the name.
    pub(super) length: u8,
    pub(super) list: u16,
    packed: &'b [u8],
}

/// Iterates over the entries of a bucket, up to the first incomplete one.
pub(super) struct Entries<'b>(pub(super) &'b [u8]);

impl<'b> Iterator for Entries<'b> {
    type Item = Entry<'b>;

    fn next(&mut self) -> Option<Entry<'b>> {
        let ([tag, length, a, b], rest) = self.0.split_first_chunk::<4>()?;
        let (packed, rest) = rest.split_at_checked(packed_bytes(*length))?;
        self.0 = rest;
        Some(Entry { tag: *tag, length: *length, list: u16::from_le_bytes([*a, *b]), packed })
    }
}

impl Entry<'_> {
    /// Returns whether the entry covers the names below its text.
    pub(super) fn is_below(&self) -> bool {
        self.tag & 0x80 != 0
    }

    fn is_bracketed(&self) -> bool {
        self.tag & 0x40 != 0
    }

    /// Returns whether the entry's text equals this one, byte for byte. The tags must be equal already.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        usize::from(self.length) == text.len() && is_packed(self.packed, text, self.is_bracketed())
    }

    /// Returns the entry's text, or `None` if it is not packed canonically.
    pub(super) fn text<'t>(&self, to: &'t mut [u8; 255]) -> Option<&'t [u8]> {
        unpack(self.packed, self.length, self.is_bracketed(), to)
    }

    /// Returns the entry's pattern, or `None` if its text is not a canonical host.
    pub(super) fn pattern(&self) -> Option<HostPattern> {
        let mut text = [0; 255];
        let host = Host::parse(self.text(&mut text)?).ok()?;
        Some(if self.is_below() { HostPattern::Below(host) } else { HostPattern::Exact(host) })
    }
}
