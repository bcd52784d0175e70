//! Any text is a Rego policy whose plan reads back and answers, or has faults that lie within it.
#![no_main]

#[path = "../checks/rego_policy.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
