//! Envoy's own answers, in the JSON form and with the header of the filter's denials.
//!
//! Bodies are text formats around two fields that the policy has already made canonical: a host, and a method of
//! letters, digits and few marks. Envoy writes them as they are. They have no special meaning within JSON or to a
//! shell, and the bodies have no text that a client or an upstream may choose freely.

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

/// The `error` of a body for a request that was not forwarded.
const DENIED: &str = "denied_by_policy";
/// The `error` of a body for a request that the policy allowed and its upstream did not answer.
const FAILED: &str = "upstream_failure";
/// The `error` of a body for bytes that are not a valid request.
const INVALID: &str = "invalid_request";

/// Matches every other 400 of Envoy. The filter's answers have no response code details, and Envoy's own have. The
/// decision log has the same rule.
const ANY_OTHER_400: &str = "response.code == 400 && response.code_details != ''";

/// The host of a body if the policy filter has not seen the request: the client could choose it freely, so the body
/// omits it.
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

/// Maps an answer to a request that the policy allowed and its upstream did not answer completely, or that Envoy
/// refused before the filter because it is short of memory.
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
    reply(filter, FAILED, &request, failure.reason, failure.hint())
}

/// Maps an answer to bytes that are not a request for the filter.
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
        // The text is a format, in which `%` begins an operator.
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
