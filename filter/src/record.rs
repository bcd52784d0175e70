//! The decision record in the request's filter state, for the access log and the decision log.

use crate::hostcalls::{FailedCall, Hostcalls};
use crate::judged_request::JudgedRequest;
use crate::upstream;
use weir_contract::filter_state::RECORD;
use weir_contract::record::{RecordFields, UpstreamAddress};
use weir_policy::{Decision, Effect, Rule};

/// Writes the decision record into the request's filter state.
pub fn export(host: &impl Hostcalls, judged: &JudgedRequest<'_>) -> Result<(), FailedCall> {
    host.set_filter_state(RECORD, &encode(judged))
}

fn encode(judged: &JudgedRequest<'_>) -> Vec<u8> {
    let Decision { effect, reason, rule, authority, would_deny, address_set: _, upstream: _ } =
        &judged.decision;
    let own = judged.upstream();
    let own = own.as_ref().zip(authority.as_ref());
    RecordFields {
        effect: *effect,
        reason: *reason,
        rule: rule.as_ref().map(Rule::id),
        decision_id: judged.id.text().as_str(),
        policy_version: judged.policy_version,
        host: judged.host(),
        port: authority.map(|authority| authority.port),
        scheme: judged.facts.scheme(),
        method: &judged.facts.method,
        path: judged.path(),
        upstream: own.map(|(upstream, authority)| UpstreamAddress {
            host: upstream.host().unwrap_or(authority.host.as_str()),
            port: upstream.port().unwrap_or(authority.port),
        }),
        sni: own
            .filter(|_| *effect == Effect::Allow)
            .and_then(|(upstream, authority)| upstream::server_name(judged.facts, upstream, authority)),
        rego_reason: judged.rego_denial().and_then(|denial| Some(denial.reason.as_ref()?.as_bytes())),
        would_deny: *would_deny,
    }
    .encode()
}
