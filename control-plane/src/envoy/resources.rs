//! Envoy's resources, a pure function of the gateway and Envoy's capabilities: equal inputs give equal bytes.
//!
//! ```text
//! explicit listener ── CONNECT ──→ intercept listener ── TLS ──→ policy → forward proxy → address guard → https
//!        └── absolute-form ──→ policy → forward proxy → address guard → http
//! ```
//! Only two extension configs depend on the policy: the policy filter and the address guard. So a new policy leaves
//! listeners, clusters and connections unchanged. There are three exceptions: a rule's own `upstream` is a cluster; the
//! names of passthrough rules are in a filter chain; and an Envoy that gets its certificates in advance
//! ([`LeafDelivery::InAdvance`](crate::envoy::capabilities::LeafDelivery)) has them in its listeners.

mod address_guard;
pub mod buffers;
mod cluster;
mod connection_log;
mod connection_manager;
pub mod decision_log;
pub mod dns_cache;
mod downstream_tls;
mod filter_state;
mod http1;
mod listener;
mod local_reply;
pub mod names;
mod own_upstream;
mod passthrough;
mod policy_filter;
mod protobuf;
mod retry;
mod route;
pub mod secret;
pub mod timeouts;
mod upstream_secret;
mod upstream_tls;

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_policy::{Host, HostPattern, Policy};
use weir_xds::{InconsistentSnapshot, References, Resource, ResourceType, Snapshot};

use super::gateway::Gateway;
use crate::ca::leaves;
use crate::envoy::capabilities::{Capabilities, LeafDelivery};

/// Builds all resources for a node with these capabilities.
///
/// # Errors
/// When a resource would refer to one that is not in the snapshot.
pub fn build(gateway: &Gateway, capabilities: Capabilities) -> Result<Snapshot, InconsistentSnapshot> {
    let leaf_names = match capabilities.leaf_delivery {
        LeafDelivery::OnDemand => BTreeSet::new(),
        LeafDelivery::InAdvance => leaf_names(&gateway.policy.rules),
    };
    let clusters = cluster::all(gateway, capabilities).into_iter();
    let clusters = clusters.map(|cluster| (ResourceType::Cluster, cluster, References::new()));
    let roots = upstream_secret::trust(&gateway.deployment.upstream_roots);
    let secrets = [(ResourceType::Secret, roots, References::new())];
    let listeners =
        [listener::explicit(gateway, capabilities), listener::intercept(gateway, capabilities, &leaf_names)]
            .into_iter()
            .chain(listener::transparent(gateway, capabilities, &leaf_names))
            .chain([listener::passthrough(gateway, capabilities)])
            .map(|(listener, references)| {
                (ResourceType::Listener, Resource::new(listener.name.clone(), &listener), references)
            });
    let routes = [
        route::explicit(gateway.deployment.timeouts),
        route::intercepted_tls([]),
        route::intercepted_plain(),
        route::passthrough(gateway.deployment.timeouts),
    ]
    .map(|table| (ResourceType::Route, Resource::new(table.name.clone(), &table), route::references(&table)));
    let configs = [
        policy_filter::resource(gateway, capabilities),
        address_guard::resource(&gateway.policy, &gateway.node),
    ]
    .map(|config| (ResourceType::ExtensionConfig, config, References::new()));
    let own = own_upstream::resources(gateway, capabilities);
    Snapshot::new(
        own.into_iter().chain(secrets).chain(clusters).chain(listeners).chain(routes).chain(configs),
    )
}

/// Builds the cluster of a host that has a TLS context of its own.
pub fn host_cluster(gateway: &Gateway, host: &Host) -> Resource {
    cluster::of_host(gateway, host)
}

/// Adds the clusters of hosts to a snapshot, and routes to those hosts that have a route.
///
/// # Errors
/// When a host has a route but no cluster.
pub fn with_hosts<'h>(
    snapshot: &Snapshot,
    clusters: impl IntoIterator<Item = Arc<Resource>>,
    routed: impl IntoIterator<Item = &'h Host>,
) -> Result<Snapshot, InconsistentSnapshot> {
    let table = route::intercepted_tls(routed);
    let references = route::references(&table);
    let table = Arc::new(Resource::new(table.name.clone(), &table));
    let clusters = clusters.into_iter().map(|cluster| (ResourceType::Cluster, cluster, References::new()));
    snapshot.with(clusters.chain([(ResourceType::Route, table, references)]))
}

/// Returns the names to mint in advance: as many as may have a leaf at a time. A leaf is for one name, so the names
/// below a wildcard have none. Envoy rejects a listener without a certificate, so one leaf is for clients that send no
/// name.
fn leaf_names(policy: &Policy) -> BTreeSet<String> {
    let exact = policy.hosts().filter_map(|pattern| match pattern {
        HostPattern::Exact(host) if !host.is_address() => Some(host.to_string()),
        HostPattern::Exact(_) | HostPattern::Below(_) => None,
    });
    exact.take(leaves::LISTED).chain([names::NO_SERVER_NAME.to_owned()]).collect()
}
