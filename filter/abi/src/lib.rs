//! The proxy-wasm ABI 0.2.1 (<https://github.com/proxy-wasm/spec>), as much of it as Weir's filter needs.
//!
//! The one crate with unsafe code, and it has little else: bytes go in and out, each call gives its status, and nothing
//! panics. A module exports only what a `Filter` has: the host enters the VM for each function that a module exports,
//! for bodies, responses and logs too, and each of these entries costs every request. Response trailers cost only the
//! responses that have them.
//!
//! Natively it is empty.

#[cfg(target_family = "wasm")]
mod calls;
#[cfg(target_family = "wasm")]
mod events;

#[cfg(target_family = "wasm")]
pub use calls::*;
#[cfg(target_family = "wasm")]
pub use events::*;
