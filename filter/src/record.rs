//! The decision record in the request's filter state, for the access log and the decision log.

use crate::hostcalls::{FailedCall, Hostcalls};
use crate::ruling::Ruling;
use crate::upstream;
use weir_contract::filter_state::RECORD;
use weir_contract::record::{RecordFields, UpstreamAddress};
use weir_policy::{Decision, Effect, Rule};

/// Leaves the record of a ruling with its request.
pub fn export(host: &impl Hostcalls, ruling: &Ruling<'_>) -> Result<(), FailedCall> {
    host.set_filter_state(RECORD, &encode(ruling))
}

fn encode(ruling: &Ruling<'_>) -> Vec<u8> {
    let Decision { effect, reason, rule, authority, would_deny, address_set: _, upstream: _ } =
        &ruling.decision;
    let own = ruling.upstream();
    let own = own.as_ref().zip(authority.as_ref());
    RecordFields {
        effect: *effect,
        reason: *reason,
        rule: rule.as_ref().map(Rule::id),
        decision_id: ruling.id.text().as_str(),
        policy_version: ruling.policy_version,
        host: ruling.host(),
        port: authority.map(|authority| authority.port),
        scheme: ruling.facts.scheme(),
        method: &ruling.facts.method,
        path: ruling.path(),
        upstream: own.map(|(upstream, authority)| UpstreamAddress {
            host: upstream.host().unwrap_or(authority.host.as_str()),
            port: upstream.port().unwrap_or(authority.port),
        }),
        sni: own
            .filter(|_| *effect == Effect::Allow)
            .and_then(|(upstream, authority)| upstream::server_name(ruling.facts, upstream, authority)),
        rego_reason: ruling.rego_denial().and_then(|denial| Some(denial.reason.as_ref()?.as_bytes())),
        would_deny: *would_deny,
    }
    .encode()
}
