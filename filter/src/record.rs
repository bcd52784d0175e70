//! The decision record: one line of JSON in the request's filter state, for the access log and the decision log.

use crate::hostcalls::{FailedCall, Hostcalls};
use crate::json::Object;
use crate::ruling::{HOST_LIMIT, METHOD_LIMIT, PATH_LIMIT, Ruling};
use weir_contract::filter_state::RECORD;
use weir_policy::{Decision, Rule};

/// Leaves the record of a ruling with its request.
pub fn export(host: &impl Hostcalls, ruling: &Ruling<'_>) -> Result<(), FailedCall> {
    host.set_filter_state(RECORD, &encode(ruling))
}

/// The record: a JSON object with these keys in this order, `upstream` only where the rule has one, `rego_reason` only
/// where the Rego policy gave one, and `would_deny` only where it is true.
fn encode(ruling: &Ruling<'_>) -> Vec<u8> {
    let Decision { effect, reason, rule, authority, would_deny, address_set: _, upstream: _ } =
        &ruling.decision;
    let mut record = Object::new();
    record
        .text("effect", effect.as_str())
        .text("reason", reason.as_str())
        .optional_text("rule", rule.as_ref().map(Rule::id))
        .text("decision_id", ruling.id.text().as_str())
        .optional_text("policy_version", ruling.policy_version)
        .bytes("host", ruling.host(), HOST_LIMIT)
        .optional_number("port", authority.map(|authority| authority.port))
        .text("scheme", ruling.facts.scheme().as_str())
        .bytes("method", &ruling.facts.method, METHOD_LIMIT)
        .bytes("path", ruling.path(), PATH_LIMIT);
    if let (Some(upstream), Some(authority)) = (ruling.upstream(), authority) {
        let (host, port) =
            (upstream.host().unwrap_or(authority.host.as_str()), upstream.port().unwrap_or(authority.port));
        record.text("upstream", &format!("{host}:{port}"));
    }
    if let Some(reason) = ruling.rego_denial().and_then(|denial| denial.reason.as_ref()) {
        record.bytes("rego_reason", reason.as_bytes(), PATH_LIMIT);
    }
    if *would_deny {
        record.truth("would_deny");
    }
    record.finish()
}
