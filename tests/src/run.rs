//! A `weir run` with its arguments.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::wrapper::with_open_files;
use crate::{EnvoyBinary, Process, RunningGateway, UpstreamHosts};

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

    /// Returns the path of the file with this name in the runtime folder of the started run.
    pub(crate) fn find_file(&self, name: &str) -> Result<PathBuf> {
        let folders = fs::read_dir(self.runtime())?.collect::<Result<Vec<_>, _>>()?.into_iter();
        let found = folders.map(|folder| folder.path().join(name)).find(|path| path.exists());
        found.with_context(|| format!("no `{name}` in the folders of {}", self.runtime().display()))
    }

    /// Starts `weir run` without a CMD, and waits until it reports that it is ready.
    pub fn start(self) -> Result<RunningGateway> {
        RunningGateway::start(self)
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
