//! The control plane: it compiles policies, and serves each Envoy its whole configuration over one ADS stream.
//!
//! ```text
//! input ─▶ envoy::resources ─▶ nodes ─▶ Envoy ─▶ decision_log ─▶ output
//!     ca ─▶ leaf secrets ───────┘         └─▶ dns
//! ```
//! [`command`] has the commands of `weir`. [`local_gateway`] and [`process`] have the parts of `weir run`: a local Envoy
//! and a command behind it.

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
