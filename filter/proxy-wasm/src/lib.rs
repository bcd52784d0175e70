//! The filter as a proxy-wasm module. Envoy loads it, and runs one instance of it on each worker.
//!
//! The filter itself is `weir-filter`. This crate translates the calls of the ABI (`weir-abi`) into the filter's terms and
//! back, and does nothing else. Natively the crate has only the encodings, for their tests.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used,
        reason = "one trap in the filter is an outage for everybody"
    )
)]

#[cfg(target_family = "wasm")]
mod envoy;
pub mod filter_state;
pub mod header_map;
pub mod held_responses;
#[cfg(target_family = "wasm")]
mod plugin;
pub mod status;
