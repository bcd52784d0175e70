//! The summary of the requests that a run denied. `weir run` prints it after its command has ended.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::decision_log::logged_decision::Phase;
use crate::decision_log::{Line, LoggedDecision};
use crate::output::report::url_text;

/// Kinds of denials that are counted apart, and those that the summary names.
const MOST_COUNTED: usize = 1_000;
const MOST_NAMED: usize = 8;

/// The denials of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    denied: Counts,
    /// Requests that report mode forwarded.
    would_deny: Counts,
    /// Denials that have not been printed.
    unseen: u64,
}

#[derive(Debug, Default)]
struct Counts {
    kinds: BTreeMap<String, u64>,
    total: u64,
}

impl Counts {
    fn add(&mut self, kind: String, count: u64) {
        self.total += count;
        if self.kinds.len() < MOST_COUNTED || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += count;
        }
    }

    /// For instance `3 denied: 2 POST a.example (method_not_allowed), 1 GET b.example (host_not_allowed)`.
    fn line(&self, what: &str) -> String {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        kinds.truncate(MOST_NAMED);
        let mut line = format!("{} {what}:", self.total);
        let mut left = self.total;
        for (index, (kind, count)) in kinds.into_iter().enumerate() {
            left -= count;
            let comma = if index == 0 { "" } else { "," };
            // A text takes every write.
            let _ = write!(line, "{comma} {count} {kind}");
        }
        if left > 0 {
            let _ = write!(line, ", {left} others");
        }
        line
    }
}

impl Summary {
    /// Counts a line, and whether it was printed.
    pub(super) fn add(&mut self, line: &Line, is_seen: bool) {
        match line {
            // The request has another line at its end.
            Line::Decision(decision) if decision.phase == Phase::Open => return,
            Line::Decision(decision) => {
                let counts = match (decision.record.effect.as_str(), decision.record.would_deny) {
                    ("deny", _) => &mut self.denied,
                    (_, true) => &mut self.would_deny,
                    (_, false) => return,
                };
                counts.add(kind(decision), 1);
            }
            Line::MoreDenials(more) => self.denied.add(format!("({})", url_text(&more.reason)), more.count),
        }
        self.unseen += u64::from(!is_seen);
    }

    /// The lines to print. One denial that was printed already has none.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.unseen == 0 && self.denied.total + self.would_deny.total < 2 {
            return Vec::new();
        }
        let both = [(&self.denied, "denied"), (&self.would_deny, "would be denied")];
        both.into_iter()
            .filter(|(counts, _)| counts.total > 0)
            .map(|(counts, what)| counts.line(what))
            .collect()
    }
}

fn kind(decision: &LoggedDecision) -> String {
    let record = &decision.record;
    if record.host.is_empty() {
        return format!("({})", url_text(record.reason.as_str()));
    }
    let port = record.port.filter(|port| ![80, 443].contains(port)).map(|port| format!(":{port}"));
    format!(
        "{} {}{} ({})",
        url_text(&record.method),
        url_text(&record.host),
        port.unwrap_or_default(),
        url_text(record.reason.as_str())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::logged_decision::tests::decision;
    use weir_policy::Reason;

    fn denied(host: &str) -> Line {
        let mut decision = decision("deny");
        decision.record.method = "GET".to_owned();
        decision.record.host = host.to_owned();
        decision.record.port = Some(443);
        decision.record.reason = Reason::HostNotAllowed.into();
        Line::Decision(Box::new(decision))
    }

    #[test]
    fn denials_are_summed_up_by_host_and_reason() {
        let mut summary = Summary::default();
        summary.add(&Line::Decision(Box::new(decision("allow"))), true);
        summary.add(&denied("a.example"), true);
        assert_eq!(summary.lines(), Vec::<String>::new(), "the one line was printed");
        summary.add(&denied("b.example"), true);
        summary.add(&denied("b.example"), true);
        assert_eq!(
            summary.lines(),
            ["3 denied: 2 GET b.example (host_not_allowed), 1 GET a.example (host_not_allowed)"]
        );
    }

    #[test]
    fn a_denial_that_nobody_saw_is_told() {
        let mut summary = Summary::default();
        summary.add(&denied("a.example"), false);
        assert_eq!(summary.lines(), ["1 denied: 1 GET a.example (host_not_allowed)"]);
    }

    #[test]
    fn the_summary_is_bounded() {
        let mut summary = Summary::default();
        for number in 0..MOST_COUNTED + 10 {
            summary.add(&denied(&format!("{number}.example")), true);
        }
        let lines = summary.lines();
        assert_eq!(summary.denied.kinds.len(), MOST_COUNTED);
        assert!(lines[0].ends_with(", 1002 others"), "{lines:?}");
    }
}
