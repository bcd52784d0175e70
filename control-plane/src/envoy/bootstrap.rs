//! The bootstrap: all that an Envoy must know before it can ask. Everything else comes over the stream.

mod overload;

use std::path::Path;

use serde_json::{Value, json};

use crate::envoy::capabilities::Protocol;
use crate::envoy::capacity::Capacity;
use crate::envoy::resources::{buffers, dns_cache, names};

/// Where an Envoy finds its control plane, and who it says it is.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap<'a> {
    /// `node.id`
    pub node: &'a str,
    /// The control plane's Unix socket.
    pub control_plane: &'a Path,
    /// The Unix socket of Envoy's admin interface. Never TCP: what a workload can resolve, it could reach.
    pub admin: &'a Path,
    /// The protocol of the stream.
    pub protocol: Protocol,
    /// What the Envoy may take of its machine.
    pub capacity: Capacity,
}

impl Bootstrap<'_> {
    /// As the JSON that `envoy -c` reads.
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
                            // The default returns up to 30 s after the control plane does.
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

/// Settings that Envoy has nowhere else.
fn runtime() -> Value {
    json!({ "layers": [{ "name": "weir", "static_layer": {
        "http.max_requests_per_io_cycle": buffers::REQUESTS_AT_ONCE,
        "overload.premature_reset_total_stream_count": buffers::RESETS,
        dns_cache::RESOLVE_AGAIN: true
    } }] })
}

/// `weir_decisions.effect.<effect>.reason.<reason>` with its labels. A tag's first group is cut from the name.
fn stats_tags() -> Value {
    json!([
        { "tag_name": "effect", "regex": r"^wasmcustom\.weir_decisions(\.effect\.([^.]+))" },
        { "tag_name": "reason", "regex": r"^wasmcustom\.weir_decisions.*?(\.reason\.([^.]+))" }
    ])
}

/// One name on demand costs Envoy a third less without the statistics of its own that nobody reads.
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
