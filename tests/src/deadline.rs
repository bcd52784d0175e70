//! A moment after which waiting is a failure: nothing here waits without one.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a poll rests between two looks.
const REST: Duration = Duration::from_millis(5);

/// A point in time and how it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    /// The deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, limit }
    }

    /// The deadline `seconds` from now.
    pub fn seconds(seconds: u64) -> Self {
        Self::after(Duration::from_secs(seconds))
    }

    /// The time left, zero when it has passed.
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Looks until `probe` finds something; an error of the probe ends the wait at once.
    pub fn poll<T>(&self, what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        loop {
            if let Some(found) = probe()? {
                return Ok(found);
            }
            if self.remaining().is_zero() {
                bail!("{what}: not within {:?}", self.limit);
            }
            thread::sleep(REST);
        }
    }

    /// Looks until `probe` returns `expected`; the error shows the last value seen.
    pub fn poll_eq<T: PartialEq + Debug>(
        &self,
        what: &str,
        expected: &T,
        mut probe: impl FnMut() -> Result<T>,
    ) -> Result<()> {
        loop {
            let seen = probe()?;
            if seen == *expected {
                return Ok(());
            }
            if self.remaining().is_zero() {
                bail!("{what}: expected {expected:?} within {:?}, last saw {seen:?}", self.limit);
            }
            thread::sleep(REST);
        }
    }
}
