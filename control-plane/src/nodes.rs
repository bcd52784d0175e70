//! The connected Envoys: the resources that each one is served, and how far it is with them.
//!
//! ```text
//! policy ─ resources ─▶ SnapshotCache ─▶ ServedGateway ─▶ weir_xds::Session ─ DiscoveryServer ─▶ Envoy
//!                       HostContexts ───────┘                  ▲
//!                       LeafSecrets ────────────────────────────┘
//! ```
//! The protocols themselves are plain state in [`weir_xds`]; [`server`] moves the bytes.

pub mod host_contexts;
pub mod registry;
mod served_gateway;
pub mod server;
pub mod service;
pub mod snapshot_cache;
