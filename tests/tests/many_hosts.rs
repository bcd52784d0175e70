//! A policy with a million hosts: Weir serves it to a real Envoy, enforces it, and replaces it.

use std::fmt::Write as _;

use anyhow::Result;
use e2e::{ALPHA, BETA, Deadline, EnvoyBinary, Run, ServerOptions, UNLISTED, UpstreamHosts};

const HOSTS: usize = 1_000_000;

/// Writes the hosts' own policy and a rule with a million names around `name`.
fn policy(hosts: &UpstreamHosts, name: &str) -> String {
    let mut text = hosts.policy().replace(&format!("hosts: [{ALPHA}]"), "hosts: [replaced.weir.test]");
    let port = hosts.port();
    let _ = write!(
        text,
        "  - {{id: many, effect: allow, methods: [GET], ports: [{port}], addresses: [127.0.0.1/32], hosts: [{name}"
    );
    for host in 0..HOSTS {
        let _ = write!(text, ",service-{host}.region-{}.cloud.example", host % 97);
    }
    text.push_str("]}\n");
    text
}

fn a_million_hosts_are_served_and_enforced(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &policy(&hosts, ALPHA))?.start()?;
    let (alpha, beta) = (hosts.url(ALPHA, "/"), hosts.url(BETA, "/"));
    let alpha_answer = gateway.client().get(alpha.clone())?;
    assert_eq!((alpha_answer.status, alpha_answer.content), (200, format!("{ALPHA} says hello\n")));
    assert_eq!(gateway.client().get(beta.clone())?.status, 200);
    assert_eq!(gateway.client().get(hosts.url(UNLISTED, "/"))?.status, 403);
    // No name server knows this one of the million names. So the policy allows it, and then its resolution fails.
    let listed =
        format!("https://service-999999.region-{}.cloud.example:{}/", (HOSTS - 1) % 97, hosts.port());
    assert_eq!(gateway.client().get(listed)?.status, 503);
    // An edited policy reaches Envoy as a whole, too.
    gateway.run().write_policy(&policy(&hosts, "elsewhere.weir.test"))?;
    Deadline::seconds(60).poll("refusal of what the edit took out", || {
        Ok((gateway.client().get(alpha.clone())?.status == 403).then_some(()))
    })?;
    assert_eq!(gateway.client().get(beta)?.status, 200);
    Ok(())
}

on_newest_envoy!(a_million_hosts_are_served_and_enforced);
