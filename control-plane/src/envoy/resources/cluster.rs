//! Clusters: to upstreams over TLS and over plain HTTP, and into the internal listeners.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CustomClusterType, LbPolicy,
};
use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, Cluster, circuit_breakers};
use envoy_types::pb::envoy::config::core::v3::envoy_internal_address::AddressNameSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, EnvoyInternalAddress, Http2ProtocolOptions, HttpProtocolOptions as CommonHttpOptions,
    TransportSocket, UpstreamHttpProtocolOptions, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;
use envoy_types::pb::envoy::extensions::clusters::dynamic_forward_proxy::v3::cluster_config::ClusterImplementationSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config,
};
use envoy_types::util::pack_any;
use weir_contract::separation;
use weir_policy::Host;
use weir_xds::Resource;

use super::protobuf::{duration, number, seconds, transport_socket};
use super::{Gateway, buffers, dns_cache, http1, names, upstream_tls};
use crate::envoy::capabilities::Capabilities;
use crate::envoy::capacity::Capacity;
use crate::envoy::gateway::NodeSettings;

const CONNECT_TIMEOUT_SECONDS: i64 = 10;
/// The maximum number of tunnels at a time. Tunnels are connections inside Envoy, and need no open files.
const TUNNELS: u32 = 2048;
/// A bound on the requests of each connection. Over HTTP/2, Envoy counts streams as requests; the intended limit is the
/// number of connections.
const REQUESTS_OF_A_CONNECTION: u32 = 100;

pub(super) fn all(gateway: &Gateway, capabilities: Capabilities) -> Vec<Resource> {
    let node = &gateway.node;
    let tls = upstream_tls::shared(&gateway.deployment, capabilities.upstream_tls);
    vec![
        over_tls(node, names::HTTPS_CLUSTER, tls.clone()),
        for_upgrades(node, names::HTTPS_UPGRADE_CLUSTER, tls),
        plain(node, names::HTTP_CLUSTER),
        plain(node, names::PASSTHROUGH_CLUSTER),
        resource(&inward(names::INTERCEPT_CLUSTER, names::INTERCEPT_LISTENER)),
        resource(&inward(names::PASSTHROUGH_TUNNEL_CLUSTER, names::PASSTHROUGH_LISTENER)),
    ]
}

/// Builds a cluster to upstreams over TLS.
pub(super) fn over_tls(node: &NodeSettings, name: &str, tls: TransportSocket) -> Resource {
    resource(&forward_proxy(node, name, either(), Some(tls)))
}

/// Builds a cluster over TLS for upgrades, which HTTP/2 does not carry.
pub(super) fn for_upgrades(node: &NodeSettings, name: &str, tls: TransportSocket) -> Resource {
    resource(&forward_proxy(node, name, http1(), Some(tls)))
}

/// Builds a cluster over plain HTTP.
pub(super) fn plain(node: &NodeSettings, name: &str) -> Resource {
    resource(&forward_proxy(node, name, http1(), None))
}

fn resource(cluster: &Cluster) -> Resource {
    Resource::new(cluster.name.clone(), cluster)
}

/// Builds the cluster of one host
/// ([`UpstreamTlsStrategy::ContextPerHost`](crate::envoy::capabilities::UpstreamTlsStrategy)). Every connection of it
/// must have the host as its server name. That holds, because only the authority selects this cluster, and a rule's own
/// upstream, which may have another server name, has a cluster of its own.
pub(super) fn of_host(gateway: &Gateway, host: &Host) -> Resource {
    let tls = upstream_tls::of_one_host(&gateway.deployment);
    let cluster = Cluster {
        // All these clusters share one set of statistics, so that their number costs no memory and metrics contain no
        // host names.
        alt_stat_name: names::HTTPS_CLUSTER.to_owned(),
        ..forward_proxy(&gateway.node, &names::host_cluster(host), either(), Some(tls))
    };
    resource(&cluster)
}

/// ALPN decides between h2 and http/1.1.
fn either() -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
        http_protocol_options: Some(http1::upstream()),
        http2_protocol_options: Some(Http2ProtocolOptions {
            max_concurrent_streams: number(buffers::STREAMS),
            initial_stream_window_size: number(buffers::UPSTREAM_STREAM),
            initial_connection_window_size: number(buffers::UPSTREAM_CONNECTION),
            ..Http2ProtocolOptions::default()
        }),
        ..AutoHttpConfig::default()
    })
}

fn http1() -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
        protocol_config: Some(explicit_http_config::ProtocolConfig::HttpProtocolOptions(http1::upstream())),
    })
}

fn forward_proxy(
    node: &NodeSettings,
    name: &str,
    protocol: UpstreamProtocolOptions,
    tls: Option<TransportSocket>,
) -> Cluster {
    let config = ClusterConfig {
        cluster_implementation_specifier: Some(ClusterImplementationSpecifier::DnsCacheConfig(
            dns_cache::config(node),
        )),
        ..ClusterConfig::default()
    };
    let http = HttpProtocolOptions {
        common_http_protocol_options: Some(CommonHttpOptions {
            idle_timeout: duration(Duration::from_secs(separation::IDLE_SECONDS)),
            max_headers_count: number(buffers::RESPONSE_FIELDS),
            max_response_headers_kb: number(buffers::RESPONSE_HEADERS_KIB),
            ..CommonHttpOptions::default()
        }),
        // Envoy sends and verifies the authority, which the filter has made canonical, unless the filter sets other
        // names for a request. Envoy rejects a forward-proxy cluster without both options, even one without TLS.
        upstream_http_protocol_options: Some(UpstreamHttpProtocolOptions {
            auto_sni: true,
            auto_san_validation: true,
            ..UpstreamHttpProtocolOptions::default()
        }),
        upstream_protocol_options: Some(protocol),
        ..HttpProtocolOptions::default()
    };
    Cluster {
        name: name.to_owned(),
        connect_timeout: seconds(CONNECT_TIMEOUT_SECONDS),
        lb_policy: LbPolicy::ClusterProvided as i32,
        cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
            name: "envoy.clusters.dynamic_forward_proxy".to_owned(),
            typed_config: Some(pack_any(config)),
        })),
        per_connection_buffer_limit_bytes: number(buffers::CONNECTION),
        circuit_breakers: Some(circuit_breaker(node.capacity.upstream_connections)),
        typed_extension_protocol_options: http_options(http),
        transport_socket: tls,
        ..Cluster::default()
    }
}

/// Builds a cluster into an internal listener.
fn inward(name: &str, listener: &str) -> Cluster {
    let address = Address {
        address: Some(address::Address::EnvoyInternalAddress(EnvoyInternalAddress {
            address_name_specifier: Some(AddressNameSpecifier::ServerListenerName(listener.to_owned())),
            ..EnvoyInternalAddress::default()
        })),
    };
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    let raw_buffer = transport_socket("envoy.transport_sockets.raw_buffer", RawBuffer {});
    let internal = InternalUpstreamTransport {
        transport_socket: Some(raw_buffer),
        ..InternalUpstreamTransport::default()
    };
    Cluster {
        name: name.to_owned(),
        connect_timeout: seconds(CONNECT_TIMEOUT_SECONDS),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![endpoint],
                ..LocalityLbEndpoints::default()
            }],
            ..ClusterLoadAssignment::default()
        }),
        per_connection_buffer_limit_bytes: number(buffers::CONNECTION),
        circuit_breakers: Some(circuit_breaker(TUNNELS)),
        transport_socket: Some(transport_socket("envoy.transport_sockets.internal_upstream", internal)),
        ..Cluster::default()
    }
}

fn circuit_breaker(connections: u32) -> CircuitBreakers {
    CircuitBreakers {
        thresholds: vec![circuit_breakers::Thresholds {
            max_connections: number(connections),
            // Requests that wait for a connection. The limit is always that of a full machine, so that a small one
            // queues requests.
            max_pending_requests: number(Capacity::FULL.upstream_connections),
            max_requests: number(connections.saturating_mul(REQUESTS_OF_A_CONNECTION)),
            // Of requests at a time, any may be a retry: an upstream refuses all streams of a connection at once.
            max_retries: number(connections.saturating_mul(REQUESTS_OF_A_CONNECTION)),
            ..circuit_breakers::Thresholds::default()
        }],
        ..CircuitBreakers::default()
    }
}

fn http_options(
    options: HttpProtocolOptions,
) -> std::collections::HashMap<String, envoy_types::pb::google::protobuf::Any> {
    [("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(), pack_any(options))].into()
}
