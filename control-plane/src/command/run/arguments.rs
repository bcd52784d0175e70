//! The arguments of `weir run`, as typed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::output::OutputArguments;
use crate::command::shared_arguments::SharedArguments;
use crate::command::{address_argument, byte_size, duration};
use crate::envoy::capacity::memory;
use crate::nodes::host_contexts::ContextLimits;

/// The arguments of `weir run`, as typed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) shared: SharedArguments,
    /// The proxy's address; port 0 takes a free one [default: 127.0.0.1:15001, with a CMD 127.0.0.1:0]
    #[arg(long, value_name = "ADDR", value_parser = address_argument::listening)]
    pub(super) listen: Option<SocketAddr>,
    /// A file of users and passwords that the proxy accepts (a line `USER:PASSWORD` for each, mode 0600) [default:
    /// none, the proxy requires no credentials]
    #[arg(long, value_name = "FILE")]
    pub(super) proxy_credentials: Option<PathBuf>,
    /// An address for redirected connections; may be given twice, for IPv4 and IPv6 [default: none]
    #[arg(long, value_name = "ADDR", value_parser = address_argument::listening)]
    pub(super) transparent: Vec<SocketAddr>,
    /// With `context_per_host`, the maximum number of hosts with a context of their own
    #[arg(long, value_name = "COUNT", default_value_t = ContextLimits::DEFAULT.most)]
    pub(super) host_contexts: usize,
    /// A CA of your own in place of Weir's: a file with its certificate, then those above it up to the root (PEM)
    #[arg(long, value_name = "FILE", requires = "ca_key", conflicts_with = "state")]
    pub(super) ca_certificate: Option<PathBuf>,
    /// The private key of `--ca-certificate` (PEM, PKCS #8), mode 0600
    #[arg(long, value_name = "FILE", requires = "ca_certificate")]
    pub(super) ca_key: Option<PathBuf>,
    /// The lifetime of the certificates that clients see: 10m to 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = leaf_lifetime)]
    pub(super) leaf_lifetime: Duration,
    /// How long a client's connection may be idle without a request: 1s to 7d
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = idle)]
    pub(super) connection_idle: Duration,
    /// How long a request, its answer or a WebSocket may be idle: 1s to 7d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = idle)]
    pub(super) stream_idle: Duration,
    /// The maximum size of Envoy's heap: 64M or more; near it, Envoy refuses new work [default: a quarter of the
    /// memory, at most 2G]
    #[arg(long, value_name = "SIZE", value_parser = envoy_memory)]
    pub(super) envoy_memory: Option<u64>,
    #[command(flatten)]
    pub(super) output: OutputArguments,
    /// The command to run with the variables for proxy and CA; without one, weir runs until it is ended and prints
    /// decisions
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

impl Arguments {
    /// Makes the path of every watched file absolute. If another folder takes the working directory's path, the process
    /// still has the old directory, and relative paths would lead to its old files for ever.
    pub(super) fn with_absolute_paths(mut self) -> Self {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        if self.shared.policy != Path::new("-") {
            self.shared.policy = absolute(self.shared.policy);
        }
        let upstream_ca = &mut self.shared.upstream_ca;
        let others = [&mut self.proxy_credentials, upstream_ca, &mut self.ca_certificate, &mut self.ca_key];
        for path in others {
            *path = path.take().map(absolute);
        }
        self.output.make_absolute(absolute);
        self
    }
}

/// Parses the lifetime of leaves. With a shorter one, Weir would spend most of its work on renewals; a longer one would
/// exceed the intermediate's 30 days.
fn leaf_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration::parse(text)?;
    if (Duration::from_mins(10)..=Duration::from_hours(30 * 24)).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err("it must be from 10m to 30d".to_owned())
    }
}

/// Parses an idle limit. Without one, a client could hold connections for ever.
fn idle(text: &str) -> Result<Duration, String> {
    let limit = duration::parse(text)?;
    if (Duration::from_secs(1)..=Duration::from_hours(7 * 24)).contains(&limit) {
        Ok(limit)
    } else {
        Err("it must be from 1s to 7d".to_owned())
    }
}

/// Parses the size of the heap. With less, Envoy refuses work that it has just started.
fn envoy_memory(text: &str) -> Result<u64, String> {
    let bytes = byte_size::parse(text)?;
    if bytes >= memory::LEAST { Ok(bytes) } else { Err("it must be 64M or more".to_owned()) }
}
