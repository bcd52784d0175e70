//! Where the rules of a document stand, and faults that are about two of them.

use std::ops::Range;

use super::overlap::Overlap;
use super::shadow::Shadow;
use crate::decision::Effect;
use crate::fault::{At, Collector};
use crate::tls::Tls;
use crate::wire::writer::Draft;

/// The places of the ids of `rules`, which stand among the drafts behind the `first` rules of data keys.
pub(super) struct Places<'d> {
    drafts: &'d [Draft<'d>],
    first: usize,
    ids: Vec<Range<usize>>,
    /// The line of each id, from 1.
    lines: Vec<usize>,
}

/// Rules that a fault names; the rest is counted.
const NAMED: usize = 3;

impl<'d> Places<'d> {
    pub(super) fn new(
        source: &str,
        drafts: &'d [Draft<'d>],
        first: usize,
        ids: Vec<Range<usize>>,
    ) -> Places<'d> {
        let breaks: Vec<usize> = source.match_indices('\n').map(|(place, _)| place).collect();
        let line = |id: &Range<usize>| breaks.partition_point(|place| *place < id.start).saturating_add(1);
        let lines = ids.iter().map(line).collect();
        Places { drafts, first, ids, lines }
    }

    fn id(&self, rule: usize) -> Option<(usize, &Range<usize>)> {
        rule.checked_sub(self.first).and_then(|index| Some((index, self.ids.get(index)?)))
    }

    /// The rule in a fault's words: its id, and where it stands unless it is a data key.
    fn name(&self, rule: usize) -> String {
        let id = self.drafts.get(rule).map_or("", |draft| &draft.id);
        let Some((index, _)) = self.id(rule) else { return format!("`{id}`") };
        let line = self.lines.get(index).copied().unwrap_or_default();
        format!("`{id}` (`rules[{index}]`, line {line})")
    }

    fn report(&self, rule: usize, message: String, help: String, faults: &mut Collector) {
        let Some((index, span)) = self.id(rule) else { return };
        let at = At::Key(&At::Root, "rules");
        faults.report(span.clone(), &At::Key(&At::Index(&at, index), "id"), message, Some(help));
    }

    pub(super) fn refuse_overlap(&self, overlap: Overlap<'_>, faults: &mut Collector) {
        let Overlap { passes, opens, host } = overlap;
        let Some(draft) = self.drafts.get(passes) else { return };
        let (id, other) = (&draft.id, self.name(opens));
        let message = format!("`{id}` passes `{host}` through, and {other} judges its requests");
        let help = "a connection is either opened or passed through: leave the host out of one of them";
        self.report(passes, message, help.to_owned(), faults);
    }

    pub(super) fn refuse_shadowed(&self, Shadow { rule, by }: Shadow, faults: &mut Collector) {
        let Some(draft) = self.drafts.get(rule) else { return };
        let others: Vec<&Draft<'_>> = by.iter().filter_map(|by| self.drafts.get(*by)).collect();
        let mut names: Vec<String> = by.iter().take(NAMED).map(|by| self.name(*by)).collect();
        if let Some(more @ 1..) = by.len().checked_sub(NAMED) {
            names.push(format!("and {more} more"));
        }
        let (id, other_name) = (&draft.id, names.join(", "));
        let only_denied = others.iter().all(|other| other.effect == Effect::Deny);
        let (message, help) = match (draft.effect, others.as_slice()) {
            (Effect::Allow, denying) if only_denied => {
                let help = match draft.tls {
                    Tls::Intercept => "remove one of them, or make the deny rule narrower",
                    Tls::Passthrough => {
                        "give the deny rule `hosts`: what is passed through is not seen, so it is denied by every rule that could deny something of it"
                    }
                };
                let denies = if denying.len() > 1 { "deny all of it together" } else { "denies all of it" };
                (format!("`{id}` can never allow: {other_name} {denies}"), help.to_owned())
            }
            (_, [other]) => (
                format!("`{id}` can never decide: {other_name} covers all of it and comes first"),
                format!("remove it, or, if it says something more exactly, put it before `{}`", other.id),
            ),
            (_, _) => (
                format!("`{id}` can never decide: {other_name} cover all of it together and come first"),
                "remove it, or, if it says something more exactly, put it before them".to_owned(),
            ),
        };
        self.report(rule, message, help, faults);
    }
}
