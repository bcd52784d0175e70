//! TLS that is not opened.
//!
//! ```text
//! intercept or transparent listener ── server name of a passthrough rule ──→ CONNECT ──→ passthrough listener
//!                                          policy → forward proxy → address guard → TCP
//! ```
//! The chain is chosen by server name. It packs the connection into a CONNECT of its own making, so that what judges
//! requests judges it too: before its name is resolved, and before anything is connected to. (A TCP proxy reads nothing
//! until it is connected, so a guard in front of it would look too late.) The policy filter asks the policy again, so
//! that a chain which is older than the policy lets nothing through.

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

/// None where nothing is passed through. `target` is a format of the host and port that the client asked for.
pub(super) fn chain(gateway: &Gateway, target: &str) -> Option<FilterChain> {
    let server_names = server_names(&gateway.policy);
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
        cluster_specifier: Some(ClusterSpecifier::Cluster(names::UNOPENED_CLUSTER.to_owned())),
        idle_timeout: duration(gateway.timeouts.tunnel()),
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

/// The names of a policy that are passed through, as Envoy matches them; it has the server name in lower case.
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
