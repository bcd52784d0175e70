//! The access log that carries every decision to the control plane.

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{ApiVersion, GrpcService};
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig,
};
use envoy_types::pb::google::protobuf::Duration;
use envoy_types::util::pack_any;

use super::names;

/// How long a decision may wait in Envoy before it is sent, in nanoseconds: 50 ms, so that a person who watches
/// sees it at once and a busy Envoy still sends many in one message.
const FLUSH_NANOSECONDS: i32 = 50_000_000;

/// `log_name` says which listener decided.
pub(super) fn access_log(log_name: &str) -> AccessLog {
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
