//! Any request has one decision, and one that is allowed names an allowed host in every way in which it names a host.
#![no_main]

#[path = "../checks/decide.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
