//! The access logs that carry every decision to the control plane.
//!
//! Envoy's access logger drops an entry when its buffer is full, and a client can fill the buffer with denied requests
//! at no cost to itself. So each listener has two access logs, each with a buffer and a stream of its own: one for
//! forwarded requests, and a small one for refused requests.

use std::time::Duration;

use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, LogTypeFilter, MetadataFilter, OrFilter,
    access_log, comparison_filter,
};
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{ApiVersion, GrpcService, RuntimeUInt32};
use envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::HcmAccessLogOptions;
use envoy_types::pb::envoy::extensions::filters::http::set_metadata::v3::{Config as SetMetadata, Metadata};
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::{PathSegment, path_segment};
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{MetadataMatcher, ValueMatcher};
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use envoy_types::util::pack_any;

use super::names;
use super::protobuf::{bool_value, duration, number};
use crate::envoy::capabilities::{Capabilities, UpstreamPeer};

/// The maximum time for which a decision waits in Envoy. It is short enough for a person who watches, and a busy Envoy
/// still sends many in one message.
const FLUSH: Duration = Duration::from_millis(50);

/// The age at which the log reports a request that is still open.
pub const OPEN_AFTER: Duration = Duration::from_secs(2);

/// A class of requests, which has its own access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requests {
    /// Requests that reached the router: an upstream may have seen them.
    Forwarded,
    /// Requests that Envoy's codec, the policy filter or another filter answered before the router.
    Refused,
}

impl Requests {
    /// The maximum bytes of a listener's entries that a worker of Envoy keeps until the control plane takes them. An
    /// entry has the request's path and user agent: usually 1 KiB, and at most 60 KiB.
    fn buffer(self) -> u32 {
        match self {
            Self::Forwarded => 16 << 20,
            Self::Refused => 1 << 20,
        }
    }

    /// Selects the log's requests by the mark of the filter before the router ([`mark_forwarded`]). Only a marked
    /// request can have reached an upstream. A client cannot set the mark, and a request without it never fills the
    /// larger buffer.
    fn filter(self) -> AccessLogFilter {
        let forwarded = self == Self::Forwarded;
        let matcher = MetadataMatcher {
            filter: NAMESPACE.to_owned(),
            path: vec![PathSegment { segment: Some(path_segment::Segment::Key(FORWARDED.to_owned())) }],
            value: Some(ValueMatcher { match_pattern: Some(MatchPattern::BoolMatch(forwarded)) }),
            ..MetadataMatcher::default()
        };
        let mark = MetadataFilter { matcher: Some(matcher), match_if_key_not_found: bool_value(!forwarded) };
        let requests = filter(FilterSpecifier::MetadataFilter(mark));
        let entries = match self {
            // Envoy reports an open request repeatedly; the first report is enough.
            Self::Forwarded => {
                filter(FilterSpecifier::OrFilter(OrFilter { filters: vec![ended(), just_opened()] }))
            }
            Self::Refused => ended(),
        };
        filter(FilterSpecifier::AndFilter(AndFilter { filters: vec![requests, entries] }))
    }
}

/// The namespace of Weir's dynamic metadata, and the mark's key in it.
const NAMESPACE: &str = "weir";
const FORWARDED: &str = "forwarded";

/// Marks a request just before the router.
pub(super) fn mark_forwarded() -> SetMetadata {
    let value = Value { kind: Some(value::Kind::BoolValue(true)) };
    let metadata = Metadata {
        metadata_namespace: NAMESPACE.to_owned(),
        value: Some(Struct { fields: [(FORWARDED.to_owned(), value)].into() }),
        ..Metadata::default()
    };
    SetMetadata { metadata: vec![metadata], ..SetMetadata::default() }
}

/// Properties of the upstream's TLS in the log: tag and format.
const PEER: [(&str, &str); 2] =
    [(names::PEER_NAMES, "%UPSTREAM_PEER_DNS_SAN%"), (names::PEER_TLS, "%UPSTREAM_TLS_VERSION%")];

/// Builds the access logs. `log_name` is the listener.
pub(super) fn access_logs(log_name: &str, capabilities: Capabilities) -> Vec<AccessLog> {
    [Requests::Forwarded, Requests::Refused]
        .map(|requests| access_log(log_name, capabilities, requests))
        .into()
}

/// Makes Envoy report a request that lasts.
pub(super) fn options() -> HcmAccessLogOptions {
    HcmAccessLogOptions { access_log_flush_interval: duration(OPEN_AFTER), ..HcmAccessLogOptions::default() }
}

fn access_log(log_name: &str, capabilities: Capabilities, requests: Requests) -> AccessLog {
    let peer = match capabilities.upstream_peer {
        UpstreamPeer::Logged => PEER.map(|(tag, value)| custom_tag(tag, value)).into(),
        UpstreamPeer::Unknown => Vec::new(),
    };
    // Envoy shares a buffer and a stream between equal configurations. The sizes differ, which keeps the two logs
    // apart.
    let config = HttpGrpcAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            filter_state_objects_to_log: vec![weir_contract::filter_state::RECORD.to_owned()],
            custom_tags: peer,
            ..service(log_name, requests.buffer())
        }),
        ..HttpGrpcAccessLogConfig::default()
    };
    AccessLog {
        name: "envoy.access_loggers.http_grpc".to_owned(),
        filter: Some(requests.filter()),
        config_type: Some(access_log::ConfigType::TypedConfig(pack_any(config))),
    }
}

/// Builds the part of an access log that leads to the control plane.
pub(super) fn service(log_name: &str, buffer: u32) -> CommonGrpcAccessLogConfig {
    let control_plane = GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: names::CONTROL_PLANE_CLUSTER.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    };
    CommonGrpcAccessLogConfig {
        log_name: log_name.to_owned(),
        grpc_service: Some(control_plane),
        transport_api_version: ApiVersion::V3 as i32,
        buffer_flush_interval: duration(FLUSH),
        buffer_size_bytes: number(buffer),
        ..CommonGrpcAccessLogConfig::default()
    }
}

/// Selects entries of requests that have ended.
fn ended() -> AccessLogFilter {
    let types = vec![AccessLogType::DownstreamPeriodic as i32];
    filter(FilterSpecifier::LogTypeFilter(LogTypeFilter { types, exclude: true }))
}

/// Selects a request's first report as open: the request has lasted less than twice [`OPEN_AFTER`].
fn just_opened() -> AccessLogFilter {
    let most = u32::try_from(OPEN_AFTER.as_millis() * 2 - 1).unwrap_or(u32::MAX);
    let comparison = ComparisonFilter {
        op: comparison_filter::Op::Le as i32,
        // Envoy requires a key; no runtime layer has this one.
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
