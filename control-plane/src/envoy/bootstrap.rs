//! The bootstrap: the static configuration, with which Envoy connects to the control plane. All other configuration
//! comes over the stream.

mod overload;

use std::path::Path;

use serde_json::{Value, json};

use crate::envoy::capabilities::Protocol;
use crate::envoy::capacity::Capacity;
use crate::envoy::resources::{buffers, dns_cache, names};

/// The values of a bootstrap.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap<'a> {
    /// `node.id`
    pub node: &'a str,
    /// The control plane's Unix socket.
    pub control_plane: &'a Path,
    /// The Unix socket of Envoy's admin interface. It is never a TCP port, because a workload could connect to that
    /// through the proxy.
    pub admin: &'a Path,
    /// The protocol of the stream.
    pub protocol: Protocol,
    /// The limits of Envoy's open files and heap.
    pub capacity: Capacity,
}

impl Bootstrap<'_> {
    /// Returns the JSON that `envoy -c` reads.
    pub fn to_json(self) -> Value {
        let api_type = match self.protocol {
            Protocol::Delta => "DELTA_GRPC",
            Protocol::StateOfTheWorld => "GRPC",
        };
        json!({
            "node": { "id": self.node, "cluster": "weir" },
            "admin": { "address": { "pipe": { "path": self.admin, "mode": 0o600 } } },
            "bootstrap_extensions": [{
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
                    "buffer_size_kb": buffers::INTERNAL_KIB
                }
            }],
            "layered_runtime": runtime(),
            "overload_manager": overload::manager(self.capacity),
            "stats_config": { "stats_tags": stats_tags(), "stats_matcher": stats_matcher() },
            "dynamic_resources": {
                "ads_config": {
                    "api_type": api_type,
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{
                        "envoy_grpc": {
                            "cluster_name": names::CONTROL_PLANE_CLUSTER,
                            // With Envoy's default, it may reconnect up to 30 s after the control plane returns.
                            "retry_policy": {
                                "retry_back_off": { "base_interval": "0.05s", "max_interval": "1s" }
                            }
                        }
                    }]
                },
                "cds_config": { "ads": {}, "resource_api_version": "V3" },
                "lds_config": { "ads": {}, "resource_api_version": "V3" }
            },
            "static_resources": { "clusters": [self.control_plane_cluster()] }
        })
    }

    fn control_plane_cluster(self) -> Value {
        json!({
            "name": names::CONTROL_PLANE_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": { "http2_protocol_options": {} }
                }
            },
            "load_assignment": {
                "cluster_name": names::CONTROL_PLANE_CLUSTER,
                "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                    "address": { "pipe": { "path": self.control_plane } }
                } }] }]
            }
        })
    }
}

/// Returns runtime settings that have no field in Envoy's configuration.
fn runtime() -> Value {
    json!({ "layers": [{ "name": "weir", "static_layer": {
        "http.max_requests_per_io_cycle": buffers::REQUESTS_AT_ONCE,
        "overload.premature_reset_total_stream_count": buffers::RESETS,
        dns_cache::RESOLVE_AGAIN: true
    } }] })
}

/// Extracts the labels of `weir_decisions.effect.<effect>.reason.<reason>`. Envoy removes a tag's first group from the
/// metric's name.
fn stats_tags() -> Value {
    json!([
        { "tag_name": "effect", "regex": r"^wasmcustom\.weir_decisions(\.effect\.([^.]+))" },
        { "tag_name": "reason", "regex": r"^wasmcustom\.weir_decisions.*?(\.reason\.([^.]+))" }
    ])
}

/// Excludes Envoy's own statistics of each on-demand secret. Without them, a name costs Envoy a third less memory.
fn stats_matcher() -> Value {
    json!({ "exclusion_list": { "patterns": [{ "prefix": "sds." }, { "contains": "on_demand_secret.ssl." }] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap() -> Value {
        let bootstrap = Bootstrap {
            node: "n",
            control_plane: Path::new("/run/weir/xds.sock"),
            admin: Path::new("/run/weir/admin.sock"),
            protocol: Protocol::Delta,
            capacity: Capacity::FULL,
        };
        bootstrap.to_json()
    }

    #[test]
    fn the_bootstrap_listens_on_no_tcp_port() {
        assert!(!bootstrap().to_string().contains("socket_address"));
    }

    #[test]
    fn the_example_bootstrap_is_the_one_that_weir_writes() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/bootstrap.json");
        let example: Value = serde_json::from_str(&std::fs::read_to_string(example).unwrap()).unwrap();
        let written = bootstrap();
        assert_eq!(example, written, "envoy/bootstrap.json must be:\n{written:#}");
    }
}
