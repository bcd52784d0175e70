//! Any bytes are refused, or are a policy that answers every question; also behind a right length and checksum.
#![no_main]

#[path = "../checks/policy_bytes.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
