//! The access logs that carry every decision to the control plane.
//!
//! Envoy's access logger drops an entry when its buffer is full, and a client fills the buffer with requests that are
//! denied, at no cost to itself. So each listener has two access logs, each with a buffer and a stream of its own: one
//! for the requests that were forwarded, and a small one for those that were refused.

use std::time::Duration;

use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, HeaderFilter, LogTypeFilter, OrFilter,
    access_log, comparison_filter,
};
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{ApiVersion, GrpcService, RuntimeUInt32};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::HcmAccessLogOptions;
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::util::pack_any;

use super::names;
use super::protobuf::{duration, number};
use crate::capabilities::{Capabilities, UpstreamPeer};

/// How long a decision may wait in Envoy before it is sent: a person who watches sees it at once, and a busy Envoy
/// still sends many in one message.
const FLUSH: Duration = Duration::from_millis(50);

/// How long a request may last before the log tells of it while it is still open.
pub const OPEN_AFTER: Duration = Duration::from_secs(2);

/// The requests that an access log takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requests {
    /// Requests that the router took: an upstream may have seen them. Requests that Envoy refused before it had their
    /// headers count among them.
    Forwarded,
    /// Requests that were answered before the router, by the policy filter or another filter.
    Refused,
}

impl Requests {
    /// What a worker of Envoy keeps of a listener's entries until the control plane takes them, in bytes. An entry has
    /// the request's path and user agent, so up to 60 KiB, and mostly 1 KiB.
    fn buffer(self) -> u32 {
        match self {
            Self::Forwarded => 16 << 20,
            Self::Refused => 1 << 20,
        }
    }

    /// The router removes the header that every request has until then, so that only a request that went no further has
    /// it at its end. A request of which nothing is known counts as forwarded.
    fn filter(self) -> AccessLogFilter {
        let refused = HeaderMatcher {
            name: weir_contract::header::CONNECTION.to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
            invert_match: self == Self::Forwarded,
            ..HeaderMatcher::default()
        };
        let requests = filter(FilterSpecifier::HeaderFilter(HeaderFilter { header: Some(refused) }));
        let entries = match self {
            // Envoy repeats its word of an open request: the first is enough.
            Self::Forwarded => {
                filter(FilterSpecifier::OrFilter(OrFilter { filters: vec![ended(), just_opened()] }))
            }
            Self::Refused => ended(),
        };
        filter(FilterSpecifier::AndFilter(AndFilter { filters: vec![requests, entries] }))
    }
}

/// What Envoy tells of the upstream's TLS: tag and format.
const PEER: [(&str, &str); 2] =
    [(names::PEER_NAMES, "%UPSTREAM_PEER_DNS_SAN%"), (names::PEER_TLS, "%UPSTREAM_TLS_VERSION%")];

/// `log_name` is the listener.
pub(super) fn access_logs(log_name: &str, capabilities: Capabilities) -> Vec<AccessLog> {
    [Requests::Forwarded, Requests::Refused]
        .map(|requests| access_log(log_name, capabilities, requests))
        .into()
}

/// Makes Envoy tell of a request that lasts.
pub(super) fn options() -> HcmAccessLogOptions {
    HcmAccessLogOptions { access_log_flush_interval: duration(OPEN_AFTER), ..HcmAccessLogOptions::default() }
}

fn access_log(log_name: &str, capabilities: Capabilities, requests: Requests) -> AccessLog {
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
    // Envoy keeps a buffer and a stream for each configuration that differs, so the sizes alone keep the two apart.
    let config = HttpGrpcAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: log_name.to_owned(),
            grpc_service: Some(control_plane),
            transport_api_version: ApiVersion::V3 as i32,
            buffer_flush_interval: duration(FLUSH),
            buffer_size_bytes: number(requests.buffer()),
            filter_state_objects_to_log: vec![weir_contract::filter_state::RECORD.to_owned()],
            custom_tags: peer,
            ..CommonGrpcAccessLogConfig::default()
        }),
        ..HttpGrpcAccessLogConfig::default()
    };
    AccessLog {
        name: "envoy.access_loggers.http_grpc".to_owned(),
        filter: Some(requests.filter()),
        config_type: Some(access_log::ConfigType::TypedConfig(pack_any(config))),
    }
}

/// Entries of requests that have ended.
fn ended() -> AccessLogFilter {
    let types = vec![AccessLogType::DownstreamPeriodic as i32];
    filter(FilterSpecifier::LogTypeFilter(LogTypeFilter { types, exclude: true }))
}

/// Entries of requests that have not lasted twice as long as it takes until Envoy tells of them.
fn just_opened() -> AccessLogFilter {
    let most = u32::try_from(OPEN_AFTER.as_millis() * 2 - 1).unwrap_or(u32::MAX);
    let comparison = ComparisonFilter {
        op: comparison_filter::Op::Le as i32,
        // No runtime layer has the key, which Envoy requires.
        value: Some(RuntimeUInt32 { default_value: most, runtime_key: "weir.open_request".to_owned() }),
    };
    filter(FilterSpecifier::DurationFilter(DurationFilter { comparison: Some(comparison) }))
}

fn filter(specifier: FilterSpecifier) -> AccessLogFilter {
    AccessLogFilter { filter_specifier: Some(specifier) }
}

fn custom_tag(tag: &str, format: &str) -> CustomTag {
    CustomTag { tag: tag.to_owned(), r#type: Some(custom_tag::Type::Value(format.to_owned())) }
}
