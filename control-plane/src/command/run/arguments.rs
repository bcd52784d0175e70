//! The arguments of `weir run`, as typed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::shared_arguments::SharedArguments;
use crate::command::{byte_size, duration};
use crate::envoy::capacity::memory;
use crate::nodes::host_contexts::Limits;

/// The arguments of `weir run`, as typed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) shared: SharedArguments,
    /// Where the proxy listens; port 0 takes a free one [default: 127.0.0.1:15001, with a CMD 127.0.0.1:0]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<SocketAddr>,
    /// Users and passwords (a line `USER:PASSWORD` for each, mode 0600) that clients of the proxy must prove to be
    /// [default: none is asked for]
    #[arg(long, value_name = "FILE")]
    pub(super) proxy_credentials: Option<PathBuf>,
    /// Where redirected connections are taken; may be given twice, for IPv4 and IPv6 [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub(super) transparent: Vec<SocketAddr>,
    /// With `context_per_host`, the most hosts that have a context at a time
    #[arg(long, value_name = "COUNT", default_value_t = Limits::DEFAULT.most)]
    pub(super) host_contexts: usize,
    /// A CA of your own in place of Weir's: its certificate, then those above it up to the root (PEM)
    #[arg(long, value_name = "FILE", requires = "ca_key", conflicts_with = "state")]
    pub(super) ca_certificate: Option<PathBuf>,
    /// Its private key (PEM, PKCS #8), mode 0600
    #[arg(long, value_name = "FILE", requires = "ca_certificate")]
    pub(super) ca_key: Option<PathBuf>,
    /// How long the certificates that clients see live: 10m to 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = leaf_lifetime)]
    pub(super) leaf_lifetime: Duration,
    /// The heap that Envoy may take: 64M or more; near it, Envoy refuses new work [default: a quarter of the memory, at most 2G]
    #[arg(long, value_name = "SIZE", value_parser = envoy_memory)]
    pub(super) envoy_memory: Option<u64>,
    /// Print decisions as JSON, one a line
    #[arg(long)]
    pub(super) json: bool,
    /// The command to run with the proxy and CA variables set; without one, weir stays and shows decisions
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

impl Arguments {
    /// Names every watched file from the root on. The working directory stays what it was when another folder comes to
    /// its path, and a name from there would lead to the old files for ever.
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
        self
    }
}

/// Shorter and renewing is most of the work; longer and the intermediate, which lives 30 days, cuts it anyway.
fn leaf_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration::parse(text)?;
    if (Duration::from_mins(10)..=Duration::from_hours(30 * 24)).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err("it must be from 10m to 30d".to_owned())
    }
}

/// With less, Envoy refuses work that it has just begun.
fn envoy_memory(text: &str) -> Result<u64, String> {
    let bytes = byte_size::parse(text)?;
    if bytes >= memory::LEAST { Ok(bytes) } else { Err("it must be 64M or more".to_owned()) }
}
