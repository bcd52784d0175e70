//! The version of an Envoy binary.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result};

/// A version of three numbers, ordered as versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

/// The oldest version that Weir supports.
pub(super) const OLDEST: Version = Version { major: 1, minor: 36, patch: 0 };

impl Version {
    /// Parses the output of `envoy --version`: `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
    pub(super) fn from_output(output: &str) -> Result<Version> {
        let version = output.split_once("version: ").and_then(|(_, build)| build.split('/').nth(1));
        version.context("`envoy --version` names no version")?.parse()
    }
}

impl FromStr for Version {
    type Err = Error;

    /// Parses `1.40.0`, or `1.41.0-dev` as builds between releases report it.
    fn from_str(text: &str) -> Result<Version> {
        let release = text.split_once('-').map_or(text, |(release, _)| release);
        let mut numbers = release.split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Version { major, minor, patch }),
            _ => Err(Error::msg(format!("`{text}` is not a version"))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_second_part_of_the_build() {
        let output = "\n/opt/envoy  version: 9a3b/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(Version::from_output(output).unwrap().to_string(), "1.40.0");
        let output = "envoy  version: 9a3b/1.41.0-dev/Clean/RELEASE/BoringSSL";
        assert_eq!(Version::from_output(output).unwrap().to_string(), "1.41.0");
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.9.0") < version("1.36.0"));
        assert!(version("1.36.2") < version("1.36.10"));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "1.40", "1.40.0.1", "1.x.0", "v1.40.0", "1..0"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!(Version::from_output("envoy: not found").is_err());
    }
}
