//! A time limit for waiting. Every wait of the tests has one, and fails when it has passed.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The pause between two probes of a poll.
const REST: Duration = Duration::from_millis(5);

/// A point in time, and the limit that it was made from.
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

    /// Probes until `probe` finds something. An error of the probe ends the wait at once.
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

    /// Probes until `probe` returns `expected`. The error shows the last value.
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
