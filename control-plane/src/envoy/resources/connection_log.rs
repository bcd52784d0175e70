//! The access log of the connections that end without a request, such as those of clients that refuse the certificate.

use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ExtensionFilter, access_log, extension_filter,
};
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::TcpGrpcAccessLogConfig;
use envoy_types::util::pack_any;

use super::decision_log;

/// The maximum bytes of entries that a worker of Envoy keeps: some hundred connections.
const BUFFER: u32 = 64 << 10;

/// Selects connections on which Envoy began to terminate TLS and read no byte of content. Without headers,
/// `request.size` is the number of bytes that the connection received.
const WITHOUT_REQUEST: &str = "request.size == 0 && has(connection.tls_version)";

/// Builds the access log. `log_name` is the listener.
pub(super) fn access_log(log_name: &str) -> AccessLog {
    let filter = ExtensionFilter {
        name: "envoy.access_loggers.extension_filters.cel".to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(pack_any(ExpressionFilter {
            expression: WITHOUT_REQUEST.to_owned(),
            ..ExpressionFilter::default()
        }))),
    };
    let config = TcpGrpcAccessLogConfig { common_config: Some(decision_log::service(log_name, BUFFER)) };
    AccessLog {
        name: "envoy.access_loggers.tcp_grpc".to_owned(),
        filter: Some(AccessLogFilter { filter_specifier: Some(FilterSpecifier::ExtensionFilter(filter)) }),
        config_type: Some(access_log::ConfigType::TypedConfig(pack_any(config))),
    }
}
