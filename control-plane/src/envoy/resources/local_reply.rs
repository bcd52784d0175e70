//! What Envoy itself answers, in the same JSON form and with the same header as the filter's denials.
//!
//! Bodies are text formats around two fields that the policy has already made canonical: a host, and a method of letters,
//! digits and few marks. Envoy writes them as they are; nothing in them means anything within JSON or to a shell, and
//! nothing that a client or an upstream may choose freely is in the bodies.

use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLogFilter, ExtensionFilter, ResponseFlagFilter, extension_filter,
};
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption, SubstitutionFormatString};
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    LocalReplyConfig, ResponseMapper,
};
use envoy_types::util::pack_any;
use weir_policy::Reason;

use super::names;
use super::protobuf::{inline_string, number};
use crate::decision_log::invalid_request::InvalidRequest;
use crate::decision_log::upstream_failure::{Sign, UpstreamFailure};

/// The `error` of a body: nothing went out.
const DENIED: &str = "denied_by_policy";
/// The policy allows it, and the upstream could not be had.
const FAILED: &str = "upstream_failure";
/// There was no request to judge.
const INVALID: &str = "invalid_request";

/// Whatever else Envoy answers with a 400 and a word of its own, which the policy filter does not have. The decision log
/// takes it for the same.
const ANY_OTHER_400: &str = "response.code == 400 && response.code_details != ''";

/// Before the policy filter has seen a request, its host is whatever the client sent.
const UNJUDGED_REQUEST: &str = "";
const JUDGED_REQUEST: &str = r#""host":"%REQ(:AUTHORITY)%","method":"%REQ(:METHOD)%","#;

pub(super) fn config() -> LocalReplyConfig {
    let details = |text: &str| cel(&format!("response.code_details.startsWith('{text}')"));
    let mut mappers = vec![
        reply(
            details(names::HTTPS_IN_THE_CLEAR),
            DENIED,
            UNJUDGED_REQUEST,
            Reason::SchemeNotAllowed,
            "ask the proxy for a CONNECT, and use TLS inside",
        ),
        mapper(
            details(&format!("{}[{}]", names::RBAC_DENIED, names::POLICY_MISSING)),
            DENIED,
            UNJUDGED_REQUEST,
            Reason::PolicyMissing,
        ),
        mapper(
            details(&format!("{}[none]", names::RBAC_DENIED)),
            DENIED,
            JUDGED_REQUEST,
            Reason::AddressNotAllowed,
        ),
    ];
    mappers.extend(UpstreamFailure::ALL.iter().map(failed));
    mappers.extend(InvalidRequest::ALL.iter().map(invalid));
    mappers.push(mapper(cel(ANY_OTHER_400), INVALID, UNJUDGED_REQUEST, Reason::MalformedRequest));
    LocalReplyConfig { mappers, body_format: None }
}

/// The policy allowed the request, and no whole answer came from where it went. Or Envoy is short of memory, and asks no
/// filter.
fn failed(failure: &UpstreamFailure) -> ResponseMapper {
    let filter = match failure.sign {
        Sign::Transport(text) => cel(&format!("upstream.transport_failure_reason.contains('{text}')")),
        Sign::Details(text) => cel(&format!("response.code_details.contains('{text}')")),
        Sign::Flag(flag) => {
            FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter { flags: vec![flag.as_str().to_owned()] })
        }
    };
    let request =
        if failure.sign == Sign::Details(names::OVERLOADED) { UNJUDGED_REQUEST } else { JUDGED_REQUEST };
    let request = format!("\"cause\":\"{}\",{request}", failure.cause);
    mapper(filter, FAILED, &request, failure.reason)
}

/// There was no request for the filter to judge.
fn invalid(request: &InvalidRequest) -> ResponseMapper {
    ResponseMapper {
        status_code: number(u32::from(request.reason.status())),
        ..mapper(cel(&request.expression()), INVALID, UNJUDGED_REQUEST, request.reason)
    }
}

fn mapper(filter: FilterSpecifier, error: &str, request: &str, reason: Reason) -> ResponseMapper {
    reply(filter, error, request, reason, reason.hint())
}

fn reply(filter: FilterSpecifier, error: &str, request: &str, reason: Reason, hint: &str) -> ResponseMapper {
    let body = format!(
        "{{\"error\":\"{error}\",\"reason\":\"{}\",{request}\"hint\":\"{}\"}}\n",
        reason.as_str(),
        // A format: `%` begins an operator.
        hint.replace('%', "%%").replace('"', "\\\""),
    );
    let header = |key: &str, value: &str| HeaderValueOption {
        header: Some(HeaderValue { key: key.to_owned(), value: value.to_owned(), ..HeaderValue::default() }),
        ..HeaderValueOption::default()
    };
    ResponseMapper {
        filter: Some(AccessLogFilter { filter_specifier: Some(filter) }),
        body_format_override: Some(SubstitutionFormatString {
            content_type: "application/json".to_owned(),
            format: Some(Format::TextFormatSource(inline_string(body))),
            ..SubstitutionFormatString::default()
        }),
        headers_to_add: vec![
            header(weir_contract::header::DECISION, reason.as_str()),
            header("cache-control", "no-store"),
        ],
        ..ResponseMapper::default()
    }
}

fn cel(expression: &str) -> FilterSpecifier {
    let config = ExpressionFilter { expression: expression.to_owned(), ..ExpressionFilter::default() };
    FilterSpecifier::ExtensionFilter(ExtensionFilter {
        name: "envoy.access_loggers.extension_filters.cel".to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(pack_any(config))),
    })
}
