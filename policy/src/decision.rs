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
    /// Why; [`Reason::Allowed`] exactly when the effect is allow.
    pub reason: Reason,
    /// The rule that allowed or denied, or for a miss the allow rule that came nearest.
    pub rule: Option<Rule<'p>>,
    /// The canonical host and port, when the authority could be read.
    pub authority: Option<Authority>,
}

impl<'p> Decision<'p> {
    pub(crate) fn allow(rule: Rule<'p>, authority: Authority) -> Decision<'p> {
        Decision {
            effect: Effect::Allow,
            reason: Reason::Allowed,
            rule: Some(rule),
            authority: Some(authority),
        }
    }

    pub(crate) fn deny(reason: Reason, rule: Option<Rule<'p>>, authority: Option<Authority>) -> Decision<'p> {
        Decision { effect: Effect::Deny, reason, rule, authority }
    }
}
