//! The decision record: one line of JSON in the request's filter state, for the access log and the decision log.

use crate::hostcalls::{FailedCall, Hostcalls};
use crate::json::Object;
use crate::ruling::{HOST_LIMIT, METHOD_LIMIT, PATH_LIMIT, Ruling};
use weir_policy::Rule;

/// Becomes filter state `wasm.weir`, in an access log `%FILTER_STATE(wasm.weir:PLAIN)%`.
const KEY: &str = "weir";

/// Leaves the record of a ruling with its request.
pub fn export(host: &impl Hostcalls, ruling: &Ruling<'_>) -> Result<(), FailedCall> {
    host.set_property(KEY, &encode(ruling))
}

/// The record: a JSON object with these keys in this order.
fn encode(ruling: &Ruling<'_>) -> Vec<u8> {
    let decision = &ruling.decision;
    let version = ruling.policy_version.as_ref().map(ToString::to_string);
    Object::new()
        .text("effect", decision.effect.as_str())
        .text("reason", decision.reason.as_str())
        .optional_text("rule", decision.rule.as_ref().map(Rule::id))
        .text("decision_id", &ruling.id.to_string())
        .optional_text("policy_version", version.as_deref())
        .bytes("host", ruling.host(), HOST_LIMIT)
        .optional_number("port", decision.authority.map(|authority| authority.port))
        .text("scheme", ruling.facts.scheme().as_str())
        .bytes("method", &ruling.facts.method, METHOD_LIMIT)
        .bytes("path", ruling.path(), PATH_LIMIT)
        .finish()
}
