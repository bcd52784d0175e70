//! Counts of denials in a flood, in place of a line for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use weir_policy::Reason;

/// The maximum number of denials with lines of their own in a round, which lasts about a second.
pub(crate) const LINES: u64 = 1_000;

/// A count of denials without lines of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoreDenials {
    /// The time of the count, in milliseconds since 1970.
    pub time: u64,
    /// `counted`
    pub phase: &'static str,
    /// `deny`
    pub effect: &'static str,
    /// The reason of these denials.
    pub reason: &'static str,
    /// The number of denials.
    pub count: u64,
}

/// Gives denials lines of their own up to a limit, and counts further ones by their reason.
#[derive(Debug, Default)]
pub(super) struct DenialFlood {
    round: Mutex<Round>,
}

#[derive(Debug, Default)]
struct Round {
    lines: u64,
    counted: BTreeMap<&'static str, u64>,
}

impl DenialFlood {
    /// Returns whether the next denial has a line of its own.
    pub(super) fn has_line(&self) -> bool {
        let mut round = self.lock();
        let has_line = round.lines < LINES;
        round.lines += u64::from(has_line);
        has_line
    }

    /// Counts a denial that gets no line.
    pub(super) fn count(&self, reason: &str) {
        // Reasons are a closed list, which bounds the table.
        let reason = Reason::from_word(reason).unwrap_or(Reason::FilterFailure);
        *self.lock().counted.entry(reason.as_str()).or_default() += 1;
    }

    /// Starts the next round, and returns the counts of the last one.
    pub(super) fn next_round(&self) -> Vec<MoreDenials> {
        let Round { counted, .. } = std::mem::take(&mut *self.lock());
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let more = |(reason, count)| MoreDenials { time, phase: "counted", effect: "deny", reason, count };
        counted.into_iter().map(more).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_beyond_the_bound_are_counted_by_reason_and_a_round_begins_anew() {
        let flood = DenialFlood::default();
        for number in 0..LINES + 5 {
            assert_eq!(flood.has_line(), number < LINES);
        }
        flood.count("host_not_allowed");
        flood.count("host_not_allowed");
        flood.count("path_not_allowed");
        let counted: Vec<_> = flood.next_round().iter().map(|more| (more.reason, more.count)).collect();
        assert_eq!(counted, [("host_not_allowed", 2), ("path_not_allowed", 1)]);
        assert!(flood.has_line());
        assert_eq!(flood.next_round(), []);
    }
}
