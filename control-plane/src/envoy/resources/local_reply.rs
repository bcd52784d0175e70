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
use weir_contract::{header, proxy_status};
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
        Answer {
            hint: "ask the proxy for a CONNECT, and use TLS inside",
            ..Answer::new(DENIED, Reason::SchemeNotAllowed)
        }
        .mapper(details(names::HTTPS_IN_THE_CLEAR)),
        Answer::new(DENIED, Reason::PolicyMissing).mapper(details(&format!(
            "{}[{}]",
            names::RBAC_DENIED,
            names::POLICY_MISSING
        ))),
        Answer { request: JUDGED_REQUEST, ..Answer::new(DENIED, Reason::AddressNotAllowed) }
            .mapper(details(&format!("{}[none]", names::RBAC_DENIED))),
    ];
    mappers.extend(UpstreamFailure::ALL.iter().map(failed));
    mappers.extend(InvalidRequest::ALL.iter().map(invalid));
    mappers.push(Answer::new(INVALID, Reason::MalformedRequest).mapper(cel(ANY_OTHER_400)));
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
    let judged = failure.sign != Sign::Details(names::OVERLOADED);
    let answer = Answer {
        error: FAILED,
        reason: failure.reason,
        proxy_error: failure.proxy_error(),
        cause: Some(failure.cause),
        request: if judged { JUDGED_REQUEST } else { UNJUDGED_REQUEST },
        hint: failure.hint(),
    };
    answer.mapper(filter)
}

/// Maps an answer to bytes that are not a request for the filter.
fn invalid(request: &InvalidRequest) -> ResponseMapper {
    ResponseMapper {
        status_code: number(u32::from(request.reason.status())),
        ..Answer::new(INVALID, request.reason).mapper(cel(&request.expression()))
    }
}

/// One answer of Envoy's own, in the form of the filter's denials (`filter/src/denial.rs`). Every text is plain: it means
/// nothing to JSON or to a shell.
struct Answer {
    error: &'static str,
    reason: Reason,
    proxy_error: &'static str,
    cause: Option<&'static str>,
    request: &'static str,
    hint: &'static str,
}

impl Answer {
    fn new(error: &'static str, reason: Reason) -> Self {
        let (proxy_error, hint) = (reason.proxy_error(), reason.hint());
        Self { error, reason, proxy_error, cause: None, request: UNJUDGED_REQUEST, hint }
    }

    /// The answer in one sentence, for clients that print one sentence.
    fn message(&self) -> String {
        let Self { error, hint, .. } = self;
        let (reason, said) = (self.reason.as_str(), error.replace('_', " "));
        let cause = self.cause.map(|cause| format!("{cause}; ")).unwrap_or_default();
        format!("{said} ({reason}): {cause}{hint}")
    }

    /// The answer's JSON as a format of Envoy.
    fn body(&self) -> String {
        let Self { error, request, hint, .. } = self;
        let (reason, message) = (self.reason.as_str(), self.message());
        let cause = self.cause.map(|cause| format!("\"cause\":\"{cause}\",")).unwrap_or_default();
        format!(
            "{{\"error\":{{\"type\":\"{error}\",\"code\":\"{reason}\",\
             \"message\":\"{message}\"}},\
             \"message\":\"{message}\",\"reason\":\"{reason}\",{cause}{request}\"hint\":\"{hint}\"}}\n"
        )
    }

    fn mapper(&self, filter: FilterSpecifier) -> ResponseMapper {
        let reason = self.reason.as_str();
        let add = |key: &str, value: String| HeaderValueOption {
            header: Some(HeaderValue { key: key.to_owned(), value, ..HeaderValue::default() }),
            ..HeaderValueOption::default()
        };
        ResponseMapper {
            filter: Some(AccessLogFilter { filter_specifier: Some(filter) }),
            body_format_override: Some(SubstitutionFormatString {
                content_type: "application/json".to_owned(),
                format: Some(Format::TextFormatSource(inline_string(self.body()))),
                ..SubstitutionFormatString::default()
            }),
            headers_to_add: vec![
                add(header::DECISION, reason.to_owned()),
                add(proxy_status::NAME, proxy_status::value(self.proxy_error, reason)),
                add(header::NPM_NOTICE, self.message()),
                add("cache-control", "no-store".to_owned()),
            ],
            ..ResponseMapper::default()
        }
    }
}

fn cel(expression: &str) -> FilterSpecifier {
    let config = ExpressionFilter { expression: expression.to_owned(), ..ExpressionFilter::default() };
    FilterSpecifier::ExtensionFilter(ExtensionFilter {
        name: "envoy.access_loggers.extension_filters.cel".to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(pack_any(config))),
    })
}
