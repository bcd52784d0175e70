//! The validity period of a certificate, in the whole seconds that X.509 has. It begins in the past, for clients
//! whose clock lags.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// How far a certificate's validity begins before it is made, for clients whose clock is behind this machine's.
pub const BACKDATED: Duration = Duration::from_hours(1);

/// The first and the last second in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second in which the certificate is valid.
    pub not_before: SystemTime,
    /// The last second in which the certificate is valid.
    pub not_after: SystemTime,
}

impl Validity {
    /// A period from an hour before `now` until `lifetime` after it. `limit` cuts it at both ends.
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

    /// The time to replace a certificate made at `now`: after two thirds of its remaining life.
    #[must_use]
    pub fn renew_at(&self, now: SystemTime) -> SystemTime {
        now + self.left(now) * 2 / 3
    }

    /// The remaining life of the certificate.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

/// A time in the form that X.509 tools use, in UTC.
pub(super) fn x509_time(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(time)
}

/// A time in readable form: `2026-11-23 20:05 UTC`.
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
