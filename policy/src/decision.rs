//! The policy's decision about a request.

use crate::authority::Authority;
use crate::effect::Effect;
use crate::reason::Reason;
use crate::rule::Rule;

/// A decision: its effect, its reason, and the rule behind it.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'p> {
    /// Whether Envoy forwards the request.
    pub effect: Effect,
    /// The reason. For a request that is forwarded, it is [`Reason::Allowed`] or [`Reason::OpenMode`], or, in report
    /// mode, the reason for which it would be denied.
    pub reason: Reason,
    /// The rule that allows or denies the request, or would deny it in report mode. For a request that no rule
    /// matches, the allow rule that came nearest.
    pub rule: Option<Rule<'p>>,
    /// The canonical host and port, if the authority was valid.
    pub authority: Option<Authority>,
    /// Whether only [`crate::Mode::Report`] allows the request, which would otherwise be denied. True only with
    /// [`Effect::Allow`].
    pub would_deny: bool,
    /// The index in [`crate::Policy::address_sets`] of the non-public addresses that the name may resolve to. It
    /// belongs to the rule that allows the request, which may differ from `rule`: that may be a rule that would deny.
    pub address_set: Option<u16>,
    /// The index in [`crate::Policy::upstreams`] of the upstream that the allowing rule sets. A denial has none.
    pub upstream: Option<u16>,
}

impl<'p> Decision<'p> {
    pub(crate) fn allow(rule: Option<Rule<'p>>, reason: Reason, authority: Authority) -> Decision<'p> {
        Decision {
            effect: Effect::Allow,
            reason,
            rule,
            authority: Some(authority),
            would_deny: false,
            address_set: rule.and_then(|rule| rule.address_set()),
            upstream: rule.and_then(|rule| rule.upstream_number()),
        }
    }

    /// Creates a denial. `authority` is `None` if the request's authority was invalid.
    #[must_use]
    pub fn deny(reason: Reason, rule: Option<Rule<'p>>, authority: Option<Authority>) -> Decision<'p> {
        Decision {
            effect: Effect::Deny,
            reason,
            rule,
            authority,
            would_deny: false,
            address_set: None,
            upstream: None,
        }
    }

    /// Denies the request for another reason, which lies outside the policy.
    #[must_use]
    pub fn overruled(self, reason: Reason) -> Decision<'p> {
        Decision::deny(reason, self.rule, self.authority)
    }
}
