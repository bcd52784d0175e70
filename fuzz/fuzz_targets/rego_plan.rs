//! Any bytes are refused, or are a plan that is written and read as the same plan.
#![no_main]

#[path = "../checks/rego_plan.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
