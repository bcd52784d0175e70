//! What a policy says of a request.

use crate::authority::Authority;
use crate::reason::Reason;
use crate::rule::Rule;

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It goes out.
    Allow,
    /// It is answered here.
    Deny,
}

impl Effect {
    /// `allow` or `deny`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        }
    }
}

impl core::fmt::Display for Effect {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The effect, why, and by which rule.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'p> {
    /// Whether the request goes out.
    pub effect: Effect,
    /// Why. Of a request that goes out [`Reason::Allowed`] or [`Reason::OpenMode`], or, where it would be denied, why it
    /// would be.
    pub reason: Reason,
    /// The rule that allowed or denied, or would; for a miss the allow rule that came nearest.
    pub rule: Option<Rule<'p>>,
    /// The canonical host and port, when the authority could be read.
    pub authority: Option<Authority>,
    /// The request goes out because of [`crate::Mode::Report`], and would be denied otherwise. Only with
    /// [`Effect::Allow`].
    pub would_deny: bool,
    /// The position in [`crate::Policy::address_sets`] of the addresses that the name may resolve to although they are
    /// not public, of the rule by which the request goes out. Not always `rule`'s: that may be one that would deny.
    pub address_set: Option<u16>,
    /// The position in [`crate::Policy::upstreams`] of where it goes, of the same rule; none of a denial.
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

    /// A denial, of a request whose authority could be read or not.
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

    /// The same request, denied for another reason: what is known outside the policy forbids it.
    #[must_use]
    pub fn overruled(self, reason: Reason) -> Decision<'p> {
        Decision::deny(reason, self.rule, self.authority)
    }
}
