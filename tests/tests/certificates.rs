//! The certificates that clients see: whose they are, how long they live, and what happens when the CA is replaced.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, Gateway, Run, ServerOptions, UpstreamHosts, weir_command,
};

fn weir_ca(arguments: &[&str], state: &Path) -> Result<Output> {
    let output = weir_command()?.arg("ca").args(arguments).arg("--state").arg(state).output()?;
    ensure!(output.status.success(), "weir ca {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// Asks both hosts in turn, each over a connection of its own, until it is told to stop: the answers that were wrong,
/// and how many were right.
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

/// Waits until a client that trusts this root alone is answered.
fn wait_for_leaves_of(gateway: &Gateway, hosts: &UpstreamHosts, root: &Path) -> Result<()> {
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
    // As a client that read its trust store before the rotation has it.
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
    // The trust files of the run hold both by now.
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

on_oldest_and_newest_envoy!(a_rotation_under_load_fails_no_request);
