//! A decision together with the request that it is about: the source of the response, the record and the count.

use crate::decision_id::DecisionId;
use crate::facts::Facts;
use crate::rego::RegoDenial;
use weir_policy::{Decision, Reason, Upstream};

/// A request and the decision on it.
#[derive(Debug)]
pub struct JudgedRequest<'a> {
    /// The name of the decision.
    pub id: DecisionId,
    /// The version of the deciding policy; `None` if the filter has no policy.
    pub policy_version: Option<&'a str>,
    /// The request.
    pub facts: &'a Facts<'a>,
    /// The effect, the reason and the rule.
    pub decision: Decision<'a>,
    /// The Rego policy's own denial, which counts only if the request is denied for it.
    pub rego_denial: Option<RegoDenial>,
}

impl<'a> JudgedRequest<'a> {
    /// Returns the rule's own upstream, to which the request is forwarded in place of its host.
    pub fn upstream(&self) -> Option<Upstream<'a>> {
        self.decision.upstream.and(self.decision.rule?.upstream())
    }

    /// Returns the canonical host; if the authority names no host, the authority as it was sent.
    pub fn host(&self) -> &[u8] {
        self.decision.authority.as_ref().map_or(&self.facts.authority, |authority| authority.host.as_bytes())
    }

    /// Returns the Rego policy's denial, if the request is denied for it.
    pub fn rego_denial(&self) -> Option<&RegoDenial> {
        self.rego_denial.as_ref().filter(|_| self.decision.reason == Reason::DeniedByRego)
    }

    /// Returns the path as it was sent, without its query: queries carry secrets.
    pub fn path(&self) -> &[u8] {
        self.facts.path.split(|byte| *byte == b'?').next().unwrap_or_default()
    }
}
