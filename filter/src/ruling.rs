//! A decision together with what it was made on: the source of the answer, the record and the count.

use crate::decision_id::DecisionId;
use crate::facts::Facts;
use crate::rego::Words;
use weir_policy::{Decision, Reason, Upstream};

/// Longest method that is shown.
pub(crate) const METHOD_LIMIT: usize = 32;
/// Longest host that is shown, in bytes of the authority as it was sent.
pub(crate) const HOST_LIMIT: usize = 256;
/// Longest path that is shown.
pub(crate) const PATH_LIMIT: usize = 256;

/// What was decided on a request.
#[derive(Debug)]
pub struct Ruling<'a> {
    /// Names it.
    pub id: DecisionId,
    /// The policy that decided; none if there is none.
    pub policy_version: Option<&'a str>,
    /// The request.
    pub facts: &'a Facts<'a>,
    /// Effect, reason and rule.
    pub decision: Decision<'a>,
    /// What the Rego policy said to its denial.
    pub words: Option<Words>,
}

impl<'a> Ruling<'a> {
    /// Where its rule sends it instead of to its host.
    pub fn upstream(&self) -> Option<Upstream<'a>> {
        self.decision.upstream.and(self.decision.rule?.upstream())
    }

    /// The canonical host; where the authority names none, the authority as it was sent.
    pub fn host(&self) -> &[u8] {
        self.decision.authority.as_ref().map_or(&self.facts.authority, |authority| authority.host.as_bytes())
    }

    /// What the Rego policy said, if that is why the request is denied.
    pub fn words(&self) -> Option<&Words> {
        self.words.as_ref().filter(|_| self.decision.reason == Reason::DeniedByRego)
    }

    /// The path as it was sent, without its query: queries carry secrets.
    pub fn path(&self) -> &[u8] {
        self.facts.path.split(|byte| *byte == b'?').next().unwrap_or_default()
    }
}
