//! Envoy resources, built purely: the same gateway and capabilities, the same bytes.
//!
//! ```text
//! explicit listener ── CONNECT ──→ intercept listener ── TLS ──→ policy → forward proxy → address guard → https
//!        └── absolute-form ──→ policy → forward proxy → address guard → http
//! ```
//! What depends on the policy travels as extension configs (the policy filter, the address guard), so that a new
//! policy touches no listener, no cluster and no connection. There are exceptions: a policy whose rules have other
//! upstreams of their own, which are clusters, or pass other names through, which changes a filter chain; and an Envoy
//! that takes its certificates in advance
//! ([`LeafDelivery::InAdvance`](crate::envoy::capabilities::LeafDelivery)).

mod address_guard;
pub mod buffers;
mod cluster;
mod connection_manager;
pub mod decision_log;
pub mod dns_cache;
mod downstream_tls;
mod filter_state;
mod listener;
mod local_reply;
pub mod names;
mod own_upstream;
mod passthrough;
mod policy_filter;
mod protobuf;
mod route;
pub mod secret;
pub mod timeouts;
mod upstream_secret;
mod upstream_tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_policy::{Host, HostPattern, Policy};
use weir_xds::{InconsistentSnapshot, References, Resource, ResourceType, Snapshot};

use crate::address::own::OwnAddresses;
use crate::ca::leaves;
use crate::envoy::capabilities::{Capabilities, LeafDelivery, UpstreamTlsChoice};
use crate::envoy::capacity::Capacity;
use crate::input::proxy_credentials::AcceptedCredentials;
use crate::input::upstream_files::UpstreamFiles;
use crate::nodes::host_contexts;

use timeouts::Timeouts;

/// What to serve, whatever the node.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// What may be reached.
    pub policy: Arc<Policy>,
    /// The filter's wasm module.
    pub filter: Arc<[u8]>,
    /// The Rego policy that must agree, if the policy needs one.
    pub rego: Option<RegoPolicy>,
    /// Where the explicit proxy listens.
    pub listen: SocketAddr,
    /// What clients of the explicit proxy must know; nothing where there are none.
    pub proxy_credentials: Option<AcceptedCredentials>,
    /// Where redirected connections are taken; nowhere when empty.
    pub transparent: Vec<SocketAddr>,
    /// The roots that upstreams are verified by, in PEM.
    pub upstream_roots: Arc<str>,
    /// What the files hold that the policy's own upstreams name.
    pub upstream_files: Arc<UpstreamFiles>,
    /// The resolver that Envoy asks, which must give no address that a rule of the name could refuse
    /// ([`dns`](crate::dns)). Envoy's own choice (the system's) when absent.
    pub resolver: Option<SocketAddr>,
    /// The machine's own addresses, which only `addresses` of a rule opens.
    pub own_addresses: OwnAddresses,
    /// How hosts that share an address are kept apart.
    pub upstream_tls: UpstreamTlsChoice,
    /// The hosts with a context of their own, with
    /// [`UpstreamTlsStrategy::ContextPerHost`](crate::envoy::capabilities::UpstreamTlsStrategy).
    pub host_contexts: host_contexts::Limits,
    /// How long connections and streams may be silent.
    pub timeouts: Timeouts,
    /// What an Envoy may take of its machine.
    pub capacity: Capacity,
}

/// A Rego policy, and the filter that has an engine for it.
#[derive(Debug, Clone)]
pub struct RegoPolicy {
    /// The bytes of a [`weir_rego::Plan`].
    pub plan: Arc<[u8]>,
    /// That filter's wasm module, which takes the other one's place.
    pub filter: Arc<[u8]>,
}

/// Builds everything that a node with these capabilities is served.
///
/// # Errors
/// A snapshot that would refer to something which is not in it.
pub fn build(gateway: &Gateway, capabilities: Capabilities) -> Result<Snapshot, InconsistentSnapshot> {
    let leaf_names = match capabilities.leaf_delivery {
        LeafDelivery::OnDemand => BTreeSet::new(),
        LeafDelivery::InAdvance => leaf_names(&gateway.policy),
    };
    let clusters = cluster::all(gateway, capabilities).into_iter();
    let clusters = clusters.map(|cluster| (ResourceType::Cluster, cluster, References::new()));
    let roots = upstream_secret::trust(&gateway.upstream_roots);
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
        route::explicit(gateway.timeouts),
        route::intercepted_tls([]),
        route::intercepted_plain(),
        route::passthrough(gateway.timeouts),
    ]
    .map(|table| (ResourceType::Route, Resource::new(table.name.clone(), &table), route::references(&table)));
    let configs = [policy_filter::resource(gateway, capabilities), address_guard::resource(gateway)]
        .map(|config| (ResourceType::ExtensionConfig, config, References::new()));
    let own = own_upstream::resources(gateway, capabilities);
    Snapshot::new(
        own.into_iter().chain(secrets).chain(clusters).chain(listeners).chain(routes).chain(configs),
    )
}

/// The cluster of a host that has a TLS context of its own.
pub fn host_cluster(gateway: &Gateway, host: &Host) -> Resource {
    cluster::of_host(gateway, host)
}

/// Adds to a snapshot the clusters of hosts, and leads to those that are routed.
///
/// # Errors
/// A host is routed and has no cluster.
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

/// The names to mint in advance: as many as may live at one time. A leaf is for one name, so what a wildcard covers has
/// none. Envoy refuses a listener without any certificate, so there is one for clients that send no name.
fn leaf_names(policy: &Policy) -> BTreeSet<String> {
    let exact = policy.hosts().filter_map(|pattern| match pattern {
        HostPattern::Exact(host) if !host.is_address() => Some(host.to_string()),
        HostPattern::Exact(_) | HostPattern::Below(_) => None,
    });
    exact.take(leaves::LISTED).chain([names::NO_SERVER_NAME.to_owned()]).collect()
}
