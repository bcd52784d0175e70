//! The name servers that the operator means: one that is named, or the system's.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use weir_policy::Host;

const SYSTEM: &str = "/etc/resolv.conf";
/// A lookup as a whole. Envoy gives up after five seconds.
const WITHIN: Duration = Duration::from_millis(4500);
/// One question to one server, before it is asked once more.
const ONE_QUESTION: Duration = Duration::from_secs(2);

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The name servers say so.
    #[error("the name does not exist or has no address")]
    NoSuchName,
    /// Nobody answered in time.
    #[error("no name server answered within {} s", WITHIN.as_secs_f32())]
    Timeout,
    /// The system's settings cannot be read.
    #[error("{SYSTEM} cannot be read: {0}")]
    System(#[source] io::Error),
    /// Anything else.
    #[error("{0}")]
    Failed(#[from] NetError),
}

/// Where names are looked up. Holds no answers.
pub struct NameServers(Source);

enum Source {
    Named(TokioResolver),
    /// As they were when the settings were of that time.
    System(Mutex<Option<(SystemTime, TokioResolver)>>),
}

impl NameServers {
    /// The resolver at this address, or the system's (`/etc/resolv.conf` as it is at each lookup, and `/etc/hosts`).
    ///
    /// # Errors
    /// Never seen for plain DNS; the library may refuse its settings.
    pub fn new(named: Option<SocketAddr>) -> Result<Self, NetError> {
        let Some(address) = named else { return Ok(Self(Source::System(Mutex::default()))) };
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        let server = NameServerConfig::new(address.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        Ok(Self(Source::Named(build(config, ResolveHosts::Never)?)))
    }

    /// The addresses of a name, of both families, and until when they count. Search domains are not applied.
    ///
    /// # Errors
    /// When there is none, or that cannot be said.
    pub async fn addresses(&self, host: &Host) -> Result<(Vec<IpAddr>, Instant), LookupError> {
        let resolver = match &self.0 {
            Source::Named(resolver) => resolver.clone(),
            Source::System(known) => system(known)?,
        };
        let lookup = resolver.lookup_ip(format!("{host}."));
        let found = tokio::time::timeout(WITHIN, lookup).await.map_err(|_elapsed| LookupError::Timeout)?;
        match found {
            Ok(found) => Ok((found.iter().collect(), found.valid_until())),
            Err(error) if error.is_no_records_found() => Err(LookupError::NoSuchName),
            Err(NetError::Timeout) => Err(LookupError::Timeout),
            Err(error) => Err(LookupError::Failed(error)),
        }
    }
}

/// The system's resolver, made anew when its settings have changed.
fn system(known: &Mutex<Option<(SystemTime, TokioResolver)>>) -> Result<TokioResolver, LookupError> {
    let changed = fs::metadata(Path::new(SYSTEM)).and_then(|file| file.modified());
    let changed = changed.map_err(LookupError::System)?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, resolver)) = known.as_ref().filter(|(time, _)| *time == changed) {
        return Ok(resolver.clone());
    }
    let (config, _) = hickory_resolver::system_conf::read_system_conf()?;
    let resolver = build(config, ResolveHosts::Always)?;
    *known = Some((changed, resolver.clone()));
    Ok(resolver)
}

fn build(config: ResolverConfig, hosts: ResolveHosts) -> Result<TokioResolver, NetError> {
    let mut options = ResolverOpts::default();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = hosts;
    options.timeout = ONE_QUESTION;
    options.attempts = 1;
    // Answers are kept by who asks.
    options.cache_size = 0;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.0 {
            Source::Named(_) => "named",
            Source::System(_) => "system",
        };
        f.debug_tuple("NameServers").field(&source).finish()
    }
}
