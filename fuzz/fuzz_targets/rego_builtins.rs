//! Any arguments that a request brings to a builtin have a value or none, and never a panic.
#![no_main]

#[path = "../checks/rego_builtins.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
