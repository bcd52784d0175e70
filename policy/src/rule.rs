//! A rule, as decisions refer to it.

use crate::effect::Effect;
use crate::mode::Mode;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::upstream::Upstream;
use crate::wire::{Image, RuleRecord};

/// A rule of a policy.
#[derive(Clone, Copy)]
pub struct Rule<'p> {
    image: &'p Image,
    index: u16,
}

impl<'p> Rule<'p> {
    pub(crate) fn new(image: &'p Image, index: u16) -> Rule<'p> {
        Rule { image, index }
    }

    fn record(&self) -> Option<RuleRecord> {
        self.image.rule(self.index)
    }

    /// The rule's `id`, or the data key that it was made from. It consists of ASCII letters, digits, `-`, `_`, `.`
    /// and `/`.
    #[must_use]
    pub fn id(&self) -> &'p str {
        self.record().map_or("", |record| self.image.rule_id(&record))
    }

    /// The rule's position in the policy: data keys first, then `rules` in the document's order.
    #[must_use]
    pub fn index(&self) -> usize {
        usize::from(self.index)
    }

    /// The effect of a match.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.record().map_or(Effect::Deny, |record| record.effect)
    }

    /// The mode for requests that this rule denies, and for unmatched requests to which it came nearest.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.record().map_or(Mode::Enforce, |record| record.mode)
    }

    /// The treatment of TLS connections to the rule's hosts.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.record().map_or(Tls::Intercept, |record| record.tls)
    }

    /// The schemes that the rule covers.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> + use<> {
        let schemes = self.record().map_or(0, |record| record.schemes);
        Scheme::ALL.into_iter().filter(move |scheme| schemes & scheme.bit() != 0)
    }

    /// The rule's own upstream, if it has one.
    #[must_use]
    pub fn upstream(&self) -> Option<Upstream<'p>> {
        let record = self.image.upstream(self.upstream_number()?)?;
        Some(Upstream::new(self.image, record))
    }

    /// The index of [`Rule::upstream`] in [`crate::Policy::upstreams`].
    #[must_use]
    pub fn upstream_number(&self) -> Option<u16> {
        self.record().and_then(|record| record.upstream)
    }

    /// The index of the rule's addresses in [`crate::Policy::address_sets`], if it lists any.
    #[must_use]
    pub fn address_set(&self) -> Option<u16> {
        self.record().and_then(|record| record.addresses)
    }
}

impl PartialEq for Rule<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.image.checksum() == other.image.checksum()
    }
}

impl Eq for Rule<'_> {}

impl core::fmt::Debug for Rule<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rule").field("index", &self.index).field("id", &self.id()).finish()
    }
}
