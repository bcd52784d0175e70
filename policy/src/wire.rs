//! The wire form of a policy: one block of bytes, read in place.
//!
//! It is little-endian, with fixed-size records, and every reference is an offset into a section. [`Image::open`]
//! checks every offset, every text and every tag once. After that, reading is total, because each read is a checked
//! `get` with a harmless default. The checksum detects damage, not malice: the connection that delivers a policy must
//! authenticate its sender.
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 8 | magic `WEIRPOL\0` |
//! | 8 | 4 | format version |
//! | 12 | 4 | length of the whole |
//! | 16 | 8 | XXH3-64 of everything after it, seeded with the format version; also the policy's version |
//! | 24 | 16 | bit n set: some `*.` pattern has n labels after the star |
//! | 40 | 4 | rule list of the rules without hosts, or `u32::MAX` |
//! | 44 | 112 | offset and length of each section, in the order of `Section` |
//! | 156 | 1 | mode: 0 enforce, 1 report, 2 open |
//! | 157 | 1 | 1: a Rego policy must agree |
//! | 158 | 2 | zero |
//!
//! # The host table
//!
//! Exact names and `*.` suffixes lie in buckets of four entries on average. The upper half of the hash chooses the
//! bucket by multiplication. A bucket is a run of entries: tag (1: kind, brackets and 6 bits of the hash), length of
//! the name (1), rule list (2), and the name, three letters in two bytes. Each bucket has one offset, which says
//! where it starts. So a lookup touches two places, and accepts a name only after a full comparison. Entries are
//! sorted by bucket, name and kind, so that the layout does not depend on the order of the document. A host takes 5
//! bytes and two thirds of its name.

mod header;
mod hosts;
mod image;
mod packing;
mod records;
mod validate;
#[cfg(feature = "compile")]
pub(crate) mod writer;

pub(crate) use image::{AddressSetRef, Image};
pub(crate) use records::{Ports, RuleRecord, UpstreamRecord};
pub use validate::InvalidPolicyBytes;
#[cfg(feature = "compile")]
pub(crate) use validate::is_id_byte;
