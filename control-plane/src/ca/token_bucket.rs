//! A rate limit: a burst up to a capacity, then a steady rate.

use std::time::SystemTime;

/// A token bucket. The caller supplies the time; a clock that moves backwards adds no tokens.
#[derive(Debug)]
pub(super) struct TokenBucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    filled: SystemTime,
}

impl TokenBucket {
    /// Creates a full bucket.
    pub(super) fn new(capacity: u32, per_second: u32) -> Self {
        let capacity = f64::from(capacity);
        Self { capacity, per_second: per_second.into(), tokens: capacity, filled: SystemTime::UNIX_EPOCH }
    }

    /// Takes a token and returns whether there was one.
    pub(super) fn take(&mut self, now: SystemTime) -> bool {
        let elapsed = now.duration_since(self.filled).unwrap_or_default();
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.capacity);
        self.filled = now;
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let mut bucket = TokenBucket::new(3, 2);
        let mut taken = |at| (0..10).filter(|_| bucket.take(start + Duration::from_millis(at))).count();
        assert_eq!([0, 0, 500, 1_000, 60_000].map(&mut taken), [3, 0, 1, 1, 3]);
        assert_eq!(taken(0), 0, "a clock that goes back brings nothing");
    }
}
