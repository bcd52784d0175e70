//! The connected Envoys: the resources that each one gets, and its progress with them.
//!
//! ```text
//! policy ─ resources ─▶ SnapshotCache ─▶ ServedGateway ─▶ weir_xds::Session ─ DiscoveryServer ─▶ Envoy
//!                       HostContexts ───────┘                  ▲
//!                       LeafSecrets ────────────────────────────┘
//! ```
//! The protocols are plain state in [`weir_xds`]; [`server`] does the I/O.

pub mod host_contexts;
pub(crate) mod leaf_secrets;
pub(crate) mod registry;
mod served_gateway;
pub mod server;
pub(crate) mod service;
pub(crate) mod snapshot_cache;
