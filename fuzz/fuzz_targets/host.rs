//! A host that can be read is canonical: its text is its own canonical form, and short, lower-case ASCII.
#![no_main]

#[path = "../checks/host.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
