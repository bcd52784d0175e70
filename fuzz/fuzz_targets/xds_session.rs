//! Any requests, acknowledgements and changes in any order leave a delta session and its node in agreement.
#![no_main]

#[path = "../checks/xds_session.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
