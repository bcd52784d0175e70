//! The one DNS cache that every forward-proxy cluster and filter shares.

use envoy_types::pb::envoy::config::cluster::v3::cluster::{DnsLookupFamily, RefreshRate};
use envoy_types::pb::envoy::config::core::v3::DnsResolverOptions;
use envoy_types::pb::envoy::extensions::common::dynamic_forward_proxy::v3::{
    DnsCacheCircuitBreakers, DnsCacheConfig,
};
use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use envoy_types::pb::google::protobuf::UInt64Value;

use super::Gateway;
use super::protobuf::{extension, number, seconds, socket_address};

/// A name is asked for again as often as it says, but no more often: Envoy asks for every name it holds, used or not.
const MIN_REFRESH_SECONDS: i64 = 30;
/// Requests that wait for a name at a time. Envoy counts every request here, also one for a host that is in its cache,
/// and refuses it at the bound: so the bound is more than the streams of all clients. The time of a lookup bounds how
/// long a request waits.
const MAX_WAITING: u32 = 4_000_000;
/// A lookup as a whole. Weir's resolver answers before.
const LOOKUP_SECONDS: i64 = 5;
/// Envoy repeats a question for which there is no answer yet: Weir knows that it is the same.
const QUESTION_SECONDS: u64 = 1;
/// c-ares shortens the time between repetitions to what answers take, and doubles it then: this many last longer than
/// a lookup.
const QUESTION_TRIES: u32 = 6;
/// How soon a name that failed is asked for again unasked, at first and at last. The next request for a name that was
/// never found asks at once ([`RESOLVE_AGAIN`]).
const FAILURE_REFRESH_SECONDS: (i64, i64) = (5, 60);

/// Envoy's runtime key by which a request for a name that was not found asks for it again, in place of sharing the
/// failure until the name is refreshed.
pub const RESOLVE_AGAIN: &str = "envoy.reloadable_features.reresolve_null_addresses";

/// Nothing in it depends on the policy: Envoy refuses two configurations of one cache for as long as the old one lives.
pub(super) fn config(gateway: &Gateway) -> DnsCacheConfig {
    let cares = CaresDnsResolverConfig {
        resolvers: gateway.resolver.map(socket_address).into_iter().collect(),
        // `example` must not become `example.corp.internal`: the policy judged the name as asked for.
        dns_resolver_options: Some(DnsResolverOptions {
            no_default_search_domain: true,
            ..DnsResolverOptions::default()
        }),
        query_tries: number(QUESTION_TRIES),
        query_timeout_seconds: Some(UInt64Value { value: QUESTION_SECONDS }),
        ..CaresDnsResolverConfig::default()
    };
    DnsCacheConfig {
        name: "weir".to_owned(),
        dns_lookup_family: DnsLookupFamily::All as i32,
        // Only names that the policy allows are ever resolved, so this bounds a wildcard rule, not a stranger.
        max_hosts: number(gateway.capacity.names),
        dns_min_refresh_rate: seconds(MIN_REFRESH_SECONDS),
        dns_failure_refresh_rate: Some(RefreshRate {
            base_interval: seconds(FAILURE_REFRESH_SECONDS.0),
            max_interval: seconds(FAILURE_REFRESH_SECONDS.1),
        }),
        dns_cache_circuit_breaker: Some(DnsCacheCircuitBreakers {
            max_pending_requests: number(MAX_WAITING),
        }),
        dns_query_timeout: seconds(LOOKUP_SECONDS),
        typed_dns_resolver_config: Some(extension("envoy.network.dns_resolver.cares", cares)),
        ..DnsCacheConfig::default()
    }
}
