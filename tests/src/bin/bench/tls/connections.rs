//! Envoy's processor time for a new upstream connection, and the rate of connections.
//!
//! Two servers have equal hosts: one closes each connection after a request, the other keeps it. Requests to the
//! second server cost what they cost without a new connection, and that cost is subtracted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::{
    Client, Deadline, EnvoyBinary, Request, Run, RunningGateway, ServedRequest, ServerOptions, Site,
    Strategy, TlsVersions, UpstreamHosts,
};

const HOSTS: usize = 10;
/// The requests of one curl, over one client connection.
const REQUESTS: usize = 50;
/// The number of rounds. Each strategy is measured once in a round.
const ROUNDS: usize = 3;

pub(super) fn measure(versions: &[&str]) -> Result<()> {
    println!(
        "| Envoy | TLS | strategy | resumed | CPU a new connection | of `no_sessions` | connections a second, of `no_sessions` |"
    );
    println!("|---|---|---|---|---|---|---|");
    for version in versions {
        for (tls, number) in [(TlsVersions::Only12, "1.2"), (TlsVersions::Only13, "1.3")] {
            let setting = Setting::start(tls)?;
            let mut contestants = Vec::new();
            for strategy in Strategy::right_on(version) {
                contestants.push(Contestant::start(version, *strategy, &setting)?);
            }
            for _ in 0..ROUNDS {
                for contestant in &mut contestants {
                    contestant.round(&setting)?;
                }
            }
            let base = contestants.first().context("there is always a strategy")?.measured();
            for contestant in &contestants {
                let measured = contestant.measured();
                println!(
                    "| {version} | {number} | `{}` | {:.1} % | {:.0} µs | {:.2} | {:.2} |",
                    contestant.strategy.as_str(),
                    measured.resumed * 100.0,
                    measured.cpu * 1e6,
                    measured.cpu / base.cpu,
                    measured.rate / base.rate,
                );
            }
        }
    }
    Ok(())
}

/// The hosts on both servers.
struct Setting {
    names: Vec<String>,
    ending: UpstreamHosts,
    keeping: UpstreamHosts,
}

impl Setting {
    fn start(tls: TlsVersions) -> Result<Self> {
        let names: Vec<String> = (0..HOSTS).map(|number| format!("h{number}.weir.test")).collect();
        let start = |connection_per_request| {
            let options = ServerOptions { tls, connection_per_request, ..ServerOptions::default() };
            UpstreamHosts::start_with(options, |authority| {
                let site = |name: &String| Ok(Site::new(name, authority.issue(&[name])?));
                names.iter().map(site).collect()
            })
        };
        let (ending, keeping) = (start(true)?, start(false)?);
        ending.write_roots(
            &(std::fs::read_to_string(ending.roots())? + &std::fs::read_to_string(keeping.roots())?),
        )?;
        Ok(Self { names, ending, keeping })
    }

    fn policy(&self) -> String {
        let (names, ending, keeping) = (self.names.join(", "), self.ending.port(), self.keeping.port());
        format!(
            "rules:\n  - id: hosts\n    effect: allow\n    hosts: [{names}]\n    ports: [{ending}, {keeping}]\n    \
             addresses: [127.0.0.1/32]\n"
        )
    }
}

/// A gateway with one strategy, and its cost so far.
struct Contestant {
    strategy: Strategy,
    gateway: RunningGateway,
    client: Client,
    connections: usize,
    resumed: usize,
    ending: Spent,
    keeping: Spent,
}

#[derive(Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    time: Duration,
}

struct Measured {
    /// The share of connections that resumed a session.
    resumed: f64,
    /// Seconds per connection.
    cpu: f64,
    /// Connections per second.
    rate: f64,
}

impl Contestant {
    /// Starts a gateway, and waits until every host's sessions are resumed, if the strategy resumes any.
    fn start(version: &str, strategy: Strategy, setting: &Setting) -> Result<Self> {
        let mut run = Run::new(&EnvoyBinary::version(version)?, &setting.ending, &setting.policy())?;
        run.upstream_tls = Some(strategy.as_str().to_owned());
        let gateway = run.start()?;
        let client = gateway.client();
        let urls = |hosts: &UpstreamHosts| -> Vec<Request> {
            setting.names.iter().map(|name| Request::get(hosts.url(name, "/"))).collect()
        };
        ask(&client, &urls(&setting.keeping))?;
        Deadline::seconds(60).poll("a resumed session of each host", || {
            let before = setting.ending.nginx.served()?.len();
            ask(&client, &urls(&setting.ending))?;
            let served = setting.ending.nginx.wait_served(before + HOSTS)?.split_off(before);
            let warm = strategy == Strategy::NoSessions || served.iter().all(ServedRequest::is_resumed);
            Ok(warm.then_some(()))
        })?;
        let (ending, keeping) = (Spent::default(), Spent::default());
        Ok(Self { strategy, gateway, client, connections: 0, resumed: 0, ending, keeping })
    }

    fn round(&mut self, setting: &Setting) -> Result<()> {
        let keeping = self.spend(setting, &setting.keeping)?;
        let before = setting.ending.nginx.served()?.len();
        let ending = self.spend(setting, &setting.ending)?;
        let served = setting.ending.nginx.wait_served(before + HOSTS * REQUESTS)?.split_off(before);
        self.connections += served.len();
        self.resumed += served.iter().filter(|request| request.is_resumed()).count();
        for (sum, spent) in [(&mut self.keeping, keeping), (&mut self.ending, ending)] {
            sum.cpu += spent.cpu;
            sum.time += spent.time;
        }
        Ok(())
    }

    fn spend(&self, setting: &Setting, hosts: &UpstreamHosts) -> Result<Spent> {
        let envoy = self.gateway.envoy()?;
        let (cpu, start) = (envoy.cpu()?, Instant::now());
        for name in &setting.names {
            ask(&self.client, &vec![Request::get(hosts.url(name, "/")); REQUESTS])?;
        }
        Ok(Spent { cpu: envoy.cpu()? - cpu, time: start.elapsed() })
    }

    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    fn measured(&self) -> Measured {
        let connections = self.connections as f64;
        Measured {
            resumed: self.resumed as f64 / connections,
            cpu: (self.ending.cpu.as_secs_f64() - self.keeping.cpu.as_secs_f64()) / connections,
            rate: connections / self.ending.time.as_secs_f64(),
        }
    }
}

fn ask(client: &Client, requests: &[Request]) -> Result<()> {
    for response in client.send_all(requests)? {
        anyhow::ensure!(response.status == 200, "{response:?}");
    }
    Ok(())
}
