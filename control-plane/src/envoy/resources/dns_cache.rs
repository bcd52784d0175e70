//! The one DNS cache of all forward-proxy clusters and filters.

use envoy_types::pb::envoy::config::cluster::v3::cluster::{DnsLookupFamily, RefreshRate};
use envoy_types::pb::envoy::config::core::v3::DnsResolverOptions;
use envoy_types::pb::envoy::extensions::common::dynamic_forward_proxy::v3::{
    DnsCacheCircuitBreakers, DnsCacheConfig,
};
use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use envoy_types::pb::google::protobuf::UInt64Value;

use super::protobuf::{extension, number, seconds, socket_address};
use crate::envoy::gateway::NodeSettings;

/// The minimum interval at which Envoy resolves a name again. Envoy uses the answer's lifetime if it is longer, and
/// refreshes every name in the cache, used or not.
const MIN_REFRESH_SECONDS: i64 = 30;
/// The maximum number of requests that wait for a name. Envoy counts every request here, also one for a host in its
/// cache, and refuses it at the limit. So the limit exceeds the number of streams of all clients; the duration of a
/// lookup bounds each request's wait.
const MAX_WAITING: u32 = 4_000_000;
/// The maximum duration of a lookup. Weir's resolver answers before.
const LOOKUP_SECONDS: i64 = 5;
/// The interval at which Envoy repeats an unanswered question. Weir recognises the repetition.
const QUESTION_SECONDS: u64 = 1;
/// The number of repetitions. c-ares adapts the interval to the usual time of an answer, and then doubles it: this many
/// last longer than a lookup.
const QUESTION_TRIES: u32 = 6;
/// The first and the last interval at which Envoy retries a failed name by itself. The next request for a name that was
/// never found retries at once ([`RESOLVE_AGAIN`]).
const FAILURE_REFRESH_SECONDS: (i64, i64) = (5, 60);

/// Envoy's runtime key with which a request for a name that was not found resolves it again. Without it, the request
/// would share the failure until the next refresh.
pub const RESOLVE_AGAIN: &str = "envoy.reloadable_features.reresolve_null_addresses";

/// Builds the cache's configuration. It must not depend on the policy: Envoy rejects a second configuration of a cache
/// while the first one is in use.
pub(super) fn config(node: &NodeSettings) -> DnsCacheConfig {
    let cares = CaresDnsResolverConfig {
        resolvers: node.resolver.map(socket_address).into_iter().collect(),
        // Without search domains: the policy judged `example`, which must not become `example.corp.internal`.
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
        // Envoy resolves only names that the policy allows. So this limits the names of a wildcard rule, and unlisted
        // names never count.
        max_hosts: number(node.capacity.names),
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
