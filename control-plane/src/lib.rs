//! The control plane: policies in, everything an Envoy needs out over one ADS stream.
//!
//! ```text
//! policy ─ resources → nodes → Envoy ─ decision_log → decisions
//!      ca → leaf_secrets ↗
//! ```

pub mod address_space;
pub mod bootstrap;
pub mod ca;
pub mod capabilities;
pub mod capacity;
pub mod certificate_file;
pub mod command;
pub mod control_plane;
pub mod decision_log;
pub mod dns;
pub mod enforced;
pub mod environment;
pub mod envoy;
pub mod envoy_version;
pub mod exit_code;
pub mod filter_module;
pub mod inert_json;
pub mod invalid_request;
pub mod leaf_secrets;
pub mod nodes;
pub mod output_stream;
pub mod own_addresses;
pub mod policy_document;
pub mod process;
pub mod proxy_credentials;
pub mod redirection;
pub mod regular_file;
pub mod report;
pub mod reserved_address;
pub mod resources;
pub mod runtime_folder;
pub mod shell;
pub mod state_folder;
pub mod trusted_folder;
pub mod upstream_failure;
pub mod upstream_files;
