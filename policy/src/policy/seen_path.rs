//! The path of a request, held against the paths of rules.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use core::cell::OnceCell;

use crate::decision::Effect;
use crate::github_api::writes_elsewhere;
use crate::path::Path;
use crate::path::readings::Readings;
use crate::wire::{Image, RuleRecord};

/// A path and its readings, which are made for the first rule that asks for them.
pub(super) struct SeenPath<'a> {
    /// None when the path is undecided.
    canonical: Option<&'a Path<'a>>,
    raw: &'a [u8],
    readings: OnceCell<Option<Readings>>,
}

impl<'a> SeenPath<'a> {
    pub(super) fn new(canonical: Option<&'a Path<'a>>, raw: &'a [u8]) -> SeenPath<'a> {
        SeenPath { canonical, raw, readings: OnceCell::new() }
    }

    fn readings(&self) -> Option<&Readings> {
        self.readings.get_or_init(|| Readings::several(self.canonical, self.raw)).as_ref()
    }

    /// Whether the paths of a rule match; none when that depends on the reading.
    ///
    /// An allow rule is never wider for a reading, and a deny rule never narrower: what the canonical path says against
    /// the request stands. A server that drops parameters is no stranger to a deny rule, so one reading of a path that is
    /// decided is enough for it to match.
    pub(super) fn fits(&self, image: &Image, rule: &RuleRecord) -> Option<bool> {
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

    /// Whether the path is one of GitHub's REST API that writes to something else than the repository in it; none when
    /// that depends on the reading.
    pub(super) fn writes_elsewhere(&self) -> Option<bool> {
        match self.readings() {
            Some(readings) => readings.agree(writes_elsewhere),
            None => self.canonical.map(|path| writes_elsewhere(path.as_bytes())),
        }
    }

    /// Whether a reading has lost the parameters that an allow rule names itself.
    fn is_named(&self, image: &Image, rule: &RuleRecord, reading: &[u8]) -> bool {
        let canonical = self.canonical.map(Path::as_bytes).filter(|path| path.contains(&b';'));
        canonical.is_some_and(|path| !reading.contains(&b';') && image.parameters_match(rule, path))
    }
}
