//! The host pattern of a rule: a name, or all names below one.

use core::fmt;

use crate::host::Host;

/// A pattern of hosts, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this name or address.
    Exact(Host),
    /// A `*.` wildcard: names with one or more labels before this name, and never the name itself.
    Below(Host),
}

impl HostPattern {
    /// The name, without `*.`.
    #[must_use]
    pub fn name(&self) -> &Host {
        match self {
            HostPattern::Exact(name) | HostPattern::Below(name) => name,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => name.fmt(f),
            HostPattern::Below(name) => write!(f, "*.{name}"),
        }
    }
}
