//! A rule, as decisions refer to it.

use crate::decision::Effect;
use crate::mode::Mode;
use crate::policy::Policy;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::upstream::Upstream;

/// A rule of a policy.
#[derive(Clone, Copy)]
pub struct Rule<'p> {
    policy: &'p Policy,
    index: u16,
}

impl<'p> Rule<'p> {
    pub(crate) fn new(policy: &'p Policy, index: u16) -> Rule<'p> {
        Rule { policy, index }
    }

    /// The rule's `id`, or the data key that it was made from. It consists of ASCII letters, digits, `-`, `_`, `.`
    /// and `/`.
    #[must_use]
    pub fn id(&self) -> &'p str {
        self.policy.image().rule(self.index).map_or("", |record| self.policy.image().rule_id(&record))
    }

    /// The rule's position in the policy: data keys first, then `rules` in the document's order.
    #[must_use]
    pub fn index(&self) -> usize {
        usize::from(self.index)
    }

    /// The effect of a match.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.policy.image().rule(self.index).map_or(Effect::Deny, |record| record.effect)
    }

    /// The mode for requests that this rule denies, and for unmatched requests to which it came nearest.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.policy.image().rule(self.index).map_or(Mode::Enforce, |record| record.mode)
    }

    /// The treatment of TLS connections to the rule's hosts.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.policy.image().rule(self.index).map_or(Tls::Intercept, |record| record.tls)
    }

    /// The schemes that the rule covers.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> + use<> {
        let schemes = self.policy.image().rule(self.index).map_or(0, |record| record.schemes);
        Scheme::ALL.into_iter().filter(move |scheme| schemes & scheme.bit() != 0)
    }

    /// The rule's own upstream, if it has one.
    #[must_use]
    pub fn upstream(&self) -> Option<Upstream<'p>> {
        let record = self.policy.image().upstream(self.upstream_number()?)?;
        Some(Upstream::new(self.policy.image(), record))
    }

    /// The index of [`Rule::upstream`] in [`Policy::upstreams`].
    #[must_use]
    pub fn upstream_number(&self) -> Option<u16> {
        self.policy.image().rule(self.index).and_then(|record| record.upstream)
    }

    /// The index of the rule's addresses in [`Policy::address_sets`], if it lists any.
    #[must_use]
    pub fn address_set(&self) -> Option<u16> {
        self.policy.image().rule(self.index).and_then(|record| record.addresses)
    }
}

impl PartialEq for Rule<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.policy.version() == other.policy.version()
    }
}

impl Eq for Rule<'_> {}

impl core::fmt::Debug for Rule<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rule").field("index", &self.index).field("id", &self.id()).finish()
    }
}
