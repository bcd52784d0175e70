//! Limits on the names that have a leaf: their number, their rate of replacement, and their class.

use std::time::Duration;

/// The default limit for names of the policy that have a leaf at one time.
pub const LISTED: usize = 2_000;

/// The class of a name under the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameClass {
    /// A rule allows requests to this host, and the name has its canonical spelling.
    Listed,
    /// The policy denies every request to this host, or the name is another spelling of a host (`EXAMPLE.com`,
    /// `example.com.`).
    Other,
}

/// The limits for one class of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many names may have a leaf at one time.
    pub live: usize,
    /// How many new names may evict another each second. A burst may replace `live` names at once.
    pub replaced_per_second: u32,
}

/// The limits on all leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafLimits {
    /// The limit for names of the policy.
    pub listed: Limit,
    /// The limit for all other names.
    pub other: Limit,
    /// The time after which an unused name expires.
    pub idle: Duration,
    /// How many leaves may be signed each second while no handshake waits for them.
    pub renewed_per_second: u32,
}

impl Default for LeafLimits {
    fn default() -> Self {
        Self {
            listed: Limit { live: LISTED, replaced_per_second: 1_000 },
            other: Limit { live: 50, replaced_per_second: 10 },
            idle: Duration::from_mins(15),
            renewed_per_second: 500,
        }
    }
}
