//! `weir doctor`: reports problems of a policy on this machine with this Envoy. It connects to the policy's hosts as
//! Envoy would, and sends them only a TLS handshake.

mod authority;
mod envoy;
mod finding;
mod machine;
mod probe;
mod rego;
mod shared;
mod target;
mod tls;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use weir_policy::Policy;

use crate::address::own::OwnAddresses;
use crate::command::exit_code::ExitCode;
use crate::command::shared_arguments::SharedArguments;
use crate::command::streams;
use crate::dns::name_servers::NameServers;
use crate::input::policy_text::PolicyText;
use crate::local_gateway::environment::SystemRoots;
use crate::local_gateway::environment::inherited_proxy::InheritedProxy;
use crate::local_gateway::error::RunError;
use crate::output::inert_json;
use crate::output::report::{self, Style};
use finding::{Finding, Severity};
use probe::{Probe, Prober};
use target::{ProbeTarget, ProbeTargets};

/// The maximum number of hosts that are probed at a time.
const AT_ONCE: usize = 32;
/// The time limit for all hosts together.
const WITHIN: Duration = Duration::from_secs(60);

/// The arguments of `weir doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    shared: SharedArguments,
    /// Write a JSON object for each finding to stdout, one a line
    #[arg(long)]
    json: bool,
}

/// Examines everything and prints the findings. The code is [`ExitCode::Failure`] if something will not work, and
/// [`ExitCode::Invalid`] if the policy has faults.
///
/// # Errors
/// When the policy or the roots cannot be read, or stdout cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let document = PolicyText::read(&arguments.shared.policy, &mut io::stdin().lock());
    let document = document.map_err(RunError::Policy)?;
    let policy = match document.parse(weir_policy::compile) {
        Ok(policy) => Arc::new(policy),
        Err(faults) => {
            let report = report::faults(document.name(), document.text(), &faults, Style::for_stderr());
            streams::stderr().write_all(report.as_bytes())?;
            return Ok(ExitCode::Invalid);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start weir's own threads")?;
    let findings = runtime.block_on(examine(arguments, &policy, &document))?;
    runtime.shutdown_background();
    let mut out = streams::stdout();
    for finding in &findings {
        if arguments.json {
            writeln!(out, "{}", inert_json::to_string(&finding.object())?)?;
        } else {
            write!(out, "{finding}")?;
        }
    }
    out.flush()?;
    let fails = findings.iter().any(|finding| finding.severity == Severity::Problem);
    Ok(if fails { ExitCode::Failure } else { ExitCode::Ok })
}

async fn examine(
    arguments: &Arguments,
    policy: &Arc<Policy>,
    document: &PolicyText,
) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let targets = ProbeTargets::new(policy, document.folder());
    let envoy =
        envoy::examine(arguments.shared.envoy.as_deref(), arguments.shared.upstream_tls, &targets).await;
    findings.extend(envoy.findings);
    findings.extend(machine::examine());
    findings.extend(
        InheritedProxy::find(|name| std::env::var_os(name))
            .map(|proxy| Finding::warning("proxy", proxy.to_string(), InheritedProxy::HELP)),
    );
    findings.extend(rego::examine(document, policy, envoy.leaf_delivery));
    let system = SystemRoots::load();
    let authority = authority::examine(arguments.shared.state.as_deref(), SystemTime::now());
    let system: Vec<&[u8]> = match &authority.signing_ca {
        Some(authority) => system.others(authority).collect(),
        None => system.certificates.iter().map(Vec::as_slice).collect(),
    };
    let roots = tls::Roots::new(&system, arguments.shared.upstream_ca.as_deref())?;
    findings.extend(authority.findings);
    let own_addresses = OwnAddresses::read().await.unwrap_or_else(|error| {
        let help = "allow netlink sockets, so that names that resolve to this machine are denied";
        findings.push(Finding::warning("own addresses", error.to_string(), help));
        OwnAddresses::default()
    });
    let servers = NameServers::new(arguments.shared.dns).context("`--dns`")?;
    let prober = Prober { policy: Arc::clone(policy), servers, own_addresses, roots };
    let (probes, unfinished) = probe_all(prober, targets.hosts).await;
    findings.extend(probes.iter().flat_map(|probe| probe.findings(SystemTime::now())));
    if let Some(strategy) = envoy.strategy {
        findings.extend(shared::findings(&probes, strategy));
    }
    if unfinished > 0 {
        let what = format!("{unfinished} hosts were not probed within {} s", WITHIN.as_secs());
        findings.push(Finding::warning("time", what, "probe a part of the policy at a time"));
    }
    for pattern in targets.wildcards {
        let what = "not probed: the names below it are unknown".to_owned();
        findings.push(Finding::ok(&pattern, what));
    }
    Ok(findings)
}

/// Probes every host. Returns the probes in the targets' order, and the number of hosts that were not done in time.
async fn probe_all(prober: Prober, targets: Vec<ProbeTarget>) -> (Vec<Probe>, usize) {
    let (prober, permits) = (Arc::new(prober), Arc::new(Semaphore::new(AT_ONCE)));
    let (mut asked, all) = (JoinSet::new(), targets.len());
    for (place, target) in targets.into_iter().enumerate() {
        let (prober, permits) = (Arc::clone(&prober), Arc::clone(&permits));
        asked.spawn(async move {
            let _permit = permits.acquire_owned().await;
            (place, prober.ask(target).await)
        });
    }
    let deadline = Instant::now() + WITHIN;
    let mut probes = Vec::new();
    while let Ok(Some(probe)) = tokio::time::timeout_at(deadline, asked.join_next()).await {
        probes.extend(probe);
    }
    probes.sort_by_key(|(place, _)| *place);
    let unfinished = all - probes.len();
    (probes.into_iter().map(|(_, probe)| probe).collect(), unfinished)
}
