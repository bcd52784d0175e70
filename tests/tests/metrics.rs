//! Envoy's counters agree with the decision log.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::{ALPHA, BETA, EnvoyBinary, Request, Run, RunningGateway, ServerOptions, UNLISTED, UpstreamHosts};

const DECISIONS: &str = "wasmcustom.weir_decisions";

fn counters(gateway: &RunningGateway) -> Result<BTreeMap<String, u64>> {
    Ok(gateway.envoy_stats("wasmcustom.weir_")?.into_iter().collect())
}

fn counts_of_decisions_are_those_of_the_log(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = hosts.policy().replace("  - id: beta-public\n", "  - id: beta-public\n    mode: report\n");
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    // `weir run` has sent requests of its own until the policy was in force.
    let before = counters(&gateway)?;

    let alpha = Request::get(hosts.url(ALPHA, "/"));
    let requests = [
        alpha.clone(),
        alpha.clone().http2(),
        alpha.clone().method("POST"),
        Request::get(hosts.plain_url(ALPHA, "/")),
        // Report mode forwards and counts this request.
        Request::get(hosts.url(BETA, "/private")),
        Request::get(hosts.url(BETA, "/")),
        alpha.header(format!("Host: {BETA}:{}", hosts.port())),
        Request::get(hosts.plain_url(UNLISTED, "/")),
        Request::get(hosts.plain_url(UNLISTED, "/")),
    ];
    // Each request has a client of its own, so each https request opens a tunnel.
    for request in &requests {
        gateway.client().send(request)?;
    }
    let refused = gateway.client().get("https://alpha.weir.test:1/")?;
    assert_eq!(refused.connect_status, 403, "{refused:#?}");

    let mut expected = BTreeMap::new();
    for decision in gateway.decisions(requests.len() + 1)? {
        let name = format!("{DECISIONS}.effect.{}.reason.{}", decision.effect, decision.reason);
        *expected.entry(name).or_default() += 1;
    }
    assert_eq!(expected.get(&format!("{DECISIONS}.effect.allow.reason.allowed")), Some(&4));
    assert_eq!(expected.get(&format!("{DECISIONS}.effect.allow.reason.path_not_allowed")), Some(&1));
    assert_eq!(expected.get(&format!("{DECISIONS}.effect.deny.reason.port_not_allowed")), Some(&1));
    let tunnels = requests.iter().filter(|request| request.url.starts_with("https:")).count();
    expected.insert("wasmcustom.weir_tunnels".to_owned(), tunnels as u64);
    let mut counted = counters(&gateway)?;
    for (name, value) in &mut counted {
        *value -= before.get(name).copied().unwrap_or(0);
    }
    counted.retain(|_, value| *value > 0);
    assert_eq!(counted, expected);
    Ok(())
}

on_oldest_and_newest_envoy!(counts_of_decisions_are_those_of_the_log);
