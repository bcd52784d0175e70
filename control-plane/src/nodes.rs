//! The connected Envoys: the resources that each one gets, and its progress with them.
//!
//! ```text
//! Gateways ─ resources ─▶ SnapshotCache ─▶ ServedGateway ─▶ weir_xds::Session ─ DiscoveryServer ─▶ Envoy
//!     ▲                   HostContexts ───────┘                  ▲                    │
//! NodeIdentity            LeafSecrets ────────────────────────────┘                    │
//!     └──────────────── transport: the peer of each connection ◀──────────────────────┘
//! ```
//! The protocols are plain state in [`weir_xds`]; [`server`] does the I/O.

pub(crate) mod gateways;
pub mod host_contexts;
pub(crate) mod identity;
pub(crate) mod leaf_secrets;
pub(crate) mod registry;
mod served_gateway;
pub mod server;
pub(crate) mod service;
mod snapshot_cache;
pub(crate) mod transport;
