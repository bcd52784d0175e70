//! The one DNS cache that every forward-proxy cluster and filter shares.

use envoy_types::pb::envoy::config::cluster::v3::cluster::DnsLookupFamily;
use envoy_types::pb::envoy::config::core::v3::DnsResolverOptions;
use envoy_types::pb::envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

use envoy_types::pb::envoy::r#type::matcher::v3::AddressMatcher;
use envoy_types::pb::xds::core::v3::CidrRange;
use ipnet::IpNet;
use xxhash_rust::xxh3::xxh3_64;

use super::protobuf::{extension, number, seconds, socket_address};
use super::{Gateway, address_space};

/// Only names that the policy allows are ever resolved, so this bounds a wildcard rule, not a stranger.
const MAX_HOSTS: u32 = 16_384;
/// A name is asked for again as often as it says, but no more often: Envoy asks for every name it holds, used or not.
const MIN_REFRESH_SECONDS: i64 = 30;

/// Envoy refuses two configurations of one cache for as long as the old one lives. So all that depends on the
/// policy, the addresses that are listed, is in the name.
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
    let mut listed: Vec<_> = gateway.policy.address_sets().flat_map(|set| set.nets()).collect();
    listed.sort_unstable();
    listed.dedup();
    DnsCacheConfig {
        name: name(&listed),
        dns_lookup_family: DnsLookupFamily::All as i32,
        max_hosts: number(MAX_HOSTS),
        dns_min_refresh_rate: seconds(MIN_REFRESH_SECONDS),
        dns_query_timeout: seconds(5),
        typed_dns_resolver_config: Some(extension("envoy.network.dns_resolver.cares", cares)),
        // Envoys before 1.39 pass over this field. It cannot know which rule a name belongs to, so what some rule
        // lists stays: as the first address of a name it is judged by the address guard.
        resolved_address_filter: Some(AddressMatcher {
            ranges: address_space::refused(&listed).into_iter().map(range).collect(),
            ..AddressMatcher::default()
        }),
        ..DnsCacheConfig::default()
    }
}

fn name(listed: &[IpNet]) -> String {
    if listed.is_empty() {
        return "weir".to_owned();
    }
    let networks: Vec<_> = listed.iter().map(ToString::to_string).collect();
    format!("weir_{:016x}", xxh3_64(networks.join(" ").as_bytes()))
}

fn range(network: IpNet) -> CidrRange {
    CidrRange {
        address_prefix: network.addr().to_string(),
        prefix_len: number(u32::from(network.prefix_len())),
    }
}
