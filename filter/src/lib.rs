//! The HTTP filter: facts of a request in, a denial or the upstream's name out.
//!
//! It trusts what Envoy says of a connection and nothing that a client says of itself. Its logic is generic over
//! [`hostcalls::Hostcalls`]; `plugin` alone binds it to proxy-wasm.
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

pub mod configuration;
pub mod counters;
pub mod decision_id;
pub mod denial;
pub mod facts;
pub mod filter_state;
pub mod header_map;
pub mod hostcalls;
pub mod json;
pub mod judge;
#[cfg(target_family = "wasm")]
mod plugin;
pub mod proxy_credentials;
pub mod record;
pub mod rego;
pub mod ruling;
pub mod upstream;
