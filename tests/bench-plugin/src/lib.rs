//! A proxy-wasm module for benches.
//!
//! Without a configuration it is a filter that does nothing. With one it loads a policy, decides, says in Envoy's log how
//! long that took, and is a filter that does nothing. Natively it is empty.

#[cfg(target_family = "wasm")]
mod decisions;
#[cfg(target_family = "wasm")]
mod plugin;
