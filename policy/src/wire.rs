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
//! | 40 | 4 | rule list of the rules without hosts, or `u32::MAX` |
//! | 44 | 112 | offset and length of each section, in the order of `Section` |
//! | 156 | 1 | mode: 0 enforce, 1 report, 2 open |
//! | 157 | 1 | 1: a Rego policy must agree |
//! | 158 | 2 | zero |
//!
//! # The host table
//!
//! Exact names and `*.` suffixes stand in buckets, four in the mean, which the upper half of the hash chooses by
//! multiplication. A bucket is a run of entries: tag (1: kind, brackets and 6 bits of the hash), length of the name (1),
//! rule list (2), and the name, three letters in two bytes. One offset a bucket says where it starts. So a lookup touches
//! two places, and compares a name in full before it is believed; entries stand sorted by bucket, name and kind, so that
//! the layout does not depend on the order of the document. A host takes 5 bytes and two thirds of its name.

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
