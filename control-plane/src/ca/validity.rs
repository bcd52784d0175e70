//! When a certificate is valid: whole seconds (all that X.509 can say), begun in the past for clocks that lag.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// How far before its making a certificate is valid, for clients whose clock is behind ours.
pub const BACKDATED: Duration = Duration::from_hours(1);

/// The first and the last second of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second in which it is valid.
    pub not_before: SystemTime,
    /// The last second in which it is valid.
    pub not_after: SystemTime,
}

impl Validity {
    /// From an hour ago for `lifetime` from `now`, but not beyond `limit` at either end.
    #[must_use]
    pub fn new(now: SystemTime, lifetime: Duration, limit: Option<Validity>) -> Self {
        let not_before = whole_second(now - BACKDATED);
        let not_after = whole_second(now + lifetime);
        match limit {
            None => Self { not_before, not_after },
            Some(limit) => Self {
                not_before: not_before.max(limit.not_before),
                not_after: not_after.min(limit.not_after),
            },
        }
    }

    /// When to replace a certificate made at `now`: when two thirds of what is left of its life have gone.
    #[must_use]
    pub fn renew_at(&self, now: SystemTime) -> SystemTime {
        now + self.left(now) * 2 / 3
    }

    /// How long it is still valid.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

/// A point of time in the words of X.509, in UTC.
pub(super) fn x509_time(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(time)
}

/// A point of time for a person: `2026-11-23 20:05 UTC`.
pub(crate) fn date(time: SystemTime) -> String {
    let time = x509_time(time);
    format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute())
}

fn whole_second(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_cuts_both_ends() {
        let now = UNIX_EPOCH + Duration::from_millis(1_800_000_000_900);
        let limit = Validity::new(now, Duration::from_mins(10), None);
        let later = now + Duration::from_mins(5);
        let cut = Validity::new(later, Duration::from_hours(1), Some(limit));
        assert_eq!(cut.not_after, UNIX_EPOCH + Duration::from_secs(1_800_000_600));
        assert_eq!(cut.not_before, later - BACKDATED - Duration::from_millis(900));
        assert_eq!(cut.left(later + Duration::from_hours(1)), Duration::ZERO);
        assert_eq!(date(cut.not_after), "2027-01-15 08:10 UTC");
    }
}
