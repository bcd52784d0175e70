//! Any request that a policy reads whole has one answer or error, the same in both engines.
#![no_main]

#[path = "../checks/rego_input.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
