//! The certificates that clients see: their issuer, their lifetime, and the replacement of the CA.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, CertificateAuthority, Client, Deadline, EnvoyBinary, Flood, Run, RunningGateway,
    ServerOptions, UNLISTED, UpstreamHosts, weir_command,
};

use crate::served_envoy::{Options, ServedEnvoy};

fn weir_ca(arguments: &[&str], state: &Path) -> Result<Output> {
    let output = weir_command()?.arg("ca").args(arguments).arg("--state").arg(state).output()?;
    ensure!(output.status.success(), "weir ca {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// Requests both hosts in turn, each over a new connection, until the test stops it. Returns the wrong answers and the
/// number of right ones.
fn load(hosts: &UpstreamHosts, client: &Client, stop: &AtomicBool) -> Result<(Vec<String>, usize)> {
    let (mut wrong, mut right) = (Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        for host in [ALPHA, BETA] {
            let response = client.get(hosts.url(host, "/"))?;
            if response.status == 200 { right += 1 } else { wrong.push(format!("{response:?}")) }
        }
    }
    Ok((wrong, right))
}

/// Waits until a client that trusts only this root gets an answer.
fn wait_for_leaves_of(gateway: &RunningGateway, hosts: &UpstreamHosts, root: &Path) -> Result<()> {
    let client = Client::through(gateway.proxy()).trusting(root);
    for host in [ALPHA, BETA] {
        Deadline::seconds(30).poll_eq("status for who trusts the new root alone", &200, || {
            Ok(client.get(hosts.url(host, "/"))?.status)
        })?;
    }
    Ok(())
}

fn a_rotation_under_load_fails_no_request(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let state = gateway.run().state();
    // A client that read its trust store before the rotation has these roots.
    let folder = tempfile::TempDir::new()?;
    let (old, new) = (folder.path().join("old.pem"), folder.path().join("new.pem"));
    std::fs::copy(state.join("roots.pem"), &old)?;
    let old = Client::through(gateway.proxy()).trusting(&old);
    let stop = AtomicBool::new(false);
    let (wrong, right) = std::thread::scope(|scope| -> Result<_> {
        let loading = scope.spawn(|| load(&hosts, &old, &stop));
        let rotated = weir_ca(&["rotate", "--keep", "1h"], &state).and_then(|_| {
            std::fs::copy(state.join("root.pem"), &new)?;
            wait_for_leaves_of(&gateway, &hosts, &new)
        });
        stop.store(true, Ordering::SeqCst);
        let loaded = loading.join().ok().context("the load panicked")?;
        rotated.with_context(|| gateway.stderr())?;
        loaded
    })?;
    assert_eq!(wrong, [""; 0], "of {right}");
    assert!(right > 0);
    assert_eq!(old.get(hosts.url(ALPHA, "/"))?.status, 200, "the old root vouches for the new leaves");
    // The run's trust files have both roots by now.
    let exported = weir_ca(&["export"], &state)?.stdout;
    assert_eq!(pem_blocks(&exported), 2);
    Deadline::seconds(10)
        .poll_eq("roots in the trust file", &exported, || Ok(std::fs::read(state.join("roots.pem"))?))
}

fn pem_blocks(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).matches("BEGIN CERTIFICATE").count()
}

#[test]
fn a_rotation_that_keeps_nothing_ends_the_trust_in_the_old_root() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?.start()?;
    let state = gateway.run().state();
    let folder = tempfile::TempDir::new()?;
    let old = folder.path().join("old.pem");
    std::fs::copy(state.join("roots.pem"), &old)?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    weir_ca(&["rotate", "--keep", "0"], &state)?;
    wait_for_leaves_of(&gateway, &hosts, &state.join("root.pem"))?;
    let refused = Client::through(gateway.proxy()).trusting(&old).get(hosts.url(ALPHA, "/"))?;
    assert_eq!((refused.status, refused.exit_code), (0, 60), "{}", refused.error);
    Ok(())
}

/// A workload dials random names, more than Envoy may hold.
#[test]
fn a_flood_of_unlisted_names_costs_no_memory_and_stops_no_listed_host() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?.start()?;
    Flood::new(0..500, &gateway, &hosts)?;
    let before = (gateway.envoy_heap()?, gateway.id().resident()?);
    let flood = Flood::new(500..5_000, &gateway, &hosts)?;
    let after = (gateway.envoy_heap()?, gateway.id().resident()?);
    assert_eq!(flood.denied + flood.refused, 4_500);
    assert!(flood.refused > flood.denied, "{flood:?}");
    // Envoy would hold 150 MB if it kept each name.
    let limit = |before: u64| before + (10 << 20);
    assert!(after.0 < limit(before.0) && after.1 < limit(before.1), "{before:?}, {after:?}");
    // Names that a client tries one after the other, and not by the thousand, get their answers.
    let denied = Deadline::seconds(30).poll("a denial that can be read", || {
        let response = gateway.client().get(hosts.url(UNLISTED, "/"))?;
        Ok((response.status != 0).then_some(response))
    })?;
    assert_eq!((denied.status, denied.header("x-weir-decision")), (403, Some("host_not_allowed")));
    Ok(())
}

/// The operator's root, and the CA below it that Weir gets.
#[test]
fn a_ca_that_the_operator_brings_signs_and_is_replaced_while_it_runs() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let folder = tempfile::TempDir::new()?;
    let (first, second) =
        (CertificateAuthority::new("First Root")?, CertificateAuthority::new("Second Root")?);
    let bring = |root: &CertificateAuthority| -> Result<()> {
        let (egress, key) = root.subordinate("Egress")?;
        std::fs::write(folder.path().join("ca.pem"), egress + root.pem())?;
        let file = folder.path().join("ca.key");
        std::fs::write(&file, key)?;
        Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?)
    };
    bring(&first)?;
    let mut run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    run.authority = Some((folder.path().join("ca.pem"), folder.path().join("ca.key")));
    let gateway = run.start()?;
    for root in [&first, &second] {
        bring(root)?;
        let file = folder.path().join("trusted.pem");
        std::fs::write(&file, root.pem())?;
        wait_for_leaves_of(&gateway, &hosts, &file)?;
    }
    assert!(!gateway.run().state().exists(), "the state folder is for the CA that Weir makes");
    Ok(())
}

#[test]
fn names_that_nobody_uses_are_withdrawn_and_those_in_use_stay() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut options = Options::new(&hosts)?;
    options.leaves.idle = Duration::from_secs(3);
    let mut served = ServedEnvoy::start(&EnvoyBinary::newest()?, &hosts, options)?;
    served.wait_until_ready()?;
    let client = served.client();
    assert_eq!(client.get(hosts.url(BETA, "/"))?.status, 200);
    assert!(served.leaves()?.contains(&BETA.to_owned()));
    Deadline::seconds(60).poll("withdrawal of beta", || {
        ensure!(client.get(hosts.url(ALPHA, "/"))?.status == 200);
        let leaves = served.leaves()?;
        ensure!(leaves.contains(&ALPHA.to_owned()), "alpha is in use");
        Ok((!leaves.contains(&BETA.to_owned())).then_some(()))
    })?;
    assert_eq!(client.get(hosts.url(BETA, "/"))?.status, 200, "it is asked for again");
    Ok(())
}

/// The shortest lifetime that the test can wait for. Weir renews a leaf after two thirds of it.
fn a_leaf_is_renewed_before_its_end(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut options = Options::new(&hosts)?;
    options.lifetimes.leaf = Duration::from_secs(6);
    let mut served = ServedEnvoy::start(envoy, &hosts, options)?;
    served.wait_until_ready()?;
    let client = served.client();
    // The wait is longer than the lives of two leaves.
    let end = Instant::now() + Duration::from_secs(14);
    while Instant::now() < end {
        let response = client.get(hosts.url(ALPHA, "/"))?;
        assert_eq!(response.status, 200, "{}", response.error);
    }
    Ok(())
}

on_oldest_and_newest_envoy!(a_rotation_under_load_fails_no_request, a_leaf_is_renewed_before_its_end);
