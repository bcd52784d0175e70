//! The wire form of a policy: one block of bytes, read in place.
//!
//! Little endian, fixed-size records, every reference an offset into a section. [`Image::open`] checks every offset, every
//! text and every tag once; after that reading is total, because each read is a checked `get` with a harmless default.
//! The checksum finds damage, not malice: who may send a policy is the business of the connection that brings it.
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 8 | magic `WEIRPOL\0` |
//! | 8 | 4 | format version |
//! | 12 | 4 | length of the whole |
//! | 16 | 8 | XXH3-64 of everything after it, seeded with the format version; also the policy's version |
//! | 24 | 16 | bit n set: some `*.` pattern has n labels after the star |
//! | 40 | 4 | longest run of host slots that a lookup has to walk |
//! | 44 | 4 | home slots of the host table |
//! | 48 | 4 | rule list of the rules without hosts, or `u32::MAX` |
//! | 52 | 104 | offset and length of each section, in the order of `Section` |
//! | 156 | 1 | mode: 0 enforce, 1 report, 2 open |
//! | 157 | 3 | zero |
//!
//! # The host table
//!
//! Exact names and `*.` suffixes stand in one open-addressing table of 8-byte slots: text offset (4), text length (1,
//! zero is empty), kind bit and 7 bits of the hash (1), rule list (2). The upper half of the hash chooses the home slot
//! by multiplication; entries are laid down in the order of their home, each in the first free slot from there, without
//! wrapping around. So the layout does not depend on the order of insertion, and the longest walk is known beforehand.
//! At most three quarters of the homes are used: 10.7 bytes a host and its text.

mod header;
mod image;
mod records;
mod validate;
#[cfg(feature = "compile")]
pub(crate) mod writer;

pub(crate) use image::{AddressSetRef, Image};
pub(crate) use records::{Ports, RuleRecord, UpstreamRecord};
pub use validate::InvalidPolicyBytes;
#[cfg(feature = "compile")]
pub(crate) use validate::is_id_byte;

/// The hash of a host's text, for the host table.
pub(crate) fn hash_host(text: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text)
}

/// The home slot of a hash among `homes`.
pub(crate) fn home_slot(hash: u64, homes: u32) -> u32 {
    let upper = hash >> 32;
    u32::try_from(upper.wrapping_mul(u64::from(homes)) >> 32).unwrap_or(0)
}

/// The 7 bits of a hash that a slot keeps, with the kind bit on top.
pub(crate) fn slot_tag(hash: u64, below: bool) -> u8 {
    let [low, ..] = hash.to_le_bytes();
    (low & 0x7f) | (u8::from(below) << 7)
}
