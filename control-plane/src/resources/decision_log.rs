//! The access log that carries every decision to the control plane.

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{ApiVersion, GrpcService};
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::google::protobuf::Duration;
use envoy_types::util::pack_any;

use super::names;
use crate::capabilities::{Capabilities, UpstreamPeer};

/// How long a decision may wait in Envoy before it is sent, in nanoseconds: 50 ms, so that a person who watches
/// sees it at once and a busy Envoy still sends many in one message.
const FLUSH_NANOSECONDS: i32 = 50_000_000;

/// What Envoy tells of the upstream's TLS: tag and format.
const PEER: [(&str, &str); 2] =
    [(names::PEER_NAMES, "%UPSTREAM_PEER_DNS_SAN%"), (names::PEER_TLS, "%UPSTREAM_TLS_VERSION%")];

/// `log_name` is the listener.
pub(super) fn access_log(log_name: &str, capabilities: Capabilities) -> AccessLog {
    let peer = match capabilities.upstream_peer {
        UpstreamPeer::Logged => PEER.map(|(tag, value)| custom_tag(tag, value)).into(),
        UpstreamPeer::Unknown => Vec::new(),
    };
    let control_plane = GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: names::CONTROL_PLANE_CLUSTER.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    };
    let config = HttpGrpcAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: log_name.to_owned(),
            grpc_service: Some(control_plane),
            transport_api_version: ApiVersion::V3 as i32,
            buffer_flush_interval: Some(Duration { seconds: 0, nanos: FLUSH_NANOSECONDS }),
            filter_state_objects_to_log: vec![names::DECISION_RECORD.to_owned()],
            custom_tags: peer,
            ..CommonGrpcAccessLogConfig::default()
        }),
        ..HttpGrpcAccessLogConfig::default()
    };
    AccessLog {
        name: "envoy.access_loggers.http_grpc".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(pack_any(config))),
        ..AccessLog::default()
    }
}

fn custom_tag(tag: &str, format: &str) -> CustomTag {
    CustomTag { tag: tag.to_owned(), r#type: Some(custom_tag::Type::Value(format.to_owned())) }
}
