//! The `upstream`s of rules: a cluster for each, with roots and a client certificate that no other rule uses.
//!
//! The policy filter names the cluster in a header ([`weir_contract::header::UPSTREAM`]); clients cannot set it, and
//! the route removes it. The filter also sets the address, the server name and the names to verify for each request.

use weir_contract::cluster::UpstreamCluster;
use weir_policy::{HostPattern, Policy, Scheme, Sessions, Tls, Upstream};
use weir_xds::{References, Resource, ResourceType};

use super::{Gateway, cluster, upstream_secret, upstream_tls};
use crate::envoy::capabilities::{Capabilities, UpstreamTlsStrategy};
use crate::envoy::gateway::NodeSettings;
use crate::input::upstream_files::FilesOfUpstream;

/// Builds the clusters, and the secrets that they refer to.
pub(super) fn resources(
    gateway: &Gateway,
    capabilities: Capabilities,
) -> Vec<(ResourceType, Resource, References)> {
    let policy = &gateway.policy.rules;
    let numbered = (0..).zip(policy.upstreams().zip(gateway.policy.upstream_files.iter()));
    numbered
        .flat_map(|(number, (upstream, files))| {
            let used = Scheme::ALL.into_iter().filter(move |scheme| is_used(policy, number, *scheme));
            let of_scheme = move |scheme| match scheme {
                Scheme::Http => vec![over_plain_http(&gateway.node, &upstream)],
                Scheme::Https => over_tls(gateway, capabilities, number, &upstream, files),
            };
            used.flat_map(of_scheme)
        })
        .collect()
}

/// Returns whether a rule that terminates TLS uses the upstream. Passed-through connections use no cluster for
/// requests.
fn is_used(policy: &Policy, number: u16, scheme: Scheme) -> bool {
    policy.rules().any(|rule| {
        rule.upstream_number() == Some(number)
            && rule.tls() == Tls::Intercept
            && rule.schemes().any(|named| named == scheme)
    })
}

fn over_plain_http(node: &NodeSettings, upstream: &Upstream<'_>) -> (ResourceType, Resource, References) {
    let name = UpstreamCluster::Http.name(upstream.key());
    (ResourceType::Cluster, cluster::plain(node, &name), References::new())
}

fn over_tls(
    gateway: &Gateway,
    capabilities: Capabilities,
    number: u16,
    upstream: &Upstream<'_>,
    files: &FilesOfUpstream,
) -> Vec<(ResourceType, Resource, References)> {
    let trust = upstream_secret::trust(files.ca.as_deref().unwrap_or(&gateway.deployment.upstream_roots));
    let identity = files.identity.as_deref().map(upstream_secret::identity);
    let sessions = match (upstream.sessions(), capabilities.upstream_tls) {
        (Sessions::None, _) | (_, UpstreamTlsStrategy::NoSessions) => 0,
        (Sessions::Resume, UpstreamTlsStrategy::SniScopedSessions) => upstream_tls::SESSIONS,
        (Sessions::Resume, UpstreamTlsStrategy::ContextPerHost) => {
            if has_one_server_name(&gateway.policy.rules, number, upstream) {
                upstream_tls::SESSIONS_OF_A_HOST
            } else {
                0
            }
        }
    };
    let transport =
        upstream_tls::transport(&trust.name, identity.as_ref().map(|it| it.name.as_str()), sessions);
    let secrets: Vec<_> = [Some(trust), identity].into_iter().flatten().collect();
    let references: References =
        secrets.iter().map(|secret| (ResourceType::Secret, secret.name.clone())).collect();
    let clusters = [
        cluster::over_tls(&gateway.node, &UpstreamCluster::Https.name(upstream.key()), transport.clone()),
        cluster::for_upgrades(&gateway.node, &UpstreamCluster::HttpsUpgrade.name(upstream.key()), transport),
    ];
    let secrets = secrets.into_iter().map(|secret| (ResourceType::Secret, secret, References::new()));
    let clusters = clusters.map(|cluster| (ResourceType::Cluster, cluster, references.clone()));
    secrets.chain(clusters).collect()
}

/// Returns whether every request has the same server name. Only then can the requests share TLS sessions on every
/// Envoy.
fn has_one_server_name(policy: &Policy, number: u16, upstream: &Upstream<'_>) -> bool {
    let mut hosts = policy.hosts_of_upstream(number);
    upstream.server_name().is_some()
        || matches!((hosts.next(), hosts.next()), (Some(HostPattern::Exact(_)), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_server_name(rules: &str) -> bool {
        let policy = weir_policy::compile(&format!("rules:\n{rules}")).unwrap();
        let upstream = policy.upstreams().next().unwrap();
        has_one_server_name(&policy, 0, &upstream)
    }

    #[test]
    fn an_upstream_of_several_hosts_has_several_server_names_unless_it_names_one() {
        let one = "- {id: a, effect: allow, hosts: [a.example], upstream: {port: 8443}}\n";
        let two = "- {id: b, effect: allow, hosts: [b.example], upstream: {port: 8443}}\n";
        let below = "- {id: c, effect: allow, hosts: ['*.c.example'], upstream: {port: 8443}}\n";
        assert!(one_server_name(one));
        assert!(!one_server_name(&format!("{one}{two}")));
        assert!(!one_server_name(below));
        assert!(one_server_name(&below.replace("port: 8443", "sni: d.example")));
        assert!(one_server_name(&format!("{one}{two}").replace("port: 8443", "host: d.example")));
        assert!(!one_server_name(&format!("{one}{two}").replace("port: 8443", "host: 10.0.0.1")));
    }
}
