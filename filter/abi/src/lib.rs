//! The part of the proxy-wasm ABI 0.2.1 (<https://github.com/proxy-wasm/spec>) that Weir's filter needs.
//!
//! This is the one crate with unsafe code, and contains little else. Bytes go in and out, each call returns its
//! status, and nothing panics. A module exports only the callbacks of a `Filter`. The host enters the VM for each
//! exported function, for bodies, responses and logs too, and each of these entries costs every request. The callback
//! for response trailers costs only the responses that have them.
//!
//! Native builds of this crate are empty.

#[cfg(target_family = "wasm")]
mod calls;
#[cfg(target_family = "wasm")]
mod events;

#[cfg(target_family = "wasm")]
pub use calls::*;
#[cfg(target_family = "wasm")]
pub use events::*;
