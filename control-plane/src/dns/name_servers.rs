//! The operator's name servers: one that the operator names, or the system's.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_proto::rr::Name;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use weir_policy::Host;

const SYSTEM: &str = "/etc/resolv.conf";
/// `MAXNS` of resolv.conf(5).
const MOST_SERVERS: usize = 3;
/// The maximum duration of a lookup. Envoy gives up after five seconds.
pub(super) const WITHIN: Duration = Duration::from_millis(4500);
/// The maximum wait for one family of addresses after the other has arrived.
const OTHER_FAMILY: Duration = Duration::from_secs(1);
/// The time limit of one question to one server before it is repeated once.
const ONE_QUESTION: Duration = Duration::from_secs(2);

/// The reason why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// The name servers answered that the name does not exist, or has no address.
    #[error("the name does not exist or has no address")]
    NoSuchName,
    /// No name server answered in time.
    #[error("no name server answered within {} s", WITHIN.as_secs_f32())]
    Timeout,
    /// The lookup gave its place to a waiting one.
    #[error("the lookup gave way to others, because many name servers do not answer")]
    Busy,
    /// The system's settings cannot be read.
    #[error("{SYSTEM} cannot be read: {0}")]
    System(#[source] io::Error),
    /// Any other failure.
    #[error("{0}")]
    Failed(#[from] NetError),
}

/// The source of lookups. It keeps no answers.
pub(crate) struct NameServers(Source);

enum Source {
    Named(Resolvers),
    /// The system's resolvers, and the modification time of the settings that they were made from.
    System(Mutex<Option<(SystemTime, Resolvers)>>),
}

/// A resolver for each family, because each family has an answer of its own, and one may be late.
#[derive(Clone)]
struct Resolvers {
    v4: TokioResolver,
    v6: TokioResolver,
}

/// The addresses of one family, and the time at which they expire.
type Family = Result<(Vec<IpAddr>, Instant), LookupError>;

impl NameServers {
    /// Uses the name server at this address, or the system's (`/etc/resolv.conf` as it is at each lookup, and
    /// `/etc/hosts`).
    ///
    /// # Errors
    /// When the library refuses its settings. It never did for plain DNS.
    pub(crate) fn new(named: Option<SocketAddr>) -> Result<Self, NetError> {
        let Some(address) = named else { return Ok(Self(Source::System(Mutex::default()))) };
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        let server = NameServerConfig::new(address.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        Ok(Self(Source::Named(build(&config, ResolveHosts::Never)?)))
    }

    /// Returns a name's addresses of both families, and the time at which they expire. Applies no search domains. If
    /// the answer for one family is late or fails, the other family's addresses are returned.
    ///
    /// # Errors
    /// When the name has no address, or no name server had an answer.
    pub(crate) async fn addresses(&self, host: &Host) -> Result<(Vec<IpAddr>, Instant), LookupError> {
        let resolvers = match &self.0 {
            Source::Named(resolvers) => resolvers.clone(),
            Source::System(known) => system(known)?,
        };
        // From labels, because the library's parser of text refuses some names that resolve (`-a.example`).
        let name = Name::from_labels(host.as_str().split('.').map(str::as_bytes)).map_err(NetError::from)?;
        let both = both(one_family(&resolvers.v4, name.clone()), one_family(&resolvers.v6, name));
        tokio::time::timeout(WITHIN, both).await.map_err(|_elapsed| LookupError::Timeout)?
    }
}

async fn one_family(resolver: &TokioResolver, name: Name) -> Family {
    match resolver.lookup_ip(name).await {
        Ok(found) => Ok((found.iter().collect(), found.valid_until())),
        Err(error) if error.is_no_records_found() => Err(LookupError::NoSuchName),
        Err(NetError::Timeout) => Err(LookupError::Timeout),
        Err(error) => Err(LookupError::Failed(error)),
    }
}

/// Joins the addresses of both families. When one has addresses, it waits a little longer for the other.
async fn both(v4: impl Future<Output = Family>, v6: impl Future<Output = Family>) -> Family {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    tokio::select! {
        first = &mut v4 => joined(first, v6, |v4, v6| (v4, v6)).await,
        first = &mut v6 => joined(first, v4, |v6, v4| (v4, v6)).await,
    }
}

async fn joined(
    first: Family,
    second: impl Future<Output = Family>,
    order: impl FnOnce(Family, Family) -> (Family, Family),
) -> Family {
    let second = match first {
        Ok(_) => tokio::time::timeout(OTHER_FAMILY, second).await.unwrap_or(Err(LookupError::Timeout)),
        Err(_) => second.await,
    };
    match order(first, second) {
        (Ok((mut addresses, until)), Ok((others, others_until))) => {
            addresses.extend(others);
            Ok((addresses, until.min(others_until)))
        }
        (Ok(found), Err(LookupError::NoSuchName)) | (Err(LookupError::NoSuchName), Ok(found)) => Ok(found),
        // Expires at once, because the other family may succeed at the next lookup.
        (Ok((addresses, _)), Err(_)) | (Err(_), Ok((addresses, _))) => Ok((addresses, Instant::now())),
        (Err(LookupError::NoSuchName), Err(error)) | (Err(error), Err(_)) => Err(error),
    }
}

/// Returns the system's resolvers, and makes them again when the settings have changed.
fn system(known: &Mutex<Option<(SystemTime, Resolvers)>>) -> Result<Resolvers, LookupError> {
    let changed = fs::metadata(SYSTEM).and_then(|file| file.modified()).map_err(LookupError::System)?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, resolvers)) = known.as_ref().filter(|(time, _)| *time == changed) {
        return Ok(resolvers.clone());
    }
    let settings = fs::read(SYSTEM).map_err(LookupError::System)?;
    let options = std::env::var_os("RES_OPTIONS").unwrap_or_default();
    let servers = configured(&settings, &options.to_string_lossy());
    let resolvers = build(&ResolverConfig::from_name_servers(servers), ResolveHosts::Always)?;
    *known = Some((changed, resolvers.clone()));
    Ok(resolvers)
}

/// Returns the name servers of a resolv.conf and their transports. `options` are those of the environment, which add to
/// the file's. With `use-vc`, Weir uses only TCP; otherwise it repeats a question over TCP if the answer was truncated.
fn configured(settings: &[u8], options: &str) -> Vec<NameServerConfig> {
    let settings = String::from_utf8_lossy(settings);
    let of_file = settings.lines().filter_map(|line| line.strip_prefix("options"));
    let only_tcp =
        of_file.chain([options]).any(|options| options.split_whitespace().any(|option| option == "use-vc"));
    let server = if only_tcp { NameServerConfig::tcp } else { NameServerConfig::udp_and_tcp };
    listed(&settings).into_iter().map(server).collect()
}

/// Returns the name servers that a resolv.conf lists, at most as many as the C library uses, or the C library's default
/// if it lists none. Other lines are ignored: names are looked up without search domains, and an odd option does not
/// make a lookup fail.
fn listed(settings: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        address.parse().ok()
    };
    let servers: Vec<_> = settings.lines().filter_map(server).take(MOST_SERVERS).collect();
    if servers.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { servers }
}

fn build(config: &ResolverConfig, hosts: ResolveHosts) -> Result<Resolvers, NetError> {
    let one = |family| {
        let mut options = ResolverOpts::default();
        options.ip_strategy = family;
        options.use_hosts_file = hosts;
        options.timeout = ONE_QUESTION;
        options.attempts = 1;
        // The caller keeps answers.
        options.cache_size = 0;
        let resolver = TokioResolver::builder_with_config(config.clone(), TokioRuntimeProvider::default());
        resolver.with_options(options).build()
    };
    Ok(Resolvers { v4: one(LookupIpStrategy::Ipv4Only)?, v6: one(LookupIpStrategy::Ipv6Only)? })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(settings: &[u8]) -> Vec<String> {
        configured(settings, "").iter().map(|server| server.ip.to_string()).collect()
    }

    #[test]
    fn with_use_vc_name_servers_are_asked_over_tcp_alone() {
        let over = |settings: &str, options| {
            let servers = configured(settings.as_bytes(), options);
            let transports = servers.iter().flat_map(|server| &server.connections);
            transports.map(|transport| format!("{:?}", transport.protocol)).collect::<Vec<_>>().join(" ")
        };
        let server = "nameserver 192.0.2.1\n";
        assert_eq!(over(server, ""), "Udp Tcp");
        assert_eq!(over(&format!("{server}options ndots:1 use-vc\n"), ""), "Tcp");
        assert_eq!(over(&format!("{server}options use-vcx\nsearch use-vc\n"), "rotate"), "Udp Tcp");
        assert_eq!(over(server, "ndots:1 use-vc"), "Tcp");
    }

    #[test]
    fn name_servers_are_read_whatever_else_is_in_the_file() {
        let label = "a".repeat(79);
        let settings = format!(
            "# c\nsearch (none) {label}.example\ndomain -\nnameserver 192.0.2.1 # first\n  nameserver\t2001:db8::1\n\
             options use-vc ndots:15 no-such-option\nsortlist 1.2.3.4/99\nnameserver none\nnameserver\nNAMESERVER 192.0.2.9\n\
             nameserver 192.0.2.2\nnameserver 192.0.2.3\n"
        );
        assert_eq!(addresses(settings.as_bytes()), ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        let bytes = [b"search \xff\xfe\n".as_slice(), b"nameserver 192.0.2.1"].concat();
        assert_eq!(addresses(&bytes), ["192.0.2.1"]);
    }

    #[test]
    fn without_a_name_server_it_is_the_machines_own() {
        for settings in ["", "search example", "nameserver fe80::1%eth0"] {
            assert_eq!(addresses(settings.as_bytes()), ["127.0.0.1"], "{settings}");
        }
    }

    fn found(addresses: &[&str]) -> Family {
        Ok((addresses.iter().map(|address| address.parse().unwrap()).collect(), Instant::now()))
    }

    async fn after(seconds: u64, family: Family) -> Family {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        family
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_is_late_or_fails_does_not_cost_the_other() {
        let (v4, v6) = (|| found(&["192.0.2.1"]), || found(&["2001:db8::1"]));
        let failed = || Err(LookupError::Timeout);
        let cases = [
            (both(after(0, v4()), after(9, v6())).await, vec!["192.0.2.1"]),
            (both(after(9, v4()), after(0, v6())).await, vec!["2001:db8::1"]),
            (both(after(0, v4()), after(0, failed())).await, vec!["192.0.2.1"]),
            (both(after(3, v4()), after(0, failed())).await, vec!["192.0.2.1"]),
            (both(after(3, v4()), after(0, Err(LookupError::NoSuchName))).await, vec!["192.0.2.1"]),
            (both(after(1, v4()), after(0, v6())).await, vec!["192.0.2.1", "2001:db8::1"]),
        ];
        for (found, expected) in cases {
            let found: Vec<_> = found.unwrap().0.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_missing_only_if_both_families_say_so() {
        let (missing, failed) = (|| Err(LookupError::NoSuchName), || Err(LookupError::Timeout));
        let neither = both(after(0, missing()), after(1, missing())).await;
        assert!(matches!(neither, Err(LookupError::NoSuchName)));
        for one in [
            both(after(0, missing()), after(1, failed())).await,
            both(after(0, failed()), after(1, missing())).await,
        ] {
            assert!(matches!(one, Err(LookupError::Timeout)));
        }
    }
}
