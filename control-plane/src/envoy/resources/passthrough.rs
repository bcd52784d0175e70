//! Passed-through TLS: Envoy forwards the connection without terminating TLS.
//!
//! ```text
//! intercept or transparent listener ── server name of a passthrough rule ──→ CONNECT ──→ passthrough listener
//!                                          policy → forward proxy → address guard → TCP
//! ```
//! Envoy selects the chain by server name. The chain forwards the connection in a CONNECT that Envoy makes, so that the
//! HTTP filters judge it before Envoy resolves its name or connects. (A TCP proxy reads nothing until it is connected,
//! so a network filter in front of it would judge too late.) The policy filter evaluates the current policy, so a chain
//! that is older than the policy does not pass a connection through that the policy denies.

use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch, filter};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, TunnelingConfig,
};
use envoy_types::util::pack_any;
use prost::{Message, Name};
use weir_policy::{HostPattern, Policy};

use super::protobuf::duration;
use super::{Gateway, filter_state, names};

/// Builds the filter chain, or returns `None` if no rule passes connections through. `target` is a format of the host
/// and port that the client requested.
pub(super) fn chain(gateway: &Gateway, target: &str) -> Option<FilterChain> {
    let server_names = server_names(&gateway.policy.rules);
    if server_names.is_empty() {
        return None;
    }
    let server_name = HeaderValue {
        key: weir_contract::header::SERVER_NAME.to_owned(),
        value: "%REQUESTED_SERVER_NAME%".to_owned(),
        ..HeaderValue::default()
    };
    let tcp_proxy = TcpProxy {
        stat_prefix: "passthrough".to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(names::PASSTHROUGH_TUNNEL_CLUSTER.to_owned())),
        idle_timeout: duration(gateway.deployment.timeouts.tunnel()),
        tunneling_config: Some(TunnelingConfig {
            hostname: target.to_owned(),
            headers_to_add: vec![HeaderValueOption {
                header: Some(server_name),
                ..HeaderValueOption::default()
            }],
            ..TunnelingConfig::default()
        }),
        ..TcpProxy::default()
    };
    Some(FilterChain {
        name: "unopened".to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: "tls".to_owned(),
            server_names,
            ..FilterChainMatch::default()
        }),
        filters: vec![
            filter_state::network_filter(filter_state::addresses().into()),
            configured("envoy.filters.network.tcp_proxy", tcp_proxy),
        ],
        ..FilterChain::default()
    })
}

/// Returns the names of passthrough rules in Envoy's form. Envoy compares them with the server name in lower case.
fn server_names(policy: &Policy) -> Vec<String> {
    let names = policy.passthrough_hosts().filter_map(|pattern| match pattern {
        HostPattern::Exact(host) => (!host.is_address()).then(|| host.to_string()),
        HostPattern::Below(domain) => Some(format!("*.{domain}")),
    });
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn configured<M: Message + Name>(name: &str, config: M) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(pack_any(config))) }
}
