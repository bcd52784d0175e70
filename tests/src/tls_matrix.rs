//! The TLS matrix. For one Envoy, strategy, TLS version and HTTP version, it checks that Envoy verifies every host on
//! one address under its own name and resumes that host's own sessions. It compares the results with the server's log
//! and Envoy's counters.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    ALPHA, BETA, Deadline, EnvoyBinary, Request, Response, Run, RunningGateway, ServedRequest, ServerOptions,
    Site, StaticEnvoy, TlsVersions, UpstreamHosts,
};

/// The maximum number of hosts on one address.
const HOSTS: usize = 50;
/// A separate server name, which a rule sets for one path of the first host.
const SECOND: &str = "second.weir.test";
const SECOND_PATH: &str = "/second";
/// Rounds over all hosts that are counted after a warm-up, when sessions can be expected.
const COUNTED_ROUNDS: usize = 2;
/// The share of counted connections that must have resumed a session.
const RESUMED: f64 = 0.95;
/// The limit for the warm-up, until every host's sessions are resumed. It is far above the usual time, because the
/// two cores are busy.
const WARM: Duration = Duration::from_secs(120);

/// The versions of Envoy that the naive cluster runs on.
pub const CONTROL_VERSIONS: [&str; 5] = ["1.36.4", "1.37.0", "1.38.2", "1.39.3", "1.40.0"];

/// The strategy that keeps the hosts' sessions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// One context without sessions.
    NoSessions,
    /// A context for each host in use.
    ContextPerHost,
    /// One context, in which Envoy scopes sessions by SNI.
    SniScopedSessions,
}

impl Strategy {
    /// The strategies that are right on an Envoy.
    pub fn right_on(version: &str) -> &'static [Self] {
        let all = &[Self::NoSessions, Self::ContextPerHost, Self::SniScopedSessions];
        if version < "1.40" { &all[..2] } else { all }
    }

    /// The value of `--upstream-tls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSessions => "no_sessions",
            Self::ContextPerHost => "context_per_host",
            Self::SniScopedSessions => "sni_scoped_sessions",
        }
    }

    fn resumes(self) -> bool {
        self != Self::NoSessions
    }
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Envoy's version.
    pub version: &'static str,
    /// Weir's strategy.
    pub strategy: Strategy,
    /// The TLS versions that the hosts accept.
    pub tls: TlsVersions,
    /// Whether the hosts offer h2.
    pub http2: bool,
    /// Whether the hosts are used in reverse order.
    pub reversed: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, strategy, tls, http2, reversed } = self;
        let http = if *http2 { "h2" } else { "HTTP/1.1" };
        let order = if *reversed { "the last host first" } else { "the first host first" };
        write!(f, "Envoy {version}, {}, {}, {http}, {order}", strategy.as_str(), tls_text(*tls))
    }
}

/// The results of a cell whose checks all passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Requests, each over a connection of its own.
    pub requests: usize,
    /// Counted connections.
    pub counted: usize,
    /// Counted connections that resumed a session.
    pub resumed: usize,
}

impl Cell {
    /// Sends requests to two hosts in turns, then to fifty at once and to one of them under a second name, then to
    /// all of these one by one.
    ///
    /// # Errors
    /// A request that its own host did not answer; a server name that is not the host's; a resumed session where the
    /// strategy allows none; too few resumed sessions where they are expected; Envoy counters that differ from the
    /// server's log.
    pub fn run(self) -> Result<Outcome> {
        self.checked().with_context(|| self.to_string())
    }

    fn checked(self) -> Result<Outcome> {
        let mut names: Vec<String> = (0..HOSTS).map(|number| format!("h{number:02}.weir.test")).collect();
        let options = ServerOptions {
            tls: self.tls,
            http2: self.http2,
            connection_per_request: true,
            ..ServerOptions::default()
        };
        let hosts = UpstreamHosts::start_with(options, |authority| {
            let site = |name: &str| Ok(Site::new(name, authority.issue(&[name])?));
            names.iter().map(String::as_str).chain([SECOND]).map(site).collect()
        })?;
        if self.reversed {
            names.reverse();
        }
        let mut asked: Vec<_> = names.iter().map(|name| Asked { host: name, path: "/", sni: name }).collect();
        asked.push(Asked { host: &names[0], path: SECOND_PATH, sni: SECOND });
        let mut run = Run::new(&EnvoyBinary::version(self.version)?, &hosts, &policy(&names, hosts.port()))?;
        run.upstream_tls = Some(self.strategy.as_str().to_owned());
        let gateway = run.start()?;
        let client = gateway.client();

        let turns = [asked[0], asked[1]].repeat(3);
        check(&turns, client.send_all(&to(&hosts, &turns))?)?;
        check(&asked, client.send_at_once(&to(&hosts, &asked), asked.len())?)?;
        let mut requests = turns.len() + asked.len();
        hosts.nginx.wait_served(requests)?;
        let mut round = || -> Result<usize> {
            check(&asked, client.send_all(&to(&hosts, &asked))?)?;
            requests += asked.len();
            let served = hosts.nginx.wait_served(requests)?.split_off(requests - asked.len());
            for (request, asked) in served.iter().zip(&asked) {
                ensure!(request.sni == asked.sni, "not the server name `{}`: {request:?}", asked.sni);
            }
            Ok(served.iter().filter(|request| request.is_resumed()).count())
        };
        if self.strategy.resumes() {
            Deadline::after(WARM).poll_eq("resumed sessions of all hosts", &asked.len(), &mut round)?;
        }
        let resumed = (0..COUNTED_ROUNDS).map(|_| round()).sum::<Result<usize>>()?;
        let outcome = Outcome { requests, counted: COUNTED_ROUNDS * asked.len(), resumed };
        let served = hosts.nginx.wait_served(requests)?;
        self.check(&served, outcome)?;
        agree(&gateway, &served)?;
        Ok(outcome)
    }

    fn check(self, served: &[ServedRequest], outcome: Outcome) -> Result<()> {
        for request in served {
            let second = request.request.starts_with(&format!("GET {SECOND_PATH} "));
            let sni = if second { SECOND } else { &request.host };
            ensure!(request.sni == sni, "not the server name `{sni}`: {request:?}");
            ensure!(request.tls == tls_text(self.tls), "another version of TLS: {request:?}");
            let protocol = if self.http2 { "HTTP/2.0" } else { "HTTP/1.1" };
            ensure!(request.protocol == protocol, "another version of HTTP: {request:?}");
        }
        let resumed = served.iter().filter(|request| request.is_resumed()).count();
        if self.strategy.resumes() {
            #[expect(clippy::cast_precision_loss, reason = "hundreds")]
            let rate = outcome.resumed as f64 / outcome.counted as f64;
            ensure!(rate >= RESUMED, "{} of {} sessions were resumed", outcome.resumed, outcome.counted);
        } else {
            ensure!(resumed == 0, "{resumed} sessions were resumed");
        }
        Ok(())
    }
}

/// A request, and the server name that Envoy should send to the upstream.
#[derive(Clone, Copy)]
struct Asked<'n> {
    host: &'n str,
    path: &'static str,
    sni: &'n str,
}

fn to(hosts: &UpstreamHosts, asked: &[Asked<'_>]) -> Vec<Request> {
    asked.iter().map(|asked| Request::get(hosts.url(asked.host, asked.path))).collect()
}

fn check(asked: &[Asked<'_>], responses: Vec<Response>) -> Result<()> {
    for (Asked { host, path, .. }, response) in asked.iter().zip(responses) {
        let right = response.status == 200 && response.content == format!("{host} says hello\n");
        ensure!(right, "{host}{path}: {response:?}");
    }
    Ok(())
}

/// Checks that Envoy counted the handshakes and sessions that the server saw, and no certificate that failed
/// verification.
fn agree(gateway: &RunningGateway, served: &[ServedRequest]) -> Result<()> {
    let resumed = served.iter().filter(|request| request.is_resumed()).count();
    for (name, expected) in [
        ("handshake", served.len()),
        ("session_reused", resumed),
        ("fail_verify_error", 0),
        ("fail_verify_san", 0),
        ("connection_error", 0),
    ] {
        // Matches the clusters of the hosts and of the rule's own upstream.
        let counters = format!("cluster..*_https.ssl.{name}$");
        Deadline::seconds(10).poll_eq(name, &(expected as u64), || {
            Ok(gateway.envoy_stats(&counters)?.into_iter().map(|(_, count)| count).sum())
        })?;
    }
    Ok(())
}

/// Runs the naive cluster without Weir. Returns the statuses of two hosts that are used in turns, twice each.
///
/// # Errors
/// Before 1.40: a second host that responds, or that fails for another reason. From 1.40 on: a host that does not
/// respond.
pub fn control(version: &str, tls: TlsVersions, reversed: bool) -> Result<Vec<u16>> {
    let options = ServerOptions { tls, connection_per_request: true, ..ServerOptions::default() };
    let hosts = UpstreamHosts::start(options)?;
    let envoy = StaticEnvoy::start(&EnvoyBinary::version(version)?, &hosts)?;
    let order = if reversed { [BETA, ALPHA] } else { [ALPHA, BETA] };
    for host in [order, order].concat() {
        envoy.get(host, hosts.port())?;
    }
    let forwarded = envoy.wait_forwarded(2 * order.len())?;
    let statuses: Vec<u16> = forwarded.iter().map(|request| request.status).collect();
    if version < "1.40" {
        let failure = forwarded[1].failure.as_deref().unwrap_or_default();
        let fault = statuses[0] == 200 && statuses[1] == 503 && failure.contains("CERTIFICATE_VERIFY_FAILED");
        ensure!(fault, "Envoy {version} without Weir does not show the fault: {forwarded:#?}");
    } else {
        ensure!(statuses.iter().all(|status| *status == 200), "Envoy {version}: {forwarded:#?}");
    }
    Ok(statuses)
}

fn tls_text(tls: TlsVersions) -> &'static str {
    match tls {
        TlsVersions::Only12 => "TLSv1.2",
        TlsVersions::Only13 => "TLSv1.3",
        TlsVersions::Both => "TLSv1.2 or TLSv1.3",
    }
}

fn policy(names: &[String], port: u16) -> String {
    let (first, names) = (&names[0], names.join(", "));
    format!(
        "rules:
- {{id: hosts, effect: allow, hosts: [{names}], ports: [{port}], paths: [/], addresses: [127.0.0.1]}}
- id: second
  effect: allow
  hosts: [{first}]
  ports: [{port}]
  paths: [{SECOND_PATH}]
  addresses: [127.0.0.1]
  upstream: {{sni: {SECOND}, names: [{SECOND}]}}
"
    )
}
