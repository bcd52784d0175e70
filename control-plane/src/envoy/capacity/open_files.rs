//! The limits on a process's open files (`RLIMIT_NOFILE`, getrlimit(2)).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The two limits of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// The limit in force.
    pub soft: u64,
    /// The limit to which the process may raise the soft one.
    pub hard: u64,
}

impl OpenFiles {
    /// Returns the limits in force.
    pub fn read() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        Self { soft: current.unwrap_or(u64::MAX), hard: maximum.unwrap_or(u64::MAX) }
    }

    /// Raises the soft limit to the hard limit, and returns the earlier limits. Children of this process inherit the
    /// raised limit unless they get another one.
    pub fn raise() -> Self {
        let before = Self::read();
        if let Err(error) = set_soft(before.hard) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
        before
    }
}

/// Sets this process's soft limit, at most to its hard limit.
///
/// # Errors
/// When the operating system refuses.
pub fn set_soft(soft: u64) -> rustix::io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let most = maximum.unwrap_or(u64::MAX);
    let current = (soft < u64::MAX || maximum.is_some()).then_some(soft.min(most));
    setrlimit(Resource::Nofile, Rlimit { current, maximum })
}
