//! The ends of processes: Envoy and the command end with `weir`, however it ends, and `weir` ends with Envoy.

use anyhow::Result;
use e2e::{
    ALPHA, Deadline, EnvoyBinary, Process, ProcessId, Run, RunningGateway, ServerOptions, UpstreamHosts,
};
use rustix::process::Signal;

fn run() -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    Ok((hosts, run))
}

fn gateway() -> Result<(UpstreamHosts, RunningGateway)> {
    let (hosts, run) = run()?;
    Ok((hosts, run.start()?))
}

/// A `weir run -- sh` whose command runs, with the ids of its Envoy and its command.
fn with_command(run: &Run) -> Result<(Process, ProcessId, ProcessId)> {
    // Without `exec`, the shell would be the parent of `sleep`, and nobody would end `sleep`.
    let weir = run.spawn(["sh", "-c", "echo started; exec sleep 600"])?;
    weir.stdout().wait(Deadline::seconds(60), "start of the command", |lines| {
        lines.iter().any(|line| line == "started").then_some(())
    })?;
    let command = Deadline::seconds(10).poll("sleep", || Ok(weir.id().descendant("sleep").ok()))?;
    let envoy = weir.id().descendant("envoy")?;
    Ok((weir, envoy, command))
}

fn assert_ends(what: &str, process: &ProcessId) -> Result<()> {
    Deadline::seconds(15).poll(&format!("end of {what}"), || Ok((!process.is_running()).then_some(())))
}

#[test]
fn sigterm_ends_weir_and_envoy() -> Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let (_hosts, mut gateway) = gateway()?;
        let envoy = gateway.envoy()?;
        gateway.signal(signal)?;
        let status = gateway.wait(Deadline::seconds(15))?;
        assert_eq!(status.code(), Some(0), "it was asked to end: {}", gateway.stderr());
        assert!(!envoy.is_running());
        let left: Vec<_> = std::fs::read_dir(gateway.run().runtime())?.collect();
        assert!(left.is_empty(), "{left:?}");
    }
    Ok(())
}

#[test]
fn sigterm_ends_envoy_and_the_command() -> Result<()> {
    let (_hosts, run) = run()?;
    let (mut weir, envoy, command) = with_command(&run)?;
    weir.signal(Signal::TERM)?;
    weir.wait(Deadline::seconds(15))?;
    assert_ends("Envoy", &envoy)?;
    assert_ends("the command", &command)
}

#[test]
fn a_killed_weir_takes_envoy_and_the_command_with_it() -> Result<()> {
    let (_hosts, run) = run()?;
    let (mut weir, envoy, command) = with_command(&run)?;
    weir.signal(Signal::KILL)?;
    weir.wait(Deadline::seconds(15))?;
    assert_ends("Envoy", &envoy)?;
    assert_ends("the command", &command)
}

#[test]
fn a_killed_envoy_ends_weir_with_an_error() -> Result<()> {
    let (_hosts, mut gateway) = gateway()?;
    gateway.envoy()?.kill()?;
    let status = gateway.wait(Deadline::seconds(15))?;
    assert_eq!(status.code(), Some(1));
    assert!(gateway.stderr().to_lowercase().contains("envoy"), "{}", gateway.stderr());
    Ok(())
}

#[test]
fn a_killed_envoy_ends_the_command_too() -> Result<()> {
    let (_hosts, run) = run()?;
    let (mut weir, envoy, command) = with_command(&run)?;
    envoy.kill()?;
    assert_eq!(weir.wait(Deadline::seconds(15))?.code(), Some(1));
    assert_ends("the command", &command)
}

#[test]
fn a_control_plane_that_hangs_does_not_stop_known_hosts() -> Result<()> {
    let (hosts, gateway) = gateway()?;
    let client = gateway.client();
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 200);
    // A killed control plane would end its Envoy, so the test only stops it.
    gateway.signal(Signal::STOP)?;
    let answers: Result<Vec<_>> = (0..5).map(|_| client.get(hosts.url(ALPHA, "/"))).collect();
    gateway.signal(Signal::CONT)?;
    for answer in answers? {
        assert_eq!(answer.status, 200, "{answer:#?}");
    }
    assert_eq!(gateway.decisions(6)?.len(), 6, "decisions made meanwhile are not lost");
    Ok(())
}
