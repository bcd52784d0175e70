//! The one DNS cache that every forward-proxy cluster and filter shares.

use envoy_types::pb::envoy::config::cluster::v3::cluster::DnsLookupFamily;
use envoy_types::pb::envoy::config::core::v3::DnsResolverOptions;
use envoy_types::pb::envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

use super::Gateway;
use super::protobuf::{extension, number, seconds, socket_address};

/// A name is asked for again as often as it says, but no more often: Envoy asks for every name it holds, used or not.
const MIN_REFRESH_SECONDS: i64 = 30;

/// Nothing in it depends on the policy: Envoy refuses two configurations of one cache for as long as the old one lives.
pub(super) fn config(gateway: &Gateway) -> DnsCacheConfig {
    let cares = CaresDnsResolverConfig {
        resolvers: gateway.resolver.map(socket_address).into_iter().collect(),
        // `example` must not become `example.corp.internal`: the policy judged the name as asked for.
        dns_resolver_options: Some(DnsResolverOptions {
            no_default_search_domain: true,
            ..DnsResolverOptions::default()
        }),
        ..CaresDnsResolverConfig::default()
    };
    DnsCacheConfig {
        name: "weir".to_owned(),
        dns_lookup_family: DnsLookupFamily::All as i32,
        // Only names that the policy allows are ever resolved, so this bounds a wildcard rule, not a stranger.
        max_hosts: number(gateway.capacity.names),
        dns_min_refresh_rate: seconds(MIN_REFRESH_SECONDS),
        dns_query_timeout: seconds(5),
        typed_dns_resolver_config: Some(extension("envoy.network.dns_resolver.cares", cares)),
        ..DnsCacheConfig::default()
    }
}
