//! The trace of an evaluation, for people.

use super::judge::{Observer, RuleOutcome};
use super::{Policy, candidates};
use crate::authority::Authority;
use crate::host::Host;
use crate::host_pattern::HostPattern;
use crate::path::Path;
use crate::rule::Rule;

/// One rule that was evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'p> {
    /// The rule.
    pub rule: Rule<'p>,
    /// The first property that differed, or a match.
    pub outcome: RuleOutcome,
}

/// The evaluated rules and further hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace<'p> {
    /// All rules for the host, in the document's order, without duplicates. Empty if the request was denied before
    /// any rule was evaluated, or if no rule names the host.
    pub steps: Vec<Step<'p>>,
    /// The canonical path, percent-encoded. `None` if the request was denied earlier, or if an encoded separator or
    /// escape makes the path ambiguous.
    pub path: Option<String>,
    /// Patterns of the policy that almost match the host: a name above it, the names below it, or a name that differs
    /// by `www.`. They did not influence the decision.
    pub near: Vec<HostPattern>,
}

impl<'p> Observer<'p> for Trace<'p> {
    fn path(&mut self, path: &Path<'_>) {
        self.path = Some(path.to_string());
    }

    fn rule(&mut self, rule: Rule<'p>, outcome: RuleOutcome) {
        let place = self.steps.binary_search_by_key(&rule.index(), |step| step.rule.index());
        if let Err(place) = place {
            self.steps.insert(place, Step { rule, outcome });
        }
    }
}

impl<'p> Trace<'p> {
    pub(super) fn find_near(&mut self, policy: &'p Policy, authority: Option<&Authority>) {
        let Some(host) = authority.map(|authority| authority.host).filter(|host| !host.is_address()) else {
            return;
        };
        let name = host.as_str();
        let www = match name.strip_prefix("www.") {
            Some(bare) => bare.to_owned(),
            None => format!("www.{name}"),
        };
        let parse = |name: &str| Host::parse(name.as_bytes()).ok();
        let wanted = [Some(HostPattern::Below(host)), parse(&www).map(HostPattern::Exact)].into_iter();
        let above = candidates::parents(&host).map(|parent| parse(parent.name).map(HostPattern::Exact));
        for pattern in wanted.chain(above).flatten() {
            if policy.image().names(&pattern) && !self.near.contains(&pattern) {
                self.near.push(pattern);
            }
        }
    }
}
