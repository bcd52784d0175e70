//! Upstream connections that serve one client's connection alone.

/// Seconds after which Envoy closes an upstream connection without a request. The filter counts connections that serve
/// one client's connection alone for as long as Envoy keeps them.
pub const IDLE_SECONDS: u64 = 60;
