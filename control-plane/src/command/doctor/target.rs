//! The targets of the probes: each host that the policy names, on each port on which a rule allows it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use weir_policy::{Authority, Effect, HostPattern, Policy, Request, RuleOutcome, Scheme, Tls, Upstream};

/// One host and port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProbeTarget {
    /// `host:port`, in the form in which a request would name it.
    pub(super) name: String,
    /// The host to connect to: the host of the rule's upstream, or the requested one.
    pub(super) host: String,
    pub(super) port: u16,
    /// The TLS handshake to make, or `None` for plain HTTP and for passed-through TLS.
    pub(super) tls: Option<Verified>,
}

/// The parameters of a handshake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Verified {
    pub(super) server_name: String,
    /// The names of which the certificate must be valid for one.
    pub(super) names: Vec<String>,
    /// The file of the rule's own roots.
    pub(super) ca: Option<PathBuf>,
}

/// All targets of a policy.
#[derive(Debug, Default)]
pub(super) struct ProbeTargets {
    pub(super) hosts: Vec<ProbeTarget>,
    /// Patterns, whose matching names are unknown.
    pub(super) wildcards: BTreeSet<String>,
}

impl ProbeTargets {
    /// Collects the targets of a policy. The files that it names are relative to `folder`.
    pub(super) fn new(policy: &Policy, folder: &Path) -> Self {
        let mut hosts = BTreeSet::new();
        let mut wildcards = BTreeSet::new();
        for pattern in policy.hosts().chain(policy.passthrough_hosts()) {
            match pattern {
                HostPattern::Exact(host) => hosts.extend(of_host(policy, folder, host.as_str())),
                HostPattern::Below(name) => drop(wildcards.insert(format!("*.{name}"))),
            }
        }
        Self { hosts: hosts.into_iter().collect(), wildcards }
    }
}

fn of_host(policy: &Policy, folder: &Path, host: &str) -> Vec<ProbeTarget> {
    let mut targets = Vec::new();
    for port in policy.ports() {
        let name = format!("{host}:{}", port.number);
        let request = Request {
            scheme: port.scheme,
            authority: name.as_bytes(),
            method: b"GET",
            path: b"/",
            server_name: Some(host.as_bytes()),
            tunnel: None,
        };
        // Scheme and port match. Methods and paths depend on the request.
        let fits = |outcome: RuleOutcome| outcome >= RuleOutcome::MethodDiffers;
        let (_, trace) = match policy.passed_through(&request) {
            Some(connection) => policy.explain_pass(&connection),
            None => policy.explain(&request),
        };
        let rules =
            trace.steps.iter().filter(|step| step.rule.effect() == Effect::Allow && fits(step.outcome));
        targets.extend(rules.map(|step| {
            let upstream = step.rule.upstream();
            let to = upstream.and_then(|upstream| upstream.host()).unwrap_or(host).to_owned();
            let opened = port.scheme == Scheme::Https && step.rule.tls() == Tls::Intercept;
            ProbeTarget {
                name: name.clone(),
                tls: opened.then(|| verified(host, folder, upstream)),
                host: to,
                port: upstream.and_then(|upstream| upstream.port()).unwrap_or(port.number),
            }
        }));
    }
    targets
}

fn verified(host: &str, folder: &Path, upstream: Option<Upstream<'_>>) -> Verified {
    let server_name = upstream.as_ref().and_then(Upstream::server_name).unwrap_or(host).to_owned();
    let mut names: Vec<String> =
        upstream.into_iter().flat_map(|upstream| upstream.names()).map(str::to_owned).collect();
    if names.is_empty() {
        names.push(server_name.clone());
    }
    Verified {
        server_name,
        names,
        ca: upstream.and_then(|upstream| upstream.ca()).map(|file| folder.join(file)),
    }
}

impl ProbeTarget {
    /// Returns the address if the host is one. An address is not looked up.
    pub(super) fn address(&self) -> Option<std::net::IpAddr> {
        let host = Authority::parse(self.host.as_bytes(), self.port).ok()?.host;
        host.as_str().trim_matches(['[', ']']).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_is_connected_to_on_the_ports_of_its_rules() {
        let policy = weir_policy::compile(
            "
allowed_domains: [a.example]
rules:
  - {id: wide, effect: allow, hosts: ['*.b.example'], ports: [8443]}
  - {id: odd, effect: allow, hosts: [c.example], ports: [8443], methods: [PUT], paths: [/x]}
  - {id: pass, effect: allow, hosts: [d.example], tls: passthrough}
  - {id: moved, effect: allow, hosts: [e.example], upstream: {host: f.example, port: 9443, sni: g.example, names: [h.example]}}
  - {id: deny, effect: deny, hosts: [i.example]}
  - {id: elsewhere, effect: allow, hosts: [j.example], upstream: {host: k.example}}
",
        );
        let targets = ProbeTargets::new(&policy.unwrap_or_else(|faults| panic!("{faults}")), Path::new("/"));
        let said: Vec<String> = targets
            .hosts
            .iter()
            .map(|ProbeTarget { name, host, port, tls }| {
                let tls = tls.as_ref().map(|tls| format!(" {} {}", tls.server_name, tls.names.join(",")));
                format!("{name} {host}:{port}{}", tls.unwrap_or_default())
            })
            .collect();
        assert_eq!(
            said,
            [
                "a.example:443 a.example:443 a.example a.example",
                "a.example:80 a.example:80",
                "c.example:8443 c.example:8443 c.example c.example",
                "d.example:443 d.example:443",
                "e.example:443 f.example:9443 g.example h.example",
                "j.example:443 k.example:443 k.example k.example",
            ]
        );
        assert_eq!(targets.wildcards.into_iter().collect::<Vec<_>>(), ["*.b.example"]);
    }
}
