//! An Envoy that is not a child of its control plane, so that a test can give it another configuration than `weir run`
//! would, and end the control plane.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use e2e::{Client, Deadline, EnvoyBinary, Process, UpstreamHosts};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use weir::address::own::OwnAddresses;
use weir::ca::{Ca, Lifetimes, leaves};
use weir::control_plane::ControlPlane;
use weir::envoy::bootstrap::Bootstrap;
use weir::envoy::capabilities::{Protocol, UpstreamTlsChoice};
use weir::envoy::capacity::Capacity;
use weir::envoy::filter_module::FilterModules;
use weir::envoy::gateway::{Deployment, Gateway, GatewayPolicy, NodeSettings};
use weir::envoy::resources::timeouts::Timeouts;
use weir::folder::state::StateFolder;
use weir::input::upstream_files::UpstreamFiles;
use weir::nodes::host_contexts::ContextLimits;
use weir::nodes::server::BeforeListeners;

/// The node id that the Envoy sends.
pub(crate) const NODE: &str = "served";

/// A running Envoy and its control plane, which a test can end.
pub(crate) struct ServedEnvoy {
    // Rust drops the fields in this order.
    process: Process,
    control_plane: Option<(ControlPlane, Runtime)>,
    gateway: Gateway,
    leaves: leaves::LeafLimits,
    lifetimes: Lifetimes,
    directory: TempDir,
}

/// The configuration that the Envoy gets.
pub(crate) struct Options {
    pub(crate) policy: String,
    pub(crate) filter: Vec<u8>,
    pub(crate) upstream_tls: UpstreamTlsChoice,
    pub(crate) host_contexts: ContextLimits,
    pub(crate) leaves: leaves::LeafLimits,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) protocol: Protocol,
    pub(crate) timeouts: Timeouts,
}

impl Options {
    /// Makes a configuration with the hosts' policy and Weir's own defaults.
    pub(crate) fn new(hosts: &UpstreamHosts) -> Result<Self> {
        Ok(Self {
            policy: hosts.policy(),
            filter: weirs_filter()?,
            upstream_tls: UpstreamTlsChoice::Auto,
            host_contexts: ContextLimits::DEFAULT,
            leaves: leaves::LeafLimits::default(),
            lifetimes: Lifetimes::default(),
            protocol: Protocol::Delta,
            timeouts: Timeouts::DEFAULT,
        })
    }
}

impl ServedEnvoy {
    /// Starts Envoy and control plane. Envoy may not be ready yet.
    pub(crate) fn start(envoy: &EnvoyBinary, hosts: &UpstreamHosts, options: Options) -> Result<Self> {
        let directory = TempDir::new()?;
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let filter = std::borrow::Cow::from(options.filter);
        let deployment = Deployment {
            filter: FilterModules { without_rego: filter.clone(), with_rego: filter },
            upstream_roots: std::fs::read_to_string(hosts.roots())?.into(),
            upstream_tls: options.upstream_tls,
            host_contexts: options.host_contexts,
            timeouts: options.timeouts,
        };
        let node = NodeSettings {
            listen,
            transparent: Vec::new(),
            proxy_credentials: None,
            resolver: Some(hosts.dns.address()),
            own_addresses: OwnAddresses::default(),
            capacity: Capacity::FULL,
        };
        let gateway = Gateway {
            policy: Arc::new(compile(&options.policy)?),
            deployment: Arc::new(deployment),
            node: Arc::new(node),
        };
        let (leaves, lifetimes) = (options.leaves, options.lifetimes);
        let control_plane = serve(&gateway, leaves, lifetimes, directory.path())?;
        let bootstrap = Bootstrap {
            node: NODE,
            control_plane: &socket(directory.path()),
            admin: &admin(directory.path()),
            protocol: options.protocol,
            capacity: Capacity::FULL,
        };
        let file = directory.path().join("bootstrap.json");
        std::fs::write(&file, bootstrap.to_json().to_string())?;
        let process = Process::start(
            "envoy",
            Process::command(&envoy.path)
                .arg("-c")
                .arg(&file)
                .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
                .stdin(Stdio::null()),
        )?;
        Ok(Self { process, control_plane: Some(control_plane), gateway, leaves, lifetimes, directory })
    }

    /// Waits until the policy filter answers.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let client = Client::through(&self.proxy());
        let process = &mut self.process;
        Deadline::seconds(60).poll("the policy filter's answer", || {
            let ended = process.ended()?;
            ensure!(ended.is_none(), "Envoy ended ({ended:?}):\n{}", process.stderr().text());
            let response = client.get("http://readiness.weir.invalid/")?;
            let decision = response.header("x-weir-decision");
            Ok(decision.filter(|reason| *reason != "policy_missing").map(|_| ()))
        })
    }

    /// Makes a curl client that uses the Envoy.
    pub(crate) fn client(&self) -> Client {
        Client::through(&self.proxy()).trusting(&self.directory.path().join("state/root.pem"))
    }

    /// Ends the control plane as a crash does: every stream ends at once.
    pub(crate) fn kill_control_plane(&mut self) -> Result<()> {
        let (_, runtime) = self.control_plane.take().context("the control plane is gone already")?;
        runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        std::fs::remove_file(socket(self.directory.path()))?;
        Ok(())
    }

    /// Starts another control plane in place of the ended one, with the same CA.
    pub(crate) fn restart_control_plane(&mut self) -> Result<()> {
        ensure!(self.control_plane.is_none(), "the control plane is still there");
        let served = serve(&self.gateway, self.leaves, self.lifetimes, self.directory.path())?;
        self.control_plane = Some(served);
        Ok(())
    }

    /// Replaces the policy in force.
    pub(crate) fn replace_policy(&mut self, policy: &str) -> Result<()> {
        self.gateway.policy = self.control_plane()?.replace_policy(compile(policy)?);
        Ok(())
    }

    /// Returns the newest policy.
    pub(crate) fn policy(&self) -> Arc<GatewayPolicy> {
        Arc::clone(&self.gateway.policy)
    }

    /// Returns the control plane.
    pub(crate) fn control_plane(&self) -> Result<&ControlPlane> {
        Ok(&self.control_plane.as_ref().context("there is no control plane")?.0)
    }

    /// Returns the path of the control plane's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(self.directory.path())
    }

    /// Returns a page of Envoy's admin interface.
    pub(crate) fn admin(&self, page: &str) -> Result<String> {
        let client = Client::on_socket(&admin(self.directory.path()));
        Ok(client.get(format!("http://envoy/{page}"))?.content)
    }

    /// Returns the address of the explicit proxy.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.node.listen
    }

    /// Returns the names of the leaves that Envoy holds.
    pub(crate) fn leaves(&self) -> Result<Vec<String>> {
        let dump: serde_json::Value =
            serde_json::from_str(&self.admin("config_dump?resource=dynamic_active_secrets")?)?;
        let secrets = dump["configs"].as_array().into_iter().flatten();
        Ok(secrets.filter_map(|secret| secret["name"].as_str().map(str::to_owned)).collect())
    }

    fn proxy(&self) -> String {
        format!("http://{}", self.gateway.node.listen)
    }
}

fn serve(
    gateway: &Gateway,
    leaves: leaves::LeafLimits,
    lifetimes: Lifetimes,
    directory: &Path,
) -> Result<(ControlPlane, Runtime)> {
    let state = StateFolder::open(&directory.join("state"))?;
    let ca = Arc::new(Ca::open(&state, lifetimes, SystemTime::now())?);
    let control_plane = ControlPlane::with_limits(gateway.clone(), ca, leaves);
    let runtime = Runtime::new()?;
    let listener = {
        let _context = runtime.enter();
        UnixListener::bind(socket(directory))?
    };
    let serving = control_plane.serve(listener, BeforeListeners::nothing());
    runtime.spawn(async move { serving.await.expect("the control plane's transport failed") });
    Ok((control_plane, runtime))
}

/// Compiles a policy and reads the files of its upstreams, which it names by absolute paths.
fn compile(policy: &str) -> Result<GatewayPolicy> {
    let rules = weir_policy::compile(policy).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let files = UpstreamFiles::read(&rules, Path::new("/"));
    let files = files.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    Ok(GatewayPolicy { rules: Arc::new(rules), upstream_files: Arc::new(files), rego: None })
}

fn admin(directory: &Path) -> PathBuf {
    directory.join("admin.sock")
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("xds.sock")
}

/// Returns the filter that is embedded in `weir`.
fn weirs_filter() -> Result<Vec<u8>> {
    let programs = Path::new(env!("CARGO_BIN_EXE_demo")).ancestors();
    let found = programs.map(|folder| folder.join("wasm/weir_filter.wasm")).find(|file| file.is_file());
    let file = found.context(
        "no wasm/weir_filter.wasm beside the programs\nhelp: run `cargo xtask test`, which builds it",
    )?;
    Ok(std::fs::read(file)?)
}
