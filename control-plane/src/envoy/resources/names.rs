//! The names by which resources and filter state refer to each other. Names that the filter uses too are in
//! [`weir_contract`].

use weir_policy::Host;

/// Listener of the explicit proxy: CONNECT and absolute-form.
pub const EXPLICIT_LISTENER: &str = "weir_explicit";
/// Internal listener that terminates TLS, so that the filter can judge the inner requests.
pub const INTERCEPT_LISTENER: &str = "weir_intercept";
/// Listener for redirected connections, with the filter chains of the intercept listener.
pub const TRANSPARENT_LISTENER: &str = "weir_transparent";
/// Internal listener for passed-through TLS.
pub const PASSTHROUGH_LISTENER: &str = "weir_passthrough";

/// Route table of the explicit proxy.
pub const EXPLICIT_ROUTES: &str = "explicit";
/// Route table of requests inside terminated TLS.
pub const INTERCEPTED_TLS_ROUTES: &str = "intercepted_tls";
/// Route table of plain HTTP inside a tunnel.
pub const INTERCEPTED_PLAIN_ROUTES: &str = "intercepted_plain";
/// Route table of passed-through TLS.
pub const PASSTHROUGH_ROUTES: &str = "passthrough";

/// Cluster that carries a CONNECT into the intercept listener.
pub const INTERCEPT_CLUSTER: &str = "weir_intercept";
/// Forward-proxy cluster over TLS (the predecessor's name).
pub const HTTPS_CLUSTER: &str = "dynamic_forward_proxy_cluster_https";
/// Forward-proxy cluster over TLS for upgrades. It uses HTTP/1.1 only, because Envoy's automatic protocol choice cannot
/// carry a WebSocket over h2.
pub const HTTPS_UPGRADE_CLUSTER: &str = "dynamic_forward_proxy_cluster_https_upgrade";
/// Returns the name of the forward-proxy cluster for one host, with TLS sessions of its own.
pub fn host_cluster(host: &Host) -> String {
    format!("{HTTPS_CLUSTER}/{host}")
}

/// Returns the host of a [`host_cluster`], or `None` for any other cluster.
pub fn host_of_cluster(cluster: &str) -> Option<Host> {
    let name = cluster.strip_prefix(HTTPS_CLUSTER)?.strip_prefix('/')?;
    Host::parse(name.as_bytes()).ok()
}

/// Forward-proxy cluster over plain HTTP (the predecessor's name).
pub const HTTP_CLUSTER: &str = "dynamic_forward_proxy_cluster_http";
/// Cluster that carries passed-through TLS into its listener.
pub const PASSTHROUGH_TUNNEL_CLUSTER: &str = "weir_unopened";
/// Forward-proxy cluster for passed-through TLS.
pub const PASSTHROUGH_CLUSTER: &str = "weir_passthrough";

/// Cluster of the control plane, in the bootstrap.
pub const CONTROL_PLANE_CLUSTER: &str = "weir_control_plane";

/// Extension config of the policy filter, and its name in the filter chain.
pub const POLICY_FILTER: &str = "weir.policy";
/// Extension config of the address guard, and its name in the filter chain.
pub const ADDRESS_GUARD: &str = "weir.address_guard";

/// The name in the filter chain of the filter that marks tunnels.
pub const MARK_TUNNEL: &str = "weir.mark_tunnel";

/// Filter state that carries the authority of a CONNECT into the intercept listener.
pub const CONNECT_AUTHORITY: &str = "weir.connect_authority";
/// Filter state in which a filter chain describes its connection.
pub const CONNECTION: &str = "weir.connection";

/// Envoy's details of `GET https://… HTTP/1.1` on a connection without TLS, which its codec rejects.
pub const HTTPS_IN_THE_CLEAR: &str = "http1.https_url_on_plaintext_connection";

/// Envoy's details, when its heap is near its limit, of a request that it refuses and of a stream that it ends.
pub const OVERLOADED: &str = "overload";

/// Prefix of Envoy's details of a denial by its RBAC filter: the guard or a placeholder.
pub const RBAC_DENIED: &str = "rbac_access_denied_matched_policy";
/// The policy of the placeholder for the policy filter, as Envoy's details name it.
pub const POLICY_MISSING: &str = "policy_missing";

/// Access log tag: the DNS names in the upstream's certificate, separated by commas.
pub const PEER_NAMES: &str = "upstream_names";
/// Access log tag: the upstream's TLS version.
pub const PEER_TLS: &str = "upstream_tls";

/// Name of the leaf for a client that sends no SNI.
pub const NO_SERVER_NAME: &str = "no-server-name.invalid";
