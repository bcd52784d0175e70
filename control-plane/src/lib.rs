//! The control plane: policies in, everything an Envoy needs out over one ADS stream.
//!
//! ```text
//! input ─▶ envoy::resources ─▶ nodes ─▶ Envoy ─▶ decision_log ─▶ output
//!     ca ─▶ leaf secrets ───────┘         └─▶ dns
//! ```
//! [`command`] holds the commands of `weir`, [`local_gateway`] and [`process`] what `weir run` adds: a local Envoy and a
//! command behind it.

pub mod address;
pub mod ca;
pub mod command;
pub mod control_plane;
pub(crate) mod decision_log;
pub(crate) mod dns;
pub mod envoy;
pub mod folder;
pub mod input;
pub mod local_gateway;
pub mod nodes;
pub mod output;
pub mod process;
