//! Faults about two rules of a document, each at the id of one of them.

use std::ops::Range;

use super::coverage::Shadow;
use super::overlap::Overlap;
use crate::effect::Effect;
use crate::fault::{At, Collector};
use crate::resolved_rule::ResolvedRule;
use crate::source_lines::SourceLines;
use crate::tls::Tls;

/// The resolved rules, with the places of their ids.
pub(super) struct Diagnostics<'r> {
    rules: &'r [ResolvedRule<'r>],
    /// The position of the first entry of `rules` in the document. Earlier rules come from data keys.
    first: usize,
    ids: Vec<Range<usize>>,
    /// The line of each id, from 1.
    lines: Vec<usize>,
}

/// The number of rules that a fault names. It counts the others.
const NAMED: usize = 3;

impl<'r> Diagnostics<'r> {
    pub(super) fn new(
        source: &str,
        rules: &'r [ResolvedRule<'r>],
        first: usize,
        ids: Vec<Range<usize>>,
    ) -> Diagnostics<'r> {
        let lines = SourceLines::new(source);
        let lines = ids.iter().map(|id| lines.line_column(id.start).line).collect();
        Diagnostics { rules, first, ids, lines }
    }

    fn id(&self, position: usize) -> Option<(usize, &Range<usize>)> {
        position.checked_sub(self.first).and_then(|index| Some((index, self.ids.get(index)?)))
    }

    /// Names a rule in a fault's message: by its id, and by its place unless it comes from a data key.
    fn name(&self, position: usize) -> String {
        let id = self.rules.get(position).map_or("", |rule| &rule.id);
        let Some((index, _)) = self.id(position) else { return format!("`{id}`") };
        let line = self.lines.get(index).copied().unwrap_or_default();
        format!("`{id}` (`rules[{index}]`, line {line})")
    }

    fn report(&self, position: usize, message: String, help: String, faults: &mut Collector) {
        let Some((index, span)) = self.id(position) else { return };
        let at = At::Key(&At::Root, "rules");
        faults.report(span.clone(), &At::Key(&At::Index(&at, index), "id"), message, Some(help));
    }

    pub(super) fn report_overlap(&self, overlap: Overlap<'_>, faults: &mut Collector) {
        let Overlap { passes, intercepts, host } = overlap;
        let Some(rule) = self.rules.get(passes) else { return };
        let (id, other) = (&rule.id, self.name(intercepts));
        let message = format!("`{id}` passes `{host}` through, and {other} judges its requests");
        let help =
            "a connection is either intercepted or passed through: remove the host from one of the two rules";
        self.report(passes, message, help.to_owned(), faults);
    }

    pub(super) fn report_shadow(&self, shadow: Shadow, faults: &mut Collector) {
        let Shadow { rule: position, by } = shadow;
        let Some(rule) = self.rules.get(position) else { return };
        let others: Vec<&ResolvedRule<'_>> = by.iter().filter_map(|by| self.rules.get(*by)).collect();
        let mut names: Vec<String> = by.iter().take(NAMED).map(|by| self.name(*by)).collect();
        if let Some(more @ 1..) = by.len().checked_sub(NAMED) {
            names.push(format!("and {more} more"));
        }
        let (id, other_name) = (&rule.id, names.join(", "));
        let only_denied = others.iter().all(|other| other.effect == Effect::Deny);
        let (message, help) = match (rule.effect, others.as_slice()) {
            (Effect::Allow, denying) if only_denied => {
                let help = match rule.tls {
                    Tls::Intercept => "remove one of them, or make the deny rule narrower",
                    Tls::Passthrough => {
                        "give the deny rule `hosts`: requests inside a passed-through connection are not visible, so a deny rule that could match one of them denies the connection"
                    }
                };
                let denies = if denying.len() > 1 { "deny all of it together" } else { "denies all of it" };
                (format!("`{id}` can never allow: {other_name} {denies}"), help.to_owned())
            }
            (_, [other]) => (
                format!("`{id}` can never decide: {other_name} covers all of it and comes first"),
                format!(
                    "remove the rule; or, if it is an exception from `{0}`, put it before `{0}`",
                    other.id
                ),
            ),
            (_, _) => (
                format!("`{id}` can never decide: {other_name} cover all of it together and come first"),
                "remove the rule; or, if it is an exception from them, put it before them".to_owned(),
            ),
        };
        self.report(position, message, help, faults);
    }
}
