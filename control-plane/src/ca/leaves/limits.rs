//! How many names may have a leaf, how fast they may replace each other, and what a name is to the policy.

use std::time::Duration;

/// How many names of the policy may have a leaf at one time, if nothing else is said.
pub const LISTED: usize = 2_000;

/// What a name is to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A rule allows something there, and the name is spelled in the canonical way.
    Listed,
    /// Every request there will be refused, or it is another spelling (`EXAMPLE.com`, `example.com.`) of any host.
    Other,
}

/// How many names of one standing may have a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At one time.
    pub live: usize,
    /// Names that may take the place of another, a second; as many as may live may do so at once.
    pub replaced_per_second: u32,
}

/// What bounds the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names of the policy.
    pub listed: Limit,
    /// All other names.
    pub other: Limit,
    /// How long a name may be unused before it goes.
    pub idle: Duration,
    /// Leaves that are signed a second although no handshake waits for them.
    pub renewed_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listed: Limit { live: LISTED, replaced_per_second: 1_000 },
            other: Limit { live: 50, replaced_per_second: 10 },
            idle: Duration::from_mins(15),
            renewed_per_second: 500,
        }
    }
}
