//! Counts of the access log entries that have arrived. If Envoy counted more, the difference is missing.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::logged_decision::Phase;

/// The maximum number of remembered open requests. Further ones have their lines, and are not remembered.
const MOST_OPEN: usize = 65_536;

/// The counts so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// All entries.
    pub entries: u64,
    /// Requests and tunnels that the filter allowed and that have ended.
    pub let_out: u64,
    /// Requests whose newest entry says that they are open.
    pub open: u64,
}

/// Counts arriving entries.
#[derive(Debug, Default)]
pub(super) struct Account {
    counted: Mutex<(Arrived, HashSet<String>)>,
}

impl Account {
    /// Returns the counts so far.
    pub(super) fn arrived(&self) -> Arrived {
        let counted = self.lock();
        Arrived { open: counted.1.len() as u64, ..counted.0 }
    }

    /// Counts an entry that is not a decision.
    pub(super) fn entry(&self, let_out: bool) {
        let mut counted = self.lock();
        counted.0.entries += 1;
        counted.0.let_out += u64::from(let_out);
    }

    /// Counts a decision. Returns false for an open request that was already counted as open.
    pub(super) fn decision(&self, id: &str, phase: Phase, let_out: bool) -> bool {
        let mut counted = self.lock();
        let (arrived, open) = &mut *counted;
        arrived.entries += 1;
        match phase {
            Phase::Open if open.contains(id) => false,
            Phase::Open => {
                if open.len() < MOST_OPEN {
                    open.insert(id.to_owned());
                }
                true
            }
            Phase::End => {
                arrived.let_out += u64::from(let_out);
                open.remove(id);
                true
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Arrived, HashSet<String>)> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_open_once_and_until_its_end() {
        let account = Account::default();
        assert!(account.decision("1", Phase::Open, true));
        assert!(!account.decision("1", Phase::Open, true), "Envoy said it again");
        assert_eq!(account.arrived(), Arrived { entries: 2, let_out: 0, open: 1 });
        assert!(account.decision("1", Phase::End, true));
        account.entry(true);
        assert_eq!(account.arrived(), Arrived { entries: 4, let_out: 2, open: 0 });
    }

    #[test]
    fn open_requests_beyond_the_bound_keep_their_lines() {
        let account = Account::default();
        for number in 0..=MOST_OPEN {
            assert!(account.decision(&number.to_string(), Phase::Open, true));
        }
        assert_eq!(account.arrived().open, MOST_OPEN as u64);
    }
}
