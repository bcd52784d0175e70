//! `weir run`: a control plane, a local Envoy, and a command that reaches only the hosts, methods and paths that the
//! policy allows.

mod arguments;
mod certificate_refusal;
mod envoy_start;
mod missing_lines;
mod output;
mod printed_line;
mod summary;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use rustix::process::Signal;
use tokio::sync::watch;

use crate::address::own::OwnAddresses;
use crate::ca::{CaFiles, Lifetimes};
use crate::command::exit_code::ExitCode;
use crate::control_plane::ControlPlane;
use crate::dns::Resolver;
use crate::dns::name_servers::NameServers;
use crate::envoy::capacity::open_files::OpenFiles;
use crate::envoy::capacity::{Capacity, MORE_OPEN_FILES, memory};
use crate::envoy::filter_module::FilterModules;
use crate::envoy::gateway::{Deployment, Gateway, NodeSettings};
use crate::envoy::resources::timeouts::Timeouts;
use crate::envoy::version::EnvoyVersion;
use crate::folder::runtime::RuntimeFolder;
use crate::local_gateway::certificates::Certificates;
use crate::local_gateway::credentials_file::CredentialsFile;
use crate::local_gateway::environment::inherited_proxy::InheritedProxy;
use crate::local_gateway::environment::{Environment, Proxy, SystemRoots};
use crate::local_gateway::envoy;
use crate::local_gateway::envoy::admin::Admin;
use crate::local_gateway::error::RunError;
use crate::local_gateway::listening::Listening;
use crate::local_gateway::policy_announcement::PolicyAnnouncer;
use crate::local_gateway::policy_file::PolicyFile;
use crate::local_gateway::readiness::{Readiness, StartOutcome};
use crate::local_gateway::upstream_roots::UpstreamRoots;
use crate::local_gateway::watched_files::{self, Change, Source};
use crate::local_gateway::{refusals, settings};
use crate::nodes::host_contexts::ContextLimits;
use crate::nodes::registry::Nodes;
use crate::process::parent_death::{self, ParentDeathSignal};
use crate::process::signals::{ReceivedSignal, Signals};
use crate::process::{ChildProcess, exit_code, orphans};
pub use arguments::Arguments;
use envoy_start::{envoy_ended, lacks, serve_envoy, start};
use missing_lines::MissingLines;
use output::Output;

/// The time that the command has to end after Weir got a signal to end.
const GRACE: Duration = Duration::from_secs(10);
/// The time limit for Envoy to accept all resources.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The name of the admin interface's socket in the run's folder.
const ADMIN_SOCKET: &str = "admin.sock";

/// Runs until the command ends, or a signal ends Weir.
///
/// # Errors
/// Every fault that keeps Envoy from serving the policy, with its correction.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Children end with the thread that starts them. This thread lives as long as the process.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start weir's own threads")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let arguments = arguments.with_absolute_paths();
    let (started, loading) = (Instant::now(), SystemTime::now());
    let signals = Signals::handle(!arguments.command.is_empty()).context("cannot handle signals")?;
    let modules = FilterModules::embedded()?;
    let opened = PolicyFile::open(&arguments.shared.policy).map_err(RunError::Policy)?;
    let Some((policy_file, policy)) = opened else { return Ok(ExitCode::Invalid) };
    if let Some(proxy) = InheritedProxy::find(|name| std::env::var_os(name)) {
        tracing::warn!(help = InheritedProxy::HELP, "{proxy}");
    }
    let mut output = Output::open(&arguments.output, !arguments.command.is_empty())?;
    let binary = settings::envoy_binary(arguments.shared.envoy.as_deref())?;
    let runtime = RuntimeFolder::new(|name| std::env::var_os(name))?;
    signals.also_remove(runtime.path());
    let files = arguments.ca_certificate.zip(arguments.ca_key);
    let files = files.map(|(certificate, key)| CaFiles { certificate, key });
    let lifetimes = Lifetimes { leaf: arguments.leaf_lifetime, ..Lifetimes::default() };
    let system = SystemRoots::load();
    let certificates =
        Certificates::open(files, arguments.shared.state.as_deref(), lifetimes, &runtime, system)?;
    let upstream_roots = UpstreamRoots::open(&certificates, arguments.shared.upstream_ca)?;
    let credentials = arguments.proxy_credentials.as_deref().map(CredentialsFile::open).transpose()?;
    let listen = settings::listen(arguments.listen, !arguments.command.is_empty());
    warn_of_open_proxy(listen, credentials.is_some());
    let listening = Listening::reserve(listen, &arguments.transparent)?;
    let resolver = Resolver::bind().await.context("cannot take a port of 127.0.0.1 for the resolver")?;
    let open_files = OpenFiles::raise();
    let heap = arguments.envoy_memory.unwrap_or_else(memory::heap);
    let capacity = Capacity::new(open_files.hard, envoy::workers(), heap);
    if capacity.is_small() {
        tracing::warn!(
            help = MORE_OPEN_FILES,
            "{} open files leave {}",
            open_files.hard,
            capacity.describe()
        );
    }
    let mut own_addresses = OwnAddresses::watch().await;

    let deployment = Deployment {
        filter: modules,
        upstream_roots: upstream_roots.pem(),
        upstream_tls: arguments.shared.upstream_tls,
        host_contexts: ContextLimits { most: arguments.host_contexts, ..ContextLimits::DEFAULT },
        timeouts: Timeouts { connection: arguments.connection_idle, stream: arguments.stream_idle },
    };
    let node = NodeSettings {
        listen: listening.explicit(),
        transparent: listening.transparent(),
        proxy_credentials: credentials.as_ref().map(|file| file.credentials().accepted().clone()),
        resolver: Some(resolver.address()),
        own_addresses: own_addresses.borrow_and_update().clone(),
        capacity,
    };
    let policy = Arc::new(policy.into());
    let gateway = Gateway { policy, deployment: Arc::new(deployment), node: Arc::new(node) };
    let control_plane = Arc::new(ControlPlane::new(gateway, Arc::clone(&certificates.ca)));
    resolve(
        resolver,
        &control_plane,
        own_addresses.clone(),
        NameServers::new(arguments.shared.dns).context("`--dns`")?,
    );
    guard(&control_plane, own_addresses);
    // Printed lines may end up in files, so they never contain credentials. Only the command's own environment does.
    let named = credentials.as_ref().filter(|_| !arguments.command.is_empty());
    let user = named.map(|file| file.credentials().user_information());
    let trust = certificates.trust.clone();
    let mut sources: Vec<Box<dyn Source>> =
        vec![Box::new(policy_file), Box::new(upstream_roots), Box::new(certificates)];
    sources.extend(credentials.map(|file| Box::new(file) as Box<dyn Source>));
    let changing = Arc::clone(&control_plane);
    let process = watch::Sender::new(None);
    let announcer = PolicyAnnouncer::new(control_plane.nodes().subscribe(), process.subscribe());
    watched_files::watch(sources, loading, move |change| apply(&changing, &announcer, change))?;
    serve_envoy(&control_plane, &listening, &runtime, capacity)?;
    let signals = signals.pass();
    let orphans = tokio::spawn(orphans::reap());
    let (mut envoy, probed) = loop {
        let mut envoy = start(&runtime, &binary, open_files)?;
        process.send_replace(envoy.id());
        let log = envoy.log().to_owned();
        let readiness =
            Readiness::new(&control_plane, &listening, arguments.shared.upstream_tls, &envoy, &log);
        let lost = tokio::select! {
            outcome = tokio::time::timeout(READY_WITHIN, readiness.wait()) => match outcome {
                Ok(outcome) => match outcome? {
                    StartOutcome::Ready { host } => break (envoy, host),
                    StartOutcome::Lost(door) => door,
                },
                Err(_elapsed) => {
                    let lacks = lacks(&control_plane, &listening);
                    return Err(RunError::NotReady { lacks, log: envoy.last_words() }.into());
                }
            },
            status = envoy.ended() => return Err(envoy_ended(&envoy, status)),
            received = signals.next() => return Ok(ExitCode::from_signal(received.signal)),
        };
        listening.lost(lost)?;
        // Envoy may never try again to listen, so another one is started.
        envoy.stop().await.context("cannot end Envoy")?;
        // Another process of this user may stay connected.
        let mut nodes = control_plane.nodes().subscribe();
        let _ = tokio::time::timeout(GRACE, nodes.wait_for(Nodes::is_empty)).await;
        control_plane.change_node_settings(|node| {
            (node.listen, node.transparent) = (listening.explicit(), listening.transparent());
        });
    };
    listening.close().context("cannot keep other programs from the proxy's port")?;
    warn_of_missing_security_fixes(&control_plane);
    tokio::spawn(refusals::watch(Admin::new(&runtime.file(ADMIN_SOCKET))));

    let proxy =
        Proxy { address: listening.explicit(), user_information: user.as_ref().map(|user| user.as_str()) };
    let environment = Environment::new(proxy, &trust, |name| std::env::var_os(name));
    output.hide(probed);
    let log = control_plane.decisions();
    let mut lines = log.lines().context("somebody else prints the decisions")?;
    let refusals = log.certificate_refusals();
    let missing = MissingLines::new(log.clone(), Admin::new(&runtime.file(ADMIN_SOCKET)));
    let watching = tokio::spawn(missing.clone().watch());
    let mut command = match arguments.command.split_first() {
        Some((program, rest)) => Some(spawn(program, rest, &environment, open_files)?),
        None => {
            output.ready(&environment, arguments.proxy_credentials.as_deref(), started.elapsed())?;
            None
        }
    };
    let mut kill_at = None;
    let code = loop {
        tokio::select! {
            status = ended(&mut command) => {
                break ExitCode::Command(exit_code(status.context("cannot wait for the command")?));
            }
            status = envoy.ended() => {
                let error = envoy_ended(&envoy, status);
                if let Some(command) = &mut command {
                    command.terminate(GRACE).await.context("cannot end the command")?;
                }
                return Err(error);
            }
            Some(line) = lines.next() => output.line(&line),
            refused = refusals.next() => output.certificate_refused(&refused),
            received = signals.next() => match &command {
                Some(command) => {
                    pass_on(command, received);
                    if received.signal == Signal::TERM {
                        kill_at.get_or_insert(tokio::time::Instant::now() + GRACE);
                    }
                }
                None => break ExitCode::Ok,
            },
            () = at(kill_at) => {
                kill_at = None;
                if let Some(command) = &mut command {
                    command.kill().context("cannot end the command")?;
                }
            }
        }
    };
    orphans.abort();
    watching.abort();
    // The log would have no line for a request that is allowed from now on.
    control_plane.deny_everything();
    output.command_ended();
    missing.settle(&mut lines, &mut output).await;
    refusals.rest().iter().for_each(|refused| output.certificate_refused(refused));
    output.end();
    envoy.stop().await.context("cannot end Envoy")?;
    Ok(code)
}

/// Warns if the connected Envoy is a release without the newest security fixes.
fn warn_of_missing_security_fixes(control_plane: &ControlPlane) {
    let nodes = control_plane.nodes().subscribe();
    let versions = nodes.borrow().values().filter_map(|node| node.version).collect::<BTreeSet<_>>();
    for missing in versions.into_iter().filter_map(EnvoyVersion::missing_security_fixes) {
        tracing::warn!(help = missing.help(), "{missing}");
    }
}

/// Sends a file's new content to Envoy.
fn apply(control_plane: &ControlPlane, announcer: &PolicyAnnouncer, change: Change) {
    match change {
        Change::Policy(policy) => announcer.announce(control_plane.replace_policy((*policy).into())),
        Change::UpstreamRoots(roots) => {
            control_plane.change_deployment(|deployment| deployment.upstream_roots = roots);
        }
        Change::ProxyCredentials(accepted) => {
            control_plane.change_node_settings(|node| node.proxy_credentials = Some(accepted));
        }
        Change::SigningCa => control_plane.signing_ca_changed(),
    }
}

/// Answers Envoy's questions for names, by the policy in force.
fn resolve(
    resolver: Resolver,
    control_plane: &ControlPlane,
    own_addresses: watch::Receiver<OwnAddresses>,
    servers: NameServers,
) {
    let nodes = control_plane.nodes().subscribe();
    let strategies = move || nodes.borrow().values().map(|node| node.capabilities.upstream_tls).collect();
    let serving = resolver.serve(control_plane.policy(), own_addresses, servers, strategies);
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "names are no longer resolved");
        }
    });
}

/// Denies requests to the machine's own addresses, also to addresses that it gets while Envoy runs.
fn guard(control_plane: &Arc<ControlPlane>, mut own_addresses: watch::Receiver<OwnAddresses>) {
    let control_plane = Arc::clone(control_plane);
    tokio::spawn(async move {
        while own_addresses.changed().await.is_ok() {
            let own = own_addresses.borrow_and_update().clone();
            control_plane.change_node_settings(|node| node.own_addresses = own);
        }
    });
}

fn spawn(
    program: &OsString,
    arguments: &[OsString],
    environment: &Environment,
    open_files: OpenFiles,
) -> anyhow::Result<ChildProcess> {
    settings::must_be_found(program)?;
    // The user's own limit: programs that use select(2) fail with files beyond 1,023.
    let mut command = parent_death::command(program, ParentDeathSignal::Terminate, open_files.soft);
    command.args(arguments);
    command.envs(environment.iter());
    let child = ChildProcess::spawn(command);
    Ok(child.map_err(|cause| RunError::Start { program: program.into(), cause })?)
}

/// Waits until the command ends, or for ever without a command.
async fn ended(command: &mut Option<ChildProcess>) -> std::io::Result<ExitStatus> {
    match command {
        Some(command) => command.wait().await,
        None => std::future::pending().await,
    }
}

/// Warns when every machine that reaches this one may use the proxy.
fn warn_of_open_proxy(listen: SocketAddr, has_credentials: bool) {
    if !listen.ip().to_canonical().is_loopback() && !has_credentials {
        let help = "listen on 127.0.0.1, or ask for credentials with `--proxy-credentials FILE`";
        tracing::warn!(help, "everybody who can connect to {listen} may send requests through this proxy");
    }
}

/// Passes a signal to the command, which handles it. A signal that the terminal sent has reached the command already.
fn pass_on(command: &ChildProcess, received: ReceivedSignal) {
    if received.is_from_terminal {
        return;
    }
    if let Err(error) = command.signal(received.signal) {
        tracing::warn!(%error, "the command did not get the signal {:?}", received.signal);
    }
}

/// Waits until this time, for ever if there is none.
async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
