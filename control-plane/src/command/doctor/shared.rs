//! Hosts that share an address, and the effect on the installed Envoy: before 1.40, Envoy offers one host's TLS session
//! to the other, and verifies its certificate against the other's name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::Finding;
use super::probe::Probe;
use crate::envoy::capabilities::UpstreamTlsStrategy;

pub(super) fn findings(probes: &[Probe], strategy: UpstreamTlsStrategy) -> Vec<Finding> {
    let mut hosts_at: BTreeMap<IpAddr, BTreeMap<&str, &[u8]>> = BTreeMap::new();
    for probe in probes {
        let Some(certificate) = probe.certificate() else { continue };
        for address in &probe.addresses {
            hosts_at.entry(*address).or_default().insert(&probe.target.host, certificate);
        }
    }
    // A set of hosts often shares several addresses.
    let mut groups: BTreeMap<Vec<&str>, (Vec<IpAddr>, bool)> = BTreeMap::new();
    for (address, hosts) in hosts_at {
        if hosts.len() < 2 {
            continue;
        }
        let differ = hosts.values().collect::<BTreeSet<_>>().len() > 1;
        let group = groups.entry(hosts.into_keys().collect()).or_insert((Vec::new(), differ));
        group.0.push(address);
    }
    let of_group = |(hosts, (addresses, differ)): (Vec<&str>, (Vec<IpAddr>, bool))| {
        let addresses = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        finding(&hosts.join(", "), &addresses, differ, strategy)
    };
    groups.into_iter().map(of_group).collect()
}

fn finding(hosts: &str, addresses: &str, differ: bool, strategy: UpstreamTlsStrategy) -> Finding {
    if !differ {
        return Finding::ok(hosts, format!("they share {addresses} and a certificate"));
    }
    let share = format!("they share {addresses} and present different certificates");
    let what = format!("{share}; {}", strategy.for_hosts_on_one_address());
    match strategy {
        UpstreamTlsStrategy::SniScopedSessions | UpstreamTlsStrategy::ContextPerHost => {
            Finding::ok(hosts, what)
        }
        UpstreamTlsStrategy::NoSessions => Finding::warning(
            hosts,
            what,
            "sessions are resumed on Envoy 1.40 and later, and before with `--upstream-tls context_per_host`",
        ),
    }
}
