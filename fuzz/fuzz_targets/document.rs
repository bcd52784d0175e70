//! Any text is a policy whose bytes read back, or has faults that lie within it; the same for decision cases.
#![no_main]

#[path = "../checks/document.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
