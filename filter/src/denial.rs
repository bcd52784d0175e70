//! The response to a denied request, which tells a person or an agent the reason and the next step.

use crate::hostcalls::LocalResponse;
use crate::judged_request::JudgedRequest;
use std::borrow::Cow;
use std::fmt::Write;
use weir_contract::json::Object;
use weir_contract::record::{HOST_LIMIT, METHOD_LIMIT, PATH_LIMIT};
use weir_contract::{header, proxy_status};
use weir_policy::{Authority, Reason, Rule};

/// The header that a 407 must have (RFC 9110, 11.7.1).
const CHALLENGE: (&str, &str) = ("proxy-authenticate", "Basic realm=\"weir\"");

/// Composes the response to a denied request.
pub fn response(judged: &JudgedRequest<'_>) -> LocalResponse {
    let reason = judged.decision.reason;
    let rego_denial = judged.rego_denial();
    let own = [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        (header::DECISION, reason.as_str()),
    ];
    let challenge = (reason == Reason::ProxyCredentialsRequired).then_some(CHALLENGE);
    let own = own.into_iter().chain(challenge);
    let own = own.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
    let proxy_status = proxy_status::value(reason.proxy_error(), reason.as_str());
    let notice = format!("{} ({}): {}", kind(reason).1, reason.as_str(), reason.hint());
    let own = own.chain([
        (Cow::Borrowed(proxy_status::NAME), Cow::Owned(proxy_status)),
        (Cow::Borrowed(header::NPM_NOTICE), Cow::Owned(notice)),
    ]);
    let from_rego = rego_denial.iter().flat_map(|denial| denial.headers.clone());
    LocalResponse {
        status: rego_denial.and_then(|denial| denial.status).unwrap_or(reason.status()),
        headers: own.chain(from_rego.map(|(name, value)| (name.into(), value.into()))).collect(),
        body: body(judged),
    }
}

/// The type of an error, and the words for it.
fn kind(reason: Reason) -> (&'static str, &'static str) {
    if reason == Reason::MalformedRequest {
        ("invalid_request", "invalid request")
    } else if reason == Reason::Overloaded {
        // As in Envoy's own responses: the policy allowed the request.
        ("upstream_failure", "upstream failure")
    } else {
        ("denied_by_policy", "denied by policy")
    }
}

/// Composes the body. `error.message` and `message` are one text: clients of OpenAI and Google print the first, `gh`, Yarn
/// and the JavaScript client of Anthropic the second.
fn body(judged: &JudgedRequest<'_>) -> Vec<u8> {
    let decision = &judged.decision;
    let mut body = Object::new();
    let (kind, said) = kind(decision.reason);
    let (reason, hint) = (decision.reason.as_str(), hint(judged));
    let message = format!("{said} ({reason}): {hint}");
    body.object("error", |error| {
        error.text("type", kind).text("code", reason).sentence("message", &message);
    })
    .sentence("message", &message)
    .text("reason", reason)
    .optional_text("rule", decision.rule.as_ref().map(Rule::id))
    .bytes("host", judged.host(), HOST_LIMIT)
    .bytes("method", &judged.facts.method, METHOD_LIMIT)
    .bytes("path", judged.path(), PATH_LIMIT)
    .text("decision_id", judged.id.text().as_str())
    .sentence("hint", &hint);
    if let Some(denial) = judged.rego_denial() {
        for (key, text) in [("rego_reason", &denial.reason), ("rego_body", &denial.body)] {
            if let Some(text) = text {
                body.text(key, text);
            }
        }
    }
    let mut body = body.finish();
    body.push(b'\n');
    body
}

/// Composes the hint: the part of the request that it is about, the reason's hint, and the rule. The text is safe to show,
/// because a canonical host, a rule's id and a valid method contain no single quote.
fn hint(judged: &JudgedRequest<'_>) -> String {
    let decision = &judged.decision;
    let mut hint = String::with_capacity(256);
    if let Some(authority) = &decision.authority {
        let Authority { host, port } = authority;
        let method =
            String::from_utf8_lossy(judged.facts.method.get(..METHOD_LIMIT).unwrap_or(&judged.facts.method));
        // Writing to a String cannot fail.
        let _ = match decision.reason {
            Reason::HostNotAllowed | Reason::TlsNotAllowed | Reason::AddressLiteral => {
                write!(hint, "'{host}': ")
            }
            Reason::PortNotAllowed => write!(hint, "port {port} of '{host}': "),
            Reason::SchemeNotAllowed if judged.facts.claims_https_without_tls() => {
                return format!(
                    "https to '{host}' in the clear is not sent on: ask the proxy for a CONNECT, and use TLS inside"
                );
            }
            Reason::SchemeNotAllowed => write!(hint, "{} to '{host}': ", judged.facts.scheme().as_str()),
            Reason::MethodNotAllowed => write!(hint, "{method} to '{host}': "),
            Reason::PathNotAllowed => write!(hint, "this path of '{host}': "),
            Reason::Allowed
            | Reason::OpenMode
            | Reason::DeniedByRule
            | Reason::DeniedByRego
            | Reason::RegoError
            | Reason::InvalidHost
            | Reason::InvalidMethod
            | Reason::AmbiguousPath
            | Reason::MissingSni
            | Reason::SniMismatch
            | Reason::TunnelMismatch
            | Reason::ProxyCredentialsRequired
            | Reason::PolicyMissing
            | Reason::FilterFailure
            | Reason::AddressNotAllowed
            | Reason::DnsFailure
            | Reason::CertificateNotVerified
            | Reason::UpstreamUnreachable
            | Reason::MalformedRequest
            | Reason::RequestTooLarge
            | Reason::UnsupportedRequest
            | Reason::Overloaded => Ok(()),
        };
    }
    hint.push_str(decision.reason.hint());
    if let Some(rule) = &decision.rule {
        let _ = write!(hint, " (rule '{}')", rule.id());
    }
    hint
}

#[cfg(test)]
mod tests;
