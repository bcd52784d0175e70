//! Edits of a policy in force: a good edit is in force at once, and a bad one changes nothing.

use anyhow::{Result, ensure};
use e2e::{ALPHA, BETA, Deadline, EnvoyBinary, Run, RunningGateway, ServerOptions, UpstreamHosts, Wire};
use rustix::process::Signal;

use crate::client_hellos::plain::hello;

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    Ok((hosts, gateway))
}

/// The policy of the hosts, with another name for one of them.
fn without(hosts: &UpstreamHosts, name: &str) -> String {
    hosts.policy().replace(name, "elsewhere.weir.test")
}

fn wait_for(gateway: &RunningGateway, url: &str, what: &str, expected: u16) -> Result<()> {
    Deadline::seconds(15).poll(what, || {
        let response = gateway.client().get(url)?;
        // On 1.36, the filter denies the CONNECT to a host that the policy no longer lists.
        let status = if response.status == 0 { response.connect_status } else { response.status };
        Ok((status == expected).then_some(()))
    })
}

fn an_edit_is_in_force_without_a_restart(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let beta = hosts.url(BETA, "/");
    assert_eq!(gateway.client().get(beta.clone())?.status, 200);
    gateway.run().write_policy(&without(&hosts, BETA))?;
    wait_for(&gateway, &beta, "refusal of what the edit took out", 403)?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    gateway.run().write_policy(&hosts.policy())?;
    wait_for(&gateway, &beta, "answer of what the edit put back", 200)
}

fn other_listed_addresses_are_in_force_without_a_restart(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let alpha = hosts.url(ALPHA, "/");
    assert_eq!(gateway.client().get(alpha.clone())?.status, 200);
    gateway.run().write_policy(&hosts.policy().replace("127.0.0.1/32", "127.0.0.2/32"))?;
    wait_for(&gateway, &alpha, "refusal of an address that is no longer listed", 403)?;
    gateway.run().write_policy(&hosts.policy())?;
    wait_for(&gateway, &alpha, "answer at an address that is listed again", 200)
}

/// Envoy requests a certificate by the bytes of the name, and then its request is not valid protobuf.
fn a_server_name_that_is_no_text_keeps_no_edit_away(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let alpha = hosts.url(ALPHA, "/");
    assert_eq!(gateway.client().get(alpha.clone())?.status, 200);
    let mut tunnels = Vec::new();
    for name in [b"x\xff".as_slice(), b"\xc0\xaf.weir.test", b"\xff", b"x\xff"] {
        let target = hosts.authority(ALPHA);
        let mut tunnel = Wire::connect(gateway.address()?)?;
        tunnel.write(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes())?;
        ensure!(tunnel.expect_head()?.start.starts_with("HTTP/1.1 200"));
        tunnel.write(hello(3, Some(name)))?;
        tunnels.push(tunnel);
    }
    // A host that was never requested before needs a certificate, and gets one.
    assert_eq!(gateway.client().get(hosts.url(BETA, "/"))?.status, 200);
    gateway.run().write_policy(&without(&hosts, ALPHA))?;
    wait_for(&gateway, &alpha, "refusal of what the edit took out", 403)
}

fn an_edit_is_announced_when_envoy_has_accepted_it(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let said = |words: &str| Ok(gateway.stderr().contains(words).then_some(()));
    let process = gateway.envoy()?;
    process.signal(Signal::STOP)?;
    gateway.run().write_policy(&without(&hosts, BETA))?;
    let unanswered = Deadline::seconds(30)
        .poll("word of the silent Envoy", || said("the policy changed, and envoy has not accepted it yet"));
    let announced = gateway.stderr().lines().any(is_announcement);
    process.signal(Signal::CONT)?;
    unanswered?;
    assert!(!announced, "{}", gateway.stderr());
    Deadline::seconds(30).poll("word of the policy in force", || {
        Ok(gateway.stderr().lines().any(is_announcement).then_some(()))
    })?;
    wait_for(&gateway, &hosts.url(BETA, "/"), "refusal of what the edit took out", 403)
}

fn is_announcement(line: &str) -> bool {
    line.contains("the policy changed") && !line.contains("not accepted")
}

fn a_bad_edit_is_said_and_changes_nothing(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    gateway.run().write_policy("rules: [{}]\n")?;
    Deadline::seconds(15).poll("word of the bad edit", || {
        Ok(gateway.stderr().contains("the last good policy stays in force").then_some(()))
    })?;
    assert!(gateway.stderr().contains("policy.yaml:1:9"), "{}", gateway.stderr());
    for name in [ALPHA, BETA] {
        assert_eq!(gateway.client().get(hosts.url(name, "/"))?.status, 200);
    }
    gateway.run().write_policy(&without(&hosts, BETA))?;
    wait_for(&gateway, &hosts.url(BETA, "/"), "refusal after the edit was mended", 403)
}

on_oldest_and_newest_envoy!(
    an_edit_is_in_force_without_a_restart,
    other_listed_addresses_are_in_force_without_a_restart,
    a_server_name_that_is_no_text_keeps_no_edit_away,
    an_edit_is_announced_when_envoy_has_accepted_it,
    a_bad_edit_is_said_and_changes_nothing,
);
