//! The first release of each Envoy line with the security fixes that no configuration replaces.
//!
//! On 2026-08-26 Envoy published fixes that concern every gateway: a client that repeats a large `Host` field over
//! HTTP/2 exhausts the memory (CVE-2026-73550), trailers of an upstream end the process (CVE-2026-73513), bytes behind a
//! refused upgrade become another client's request (CVE-2026-73548), and path parameters hide dot segments
//! (CVE-2026-73511). The release notes of 1.36.10, 1.37.6, 1.38.4 and 1.39.1 list them; 1.40.0 was branched later.

use super::EnvoyVersion;

/// The first fixed release of each supported line, oldest line first. Newer lines have the fixes from their start.
const FIRST_FIXED: [EnvoyVersion; 5] = [
    EnvoyVersion::new(1, 36, 10),
    EnvoyVersion::new(1, 37, 6),
    EnvoyVersion::new(1, 38, 4),
    EnvoyVersion::new(1, 39, 1),
    EnvoyVersion::new(1, 40, 0),
];

impl EnvoyVersion {
    /// Describes the security fixes that this release lacks, and names the release of its line to use; `None` for a
    /// release that has them.
    pub fn missing_security_fixes(self) -> Option<MissingSecurityFixes> {
        let same_line = |first: &&Self| (first.major, first.minor) == (self.major, self.minor);
        let [.., newest] = FIRST_FIXED;
        let first_fixed = FIRST_FIXED.iter().find(same_line).copied().unwrap_or(newest);
        (self < first_fixed).then_some(MissingSecurityFixes { release: self, first_fixed })
    }
}

/// A release of Envoy that lacks security fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Envoy {release} lacks security fixes of 2026-08-26: a client or an upstream can crash it or exhaust its memory"
)]
pub struct MissingSecurityFixes {
    /// The release that runs.
    pub release: EnvoyVersion,
    /// The first release of the same line with the fixes; of the newest line where the line never got them.
    pub first_fixed: EnvoyVersion,
}

impl MissingSecurityFixes {
    /// Returns the advice for the operator.
    pub fn help(&self) -> String {
        format!("use {} or later of its line, or the newest release", self.first_fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_fixed(version: &str) -> Option<String> {
        let version: EnvoyVersion = version.parse().unwrap();
        version.missing_security_fixes().map(|missing| missing.first_fixed.to_string())
    }

    #[test]
    fn each_line_has_its_own_first_fixed_release() {
        for (version, expected) in [
            ("1.36.4", Some("1.36.10")),
            ("1.36.10", None),
            ("1.37.0", Some("1.37.6")),
            ("1.38.2", Some("1.38.4")),
            ("1.38.9", None),
            ("1.39.0", Some("1.39.1")),
            ("1.39.3", None),
            ("1.40.0", None),
            ("1.41.0", None),
            ("2.0.0", None),
        ] {
            assert_eq!(first_fixed(version).as_deref(), expected, "{version}");
        }
    }

    #[test]
    fn a_line_that_never_got_the_fixes_is_sent_to_the_newest_line() {
        assert_eq!(first_fixed("1.35.13").as_deref(), Some("1.40.0"));
    }
}
