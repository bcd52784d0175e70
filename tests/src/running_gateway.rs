//! Runs `weir run` as a person would, and reads its output.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::wrapper::with_open_files;
use crate::{Client, Deadline, EnvoyBinary, LoggedDecision, Process, ProcessId, UpstreamHosts};

/// The time limit for a gateway's start. It is far above the two seconds that Weir aims at, because the tests share
/// two cores.
const START: Duration = Duration::from_secs(60);

/// The search domain of the resolver (resolv.conf(5)), set for every run.
pub const SEARCH_DOMAIN: &str = "search.weir.test";

/// A `weir run` with its arguments, not started yet. It has a state folder of its own, which is removed with it.
#[derive(Debug)]
pub struct Run {
    directory: TempDir,
    /// `--envoy`
    pub envoy: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--transparent`, once for each address
    pub transparent: Vec<SocketAddr>,
    /// `--upstream-ca`
    pub upstream_ca: Option<PathBuf>,
    /// `--dns`
    pub dns: Option<SocketAddr>,
    /// `--ca-certificate` and `--ca-key`, in place of `--state`
    pub authority: Option<(PathBuf, PathBuf)>,
    /// Whether the run has `--proxy-credentials`.
    credentials: bool,
    /// `--state`, if it is not a folder of the run's own
    pub shared_state: Option<PathBuf>,
    /// `--upstream-tls`
    pub upstream_tls: Option<String>,
    /// `--host-contexts`
    pub host_contexts: Option<usize>,
    /// `--envoy-memory`
    pub envoy_memory: Option<&'static str>,
    /// The soft and the hard limit of open files, in place of the test's own.
    pub open_files: Option<(u64, u64)>,
    /// The file that stands in for the system's roots.
    pub system_roots: Option<PathBuf>,
    /// The log filter, as in `WEIR_LOG`.
    pub log: Option<String>,
    /// For `--policy -`: the file on standard input. `weir` runs in its folder.
    pub standard_input: Option<PathBuf>,
    /// For `--policy policy.yaml`: the folder that `weir` runs in.
    pub working_directory: Option<PathBuf>,
}

impl Run {
    /// Creates a run of this policy on a free port, with this Envoy and the hosts' name server and roots.
    pub fn new(envoy: &EnvoyBinary, hosts: &UpstreamHosts, policy: &str) -> Result<Self> {
        let run = Self {
            directory: TempDir::new()?,
            envoy: Some(envoy.path.clone()),
            listen: Some("127.0.0.1:0".to_owned()),
            transparent: Vec::new(),
            upstream_ca: Some(hosts.roots()),
            dns: Some(hosts.dns.address()),
            authority: None,
            credentials: false,
            shared_state: None,
            upstream_tls: None,
            host_contexts: None,
            envoy_memory: None,
            open_files: None,
            system_roots: None,
            log: None,
            standard_input: None,
            working_directory: None,
        };
        run.write_policy(policy)?;
        Ok(run)
    }

    /// The path of the policy file.
    pub fn policy(&self) -> PathBuf {
        self.directory.path().join("policy.yaml")
    }

    /// Replaces the content of the policy file.
    pub fn write_policy(&self, policy: &str) -> Result<()> {
        fs::write(self.policy(), policy).context("cannot write the policy")
    }

    /// Makes the proxy require credentials: one of these lines `USER:PASSWORD`.
    pub fn ask_for_credentials(&mut self, lines: &str) -> Result<()> {
        self.credentials = true;
        self.write_credentials(lines)
    }

    /// Replaces the content of the credentials file.
    pub fn write_credentials(&self, lines: &str) -> Result<()> {
        let file = self.credentials();
        let mut open = OpenOptions::new();
        let mut file = open.write(true).create(true).truncate(true).mode(0o600).open(file)?;
        file.write_all(lines.as_bytes()).context("cannot write the credentials")
    }

    /// The path of the credentials file.
    pub fn credentials(&self) -> PathBuf {
        self.directory.path().join("users")
    }

    /// The folder of `--state`.
    pub fn state(&self) -> PathBuf {
        self.shared_state.clone().unwrap_or_else(|| self.directory.path().join("state"))
    }

    /// The arguments after `weir`, without a CMD.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let policy = match (&self.standard_input, &self.working_directory) {
            (Some(_), _) => "-".into(),
            (None, Some(_)) => "policy.yaml".into(),
            (None, None) => self.policy(),
        };
        let mut arguments: Vec<std::ffi::OsString> = vec!["run".into(), "--policy".into(), policy.into()];
        if let Some(envoy) = &self.envoy {
            arguments.extend(["--envoy".into(), envoy.into()]);
        }
        if let Some(listen) = &self.listen {
            arguments.extend(["--listen".into(), listen.into()]);
        }
        for address in &self.transparent {
            arguments.extend(["--transparent".into(), address.to_string().into()]);
        }
        if let Some(upstream_ca) = &self.upstream_ca {
            arguments.extend(["--upstream-ca".into(), upstream_ca.into()]);
        }
        if let Some(dns) = self.dns {
            arguments.extend(["--dns".into(), dns.to_string().into()]);
        }
        if self.credentials {
            arguments.extend(["--proxy-credentials".into(), self.credentials().into()]);
        }
        if let Some(upstream_tls) = &self.upstream_tls {
            arguments.extend(["--upstream-tls".into(), upstream_tls.into()]);
        }
        if let Some(count) = self.host_contexts {
            arguments.extend(["--host-contexts".into(), count.to_string().into()]);
        }
        if let Some(size) = self.envoy_memory {
            arguments.extend(["--envoy-memory".into(), size.into()]);
        }
        match &self.authority {
            Some((certificate, key)) => {
                arguments.extend([
                    "--ca-certificate".into(),
                    certificate.into(),
                    "--ca-key".into(),
                    key.into(),
                ]);
            }
            None => arguments.extend(["--state".into(), self.state().into()]),
        }
        arguments
    }

    /// A `weir` command with its arguments. It keeps the sockets of a run in the test's own folder.
    pub fn command(&self) -> Result<Command> {
        fs::create_dir_all(self.runtime())?;
        let mut command = match self.open_files {
            Some(limits) => with_open_files(limits, &weir_command()?),
            None => weir_command()?,
        };
        if let Some(roots) = &self.system_roots {
            // `weir` would also read a folder that the caller's environment names.
            command.env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        }
        if let Some(log) = &self.log {
            command.env("WEIR_LOG", log);
        }
        command
            .args(self.arguments())
            .env("XDG_RUNTIME_DIR", self.runtime())
            .env("LOCALDOMAIN", SEARCH_DOMAIN)
            .stdin(Stdio::null());
        if let Some(file) = &self.standard_input {
            command.stdin(fs::File::open(file)?).current_dir(self.directory.path());
        }
        if let Some(folder) = &self.working_directory {
            command.current_dir(folder);
        }
        Ok(command)
    }

    /// The folder that holds the sockets of a run while it lasts.
    pub fn runtime(&self) -> PathBuf {
        self.directory.path().join("r")
    }

    fn find_file(&self, name: &str) -> Result<PathBuf> {
        let folders = fs::read_dir(self.runtime())?.collect::<Result<Vec<_>, _>>()?.into_iter();
        let found = folders.map(|folder| folder.path().join(name)).find(|path| path.exists());
        found.with_context(|| format!("no `{name}` in the folders of {}", self.runtime().display()))
    }

    /// Starts `weir run` without a CMD, and waits until it reports that it is ready.
    pub fn start(self) -> Result<RunningGateway> {
        let started = Instant::now();
        let mut command = self.command()?;
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
        Ok(RunningGateway { process, run: self, started, exports, proxy, authority })
    }

    /// Runs `weir run` with a CMD to its end.
    pub fn output(&self, cmd: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        let mut command = self.command()?;
        command.arg("--").args(cmd).output().context("cannot run `weir`")
    }

    /// Starts `weir run` with a CMD, and does not wait.
    pub fn spawn(&self, cmd: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Process> {
        let mut command = self.command()?;
        command.arg("--").args(cmd).stdout(Stdio::piped());
        Process::start("weir run -- CMD", &mut command)
    }
}

/// A `weir` command without the caller's own proxy and certificate settings.
pub fn weir_command() -> Result<Command> {
    let weir = std::env::var_os("WEIR_BIN")
        .map(PathBuf::from)
        .context("WEIR_BIN is not set\nhelp: run `cargo xtask test`, which builds `weir` and sets it")?;
    ensure!(
        weir.is_file(),
        "no `weir` at `{}`\nhelp: run `cargo xtask test`, which builds it",
        weir.display()
    );
    let mut command = Process::command(weir);
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ] {
        command.env_remove(name);
    }
    Ok(command)
}

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
