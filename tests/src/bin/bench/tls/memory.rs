//! The memory of a TLS context for each host: Envoy's heap with `context_per_host`, compared with `no_sessions` for
//! equal hosts, leaves and requests.

use std::path::PathBuf;

use anyhow::Result;
use e2e::{
    Deadline, EnvoyBinary, Request, Run, RunningGateway, ServerOptions, Site, Strategy, UpstreamHosts,
};

const VERSION: &str = "1.39.3";
/// The numbers of hosts, with the system's roots and with two roots.
const COUNTS: [usize; 3] = [1, 100, 1_000];
const COUNTS_OF_TWO: [usize; 2] = [1, 100];
/// The requests of one curl, after which the bench waits for Envoy to catch up. Envoy announces a resolved name to
/// every cluster, so a name costs more the more clusters there are.
const BATCH: usize = 5;

pub(super) fn measure() -> Result<()> {
    let names: Vec<String> =
        (0..COUNTS.into_iter().max().unwrap_or(0)).map(|n| format!("h{n}.many.weir.test")).collect();
    let hosts = UpstreamHosts::start_with(ServerOptions::default(), |authority| {
        let name = "*.many.weir.test";
        Ok(vec![Site::new(name, authority.issue(&[name])?)])
    })?;
    for name in &names {
        hosts.dns.set(name, vec![std::net::Ipv4Addr::LOCALHOST.into()]);
    }
    println!("Envoy {VERSION}:");
    println!();
    println!("| roots | hosts | heap with `no_sessions` | with `context_per_host` | a host |");
    println!("|---|---|---|---|---|");
    for (roots, file, counts) in
        [("two", Some(hosts.roots()), COUNTS_OF_TWO.as_slice()), ("the system's", None, &COUNTS)]
    {
        let shared = Weighed::start(&hosts, Strategy::NoSessions, file.clone())?;
        let own = Weighed::start(&hosts, Strategy::ContextPerHost, file)?;
        let mut asked = 0;
        for &count in counts {
            for names in names[asked..count].chunks(BATCH) {
                for gateway in [&shared, &own] {
                    gateway.ask(&hosts, names)?;
                }
                asked += names.len();
                own.wait_for_contexts(asked)?;
            }
            let (before, after) = (shared.gateway.envoy_heap()?, own.gateway.envoy_heap()?);
            #[expect(clippy::cast_precision_loss, reason = "megabytes")]
            let each = (after as f64 - before as f64) / count as f64;
            println!(
                "| {roots} | {count} | {:.1} MB | {:.1} MB | {:.0} KB |",
                megabytes(before),
                megabytes(after),
                each / 1e3
            );
        }
    }
    Ok(())
}

struct Weighed {
    gateway: RunningGateway,
    /// The number of clusters before any host had its own.
    clusters: u64,
}

impl Weighed {
    fn start(hosts: &UpstreamHosts, strategy: Strategy, system_roots: Option<PathBuf>) -> Result<Self> {
        let policy = format!(
            "rules:\n  - id: many\n    effect: allow\n    hosts: ['*.many.weir.test']\n    ports: [{}]\n    \
             addresses: [127.0.0.1/32]\n",
            hosts.port()
        );
        let mut run = Run::new(&EnvoyBinary::version(VERSION)?, hosts, &policy)?;
        run.upstream_tls = Some(strategy.as_str().to_owned());
        run.host_contexts = COUNTS.into_iter().max();
        run.system_roots = system_roots;
        let gateway = run.start()?;
        let clusters = gateway.envoy_stat("cluster_manager.active_clusters")?;
        Ok(Self { gateway, clusters })
    }

    fn ask(&self, hosts: &UpstreamHosts, names: &[String]) -> Result<()> {
        let requests: Vec<_> = names.iter().map(|name| Request::get(hosts.url(name, "/"))).collect();
        for response in self.gateway.client().send_all(&requests)? {
            anyhow::ensure!(response.status == 200, "{response:?}\n{}", self.gateway.stderr());
        }
        Ok(())
    }

    fn wait_for_contexts(&self, count: usize) -> Result<()> {
        let expected = self.clusters + count as u64;
        Deadline::seconds(120).poll_eq("clusters of hosts", &expected, || {
            self.gateway.envoy_stat("cluster_manager.active_clusters")
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
