//! What an evaluation went through, for people.

use super::judge::{Observer, Outcome};
use super::{Policy, candidates};
use crate::authority::Authority;
use crate::host::Host;
use crate::host_pattern::HostPattern;
use crate::path::Path;
use crate::rule::Rule;

/// One rule that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'p> {
    /// The rule.
    pub rule: Rule<'p>,
    /// How far it came.
    pub outcome: Outcome,
}

/// The rules that were asked, and what else may help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace<'p> {
    /// Every rule for the host, in the document's order, once each. Empty when the request was refused before any rule
    /// was asked, or no rule names the host.
    pub steps: Vec<Step<'p>>,
    /// The canonical path, percent-encoded; none when the request was refused before, or when the path is undecided
    /// because of an encoded separator or escape.
    pub path: Option<String>,
    /// Patterns of the policy that nearly name the host: a name above it, everything below it, or a name beside it
    /// that differs by `www.`. They had no part in the decision.
    pub near: Vec<HostPattern>,
}

impl<'p> Observer<'p> for Trace<'p> {
    fn path(&mut self, path: &Path<'_>) {
        self.path = Some(path.to_string());
    }

    fn rule(&mut self, rule: Rule<'p>, outcome: Outcome) {
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
