//! The arguments that `weir run` and `weir doctor` share: `doctor` examines the gateway that `run` would start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::envoy::capabilities::UpstreamTlsChoice;

/// The gateway's policy, its Envoy, and the way to its upstreams.
#[derive(Debug, clap::Args)]
pub(super) struct SharedArguments {
    /// The policy document (`-` is standard input)
    #[arg(long, value_name = "FILE", default_value = "policy.yaml")]
    pub(super) policy: PathBuf,
    /// The Envoy to run [default: $WEIR_ENVOY, else `envoy` in PATH]
    #[arg(long, value_name = "FILE")]
    pub(super) envoy: Option<PathBuf>,
    /// How hosts that share an address are kept apart
    #[arg(long, value_name = "STRATEGY", value_enum, default_value_t)]
    pub(super) upstream_tls: UpstreamTlsChoice,
    /// Roots (PEM) to trust for upstreams, beside the system's
    #[arg(long, value_name = "FILE")]
    pub(super) upstream_ca: Option<PathBuf>,
    /// The DNS resolver for upstream names [default: the system's]
    #[arg(long, value_name = "ADDR")]
    pub(super) dns: Option<SocketAddr>,
    /// Where the CA is kept [default: $XDG_STATE_HOME/weir, else ~/.local/state/weir]
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
}
