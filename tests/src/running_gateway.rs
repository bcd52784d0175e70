//! A `weir run` that is ready, and the output that it writes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{Client, Deadline, LoggedDecision, Process, ProcessId, Run};

/// The time limit for a gateway's start. It is far above the two seconds that Weir aims at, because the tests share
/// two cores.
const START: Duration = Duration::from_secs(60);

/// A `weir run` without a CMD that is ready.
#[derive(Debug)]
pub struct RunningGateway {
    process: Process,
    run: Run,
    started: Instant,
    exports: Vec<(String, String)>,
    proxy: String,
    authority: PathBuf,
}

impl RunningGateway {
    /// Starts `weir run` without a CMD, and waits until it reports that it is ready.
    pub(crate) fn start(run: Run) -> Result<Self> {
        let started = Instant::now();
        let mut command = run.command()?;
        command.arg("--json").stdout(Stdio::piped());
        let process = Process::start("weir run", &mut command)?;
        let exports = process
            .stdout()
            .wait(Deadline::after(START), "ready line of `weir run`", |lines| {
                lines.iter().find_map(|line| exports(line))
            })
            .with_context(|| format!("stderr of `weir run`:\n{}", process.stderr().text()))?;
        let exported = |name: &str| {
            let found = exports.iter().find(|(exported, _)| exported == name);
            found.map(|(_, value)| value.clone()).with_context(|| format!("no `{name}` in {exports:#?}"))
        };
        let (proxy, authority) = (exported("HTTPS_PROXY")?, PathBuf::from(exported("CURL_CA_BUNDLE")?));
        Ok(Self { process, run, started, exports, proxy, authority })
    }

    /// The proxy's URL.
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// The proxy's address and port.
    pub fn address(&self) -> Result<SocketAddr> {
        let address = self.proxy.trim_start_matches("http://").trim_end_matches('/');
        address.parse().with_context(|| format!("`{}` is no proxy on an address", self.proxy))
    }

    /// The file with the root that signs the certificates for clients.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The environment variables that `weir run` prints to paste.
    pub fn exports(&self) -> &[(String, String)] {
        &self.exports
    }

    /// The run that this gateway was started from.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The time when the process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The output on stderr so far.
    pub fn stderr(&self) -> String {
        self.process.stderr().text()
    }

    /// The output on stdout so far.
    pub fn stdout(&self) -> String {
        self.process.stdout().text()
    }

    /// Envoy's log so far.
    pub fn envoy_log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.run.find_file("envoy.log")?)?)
    }

    /// A curl client that uses the gateway and trusts its root.
    pub fn client(&self) -> Client {
        Client::through(&self.proxy).trusting(&self.authority)
    }

    /// The gateway's process.
    pub fn id(&self) -> ProcessId {
        self.process.id()
    }

    /// The Envoy process of the gateway.
    pub fn envoy(&self) -> Result<ProcessId> {
        self.id().descendant("envoy")
    }

    /// Waits for `count` decisions, and returns them in the order in which their requests began. Envoy's workers may
    /// report them in another order. More than `count` is an error. An admitted CONNECT is not a decision, and an
    /// open request has none yet.
    pub fn decisions(&self, count: usize) -> Result<Vec<LoggedDecision>> {
        let what = format!("{count} decisions of `weir run`");
        let lines = self.process.stdout().wait(Deadline::seconds(20), &what, |lines| {
            let decisions: Vec<_> = lines.iter().filter(|line| is_decision(line)).cloned().collect();
            (decisions.len() >= count).then_some(decisions)
        })?;
        ensure!(lines.len() == count, "expected {count} decisions, got {lines:#?}");
        let mut decisions = lines
            .iter()
            .map(|line| serde_json::from_str(line).with_context(|| format!("decision `{line}`")))
            .collect::<Result<Vec<LoggedDecision>>>()?;
        decisions.sort_by_key(|decision| decision.time);
        Ok(decisions)
    }

    /// Waits for the first decision, which must be the only one so far.
    pub fn only_decision(&self) -> Result<LoggedDecision> {
        self.decisions(1)?.pop().context("no decision")
    }

    /// Returns the response of Envoy's admin interface to this path.
    pub fn envoy_admin(&self, path: &str) -> Result<String> {
        let socket = self.run.find_file("admin.sock")?;
        Ok(Client::on_socket(&socket).get(format!("http://envoy{path}"))?.content)
    }

    /// A counter or gauge of Envoy, by its name in `/stats`.
    pub fn envoy_stat(&self, name: &str) -> Result<u64> {
        let found = self.envoy_stats(name)?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value).with_context(|| format!("no counter `{name}`"))
    }

    /// The counters and gauges of Envoy whose names match this prefix.
    pub fn envoy_stats(&self, beginning: &str) -> Result<Vec<(String, u64)>> {
        let mut stats = Vec::new();
        for line in self.envoy_admin(&format!("/stats?filter=^{beginning}"))?.lines() {
            let (name, value) = line.split_once(": ").with_context(|| format!("no counter: `{line}`"))?;
            stats.push((name.to_owned(), value.parse().with_context(|| format!("no number: `{line}`"))?));
        }
        Ok(stats)
    }

    /// The bytes of Envoy's heap that are in use.
    pub fn envoy_heap(&self) -> Result<u64> {
        let socket = self.run.find_file("admin.sock")?;
        let response = Client::on_socket(&socket).get("http://envoy/memory")?;
        let memory: serde_json::Value = serde_json::from_str(&response.content)?;
        let allocated = memory["allocated"].as_str().and_then(|bytes| bytes.parse().ok());
        allocated.with_context(|| format!("no heap: {response:?}"))
    }

    /// Sends a signal to the gateway's process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits until the gateway's process ends.
    pub fn wait(&mut self, deadline: Deadline) -> Result<ExitStatus> {
        self.process.wait(deadline)
    }

    /// Ends the gateway's process with SIGTERM.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop()
    }
}

/// Returns whether a line is the final line of a decision.
fn is_decision(line: &str) -> bool {
    line.contains("\"phase\":\"end\"")
}

/// Parses the variables of the line with the phase `ready`.
pub fn exports(line: &str) -> Option<Vec<(String, String)>> {
    let line: serde_json::Value =
        serde_json::from_str(line).ok().filter(|line: &serde_json::Value| line["phase"] == "ready")?;
    let variables = line["environment"].as_object()?.iter();
    variables.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
