//! The HTTP filter as a library: it reads the facts of a request, decides, and then denies the request or prepares it for
//! its upstream.
//!
//! The filter trusts Envoy's statements about a connection, and no statement of a client about itself. The library knows
//! no ABI: it is generic over [`hostcalls::Hostcalls`], and a module of a thin crate implements the calls
//! (`filter/proxy-wasm`).
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
pub mod hostcalls;
pub mod judge;
pub mod judged_request;
pub mod proxy_credentials;
pub mod record;
pub mod rego;
pub mod separation;
pub mod upstream;
