//! Compares the path of a request with the paths of rules.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use core::cell::OnceCell;

use crate::effect::Effect;
use crate::github_api::writes_elsewhere;
use crate::path::Path;
use crate::path::readings::Readings;
use crate::wire::{Image, RuleRecord};

/// A path with its readings, which are computed for the first rule that needs them.
pub(super) struct SeenPath<'a> {
    /// `None` if the path is ambiguous.
    canonical: Option<&'a Path<'a>>,
    raw: &'a [u8],
    readings: OnceCell<Option<Readings>>,
    spaced: OnceCell<Option<Readings>>,
}

impl<'a> SeenPath<'a> {
    pub(super) fn new(canonical: Option<&'a Path<'a>>, raw: &'a [u8]) -> SeenPath<'a> {
        SeenPath { canonical, raw, readings: OnceCell::new(), spaced: OnceCell::new() }
    }

    fn readings(&self) -> Option<&Readings> {
        self.readings.get_or_init(|| Readings::several(self.canonical, self.raw)).as_ref()
    }

    /// Returns the readings of servers that take each `+` for a space, as in a form; `None` if the path has no `+`.
    fn spaced(&self) -> Option<&Readings> {
        self.spaced.get_or_init(|| Readings::with_spaces(self.raw)).as_ref()
    }

    /// Returns whether the paths of a rule match; `None` if the answer depends on the reading.
    ///
    /// A reading never makes an allow rule wider or a deny rule narrower: the canonical path's result against the
    /// request remains. Servers that drop parameters are common, so a deny rule matches a path with a canonical form
    /// if any one reading matches. Only deny rules count the readings with spaces: a `+` is an ordinary character of
    /// many paths.
    pub(super) fn fits(&self, image: &Image, rule: &RuleRecord) -> Option<bool> {
        let fits = self.fits_as_sent(image, rule);
        let is_spaced =
            || self.spaced().is_some_and(|readings| readings.any(|path| image.path_matches(rule, path)));
        match rule.effect {
            Effect::Deny if fits != Some(true) && is_spaced() => self.canonical.map(|_| true),
            Effect::Deny | Effect::Allow => fits,
        }
    }

    fn fits_as_sent(&self, image: &Image, rule: &RuleRecord) -> Option<bool> {
        let matches = |path: &[u8]| image.path_matches(rule, path);
        let Some(readings) = self.readings() else {
            return Some(self.canonical.is_some_and(|path| matches(path.as_bytes())));
        };
        let canonical = readings.canonical().map(matches);
        match (rule.effect, canonical) {
            (Effect::Deny, Some(true)) => Some(true),
            (Effect::Deny, _) if self.canonical.is_some() && readings.any(matches) => Some(true),
            (Effect::Deny, _) => readings.agree(matches),
            (Effect::Allow, Some(false)) => Some(false),
            (Effect::Allow, _) => readings.agree(|path| matches(path) || self.is_named(image, rule, path)),
        }
    }

    /// Returns whether the path is one of GitHub's REST API that writes outside the repository in it; `None` if the
    /// answer depends on the reading.
    pub(super) fn writes_elsewhere(&self) -> Option<bool> {
        match self.readings() {
            Some(readings) => readings.agree(writes_elsewhere),
            None => self.canonical.map(|path| writes_elsewhere(path.as_bytes())),
        }
    }

    /// Returns whether the reading lacks only parameters that an allow rule names explicitly.
    fn is_named(&self, image: &Image, rule: &RuleRecord, reading: &[u8]) -> bool {
        let canonical = self.canonical.map(Path::as_bytes).filter(|path| path.contains(&b';'));
        canonical.is_some_and(|path| !reading.contains(&b';') && image.parameters_match(rule, path))
    }
}
