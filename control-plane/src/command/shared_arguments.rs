//! The arguments of both `weir run` and `weir doctor`: `doctor` examines the gateway that `run` would start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::command::address_argument;
use crate::envoy::capabilities::UpstreamTlsChoice;

/// The gateway's policy, its Envoy, and its connections to upstreams.
#[derive(Debug, clap::Args)]
pub(super) struct SharedArguments {
    /// The policy document (`-` is standard input)
    #[arg(long, value_name = "FILE", default_value = "policy.yaml")]
    pub(super) policy: PathBuf,
    /// The Envoy to run [default: $WEIR_ENVOY, else `envoy` in PATH]
    #[arg(long, value_name = "FILE")]
    pub(super) envoy: Option<PathBuf>,
    /// The strategy that keeps hosts on one address apart
    #[arg(long, value_name = "STRATEGY", value_enum, default_value_t)]
    pub(super) upstream_tls: UpstreamTlsChoice,
    /// A file of roots (PEM) that verify upstreams, in addition to the system's
    #[arg(long, value_name = "FILE")]
    pub(super) upstream_ca: Option<PathBuf>,
    /// The DNS resolver for upstream names [default: the system's]
    #[arg(long, value_name = "ADDR", value_parser = address_argument::name_server)]
    pub(super) dns: Option<SocketAddr>,
    /// The folder of the CA [default: $XDG_STATE_HOME/weir, else ~/.local/state/weir]
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
}
