//! A path that can be read has nothing left to resolve, and one that an encoded separator leaves open has no dot
#![no_main]

#[path = "../checks/path.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
