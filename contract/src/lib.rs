//! The agreements between the filter and the control plane: names, and byte formats with encoder beside decoder.
//!
//! ```text
//! control plane ── plugin configuration, connection line ──▶ filter
//!               ◀── cluster header, filter state, record ───
//! ```
//! The crate knows no Envoy API and no I/O, so that both sides can depend on it, natively and in Wasm.

pub mod cluster;
pub mod configuration;
pub mod connection;
pub mod envelope;
pub mod filter_state;
pub mod header;
pub mod json;
pub mod protobuf;
pub mod proxy_status;
pub mod record;
pub mod separation;
