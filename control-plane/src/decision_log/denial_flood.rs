//! Counts of denials in a flood, in place of a line for each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use weir_contract::record::Word;
use weir_policy::Reason;

/// The maximum number of denials with lines of their own in a round, which lasts about a second.
pub(crate) const LINES: u64 = 1_000;

/// Reasons that one round tells apart: all known ones, and a few of a newer filter.
const REASONS: usize = Reason::ALL.len() + 16;
/// The reason of denials whose own would be one too many.
const OTHER: &str = "other";

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
    pub reason: Cow<'static, str>,
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
    counted: BTreeMap<Cow<'static, str>, u64>,
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
    pub(super) fn count(&self, reason: &Word<Reason>) {
        let counted = &mut self.lock().counted;
        let reason = match reason {
            Word::Known(reason) => Cow::Borrowed(reason.as_str()),
            Word::Other(word) if counted.contains_key(word.as_str()) || counted.len() < REASONS => {
                Cow::Owned(word.clone())
            }
            Word::Other(_) => Cow::Borrowed(OTHER),
        };
        *counted.entry(reason).or_default() += 1;
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
        for word in ["host_not_allowed", "host_not_allowed", "path_not_allowed", "quota_exceeded"] {
            flood.count(&Word::new(word));
        }
        let round = flood.next_round();
        let counted: Vec<_> = round.iter().map(|more| (more.reason.as_ref(), more.count)).collect();
        assert_eq!(counted, [("host_not_allowed", 2), ("path_not_allowed", 1), ("quota_exceeded", 1)]);
        assert!(flood.has_line());
        assert_eq!(flood.next_round(), []);
    }
    #[test]
    fn unknown_reasons_are_told_apart_up_to_a_bound() {
        let flood = DenialFlood::default();
        for number in 0..10_000 {
            flood.count(&Word::new(&format!("reason_{number}")));
        }
        let round = flood.next_round();
        assert_eq!(round.len(), REASONS + 1);
        assert_eq!(round.iter().map(|more| more.count).sum::<u64>(), 10_000);
    }
}
