//! What a rule says of hosts: a name, or everything below one.

use core::fmt;

/// A pattern of hosts, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern<'p> {
    /// This name or address alone.
    Exact(&'p str),
    /// `*.` and this name: one or more labels below it, never the name itself.
    Below(&'p str),
}

impl<'p> HostPattern<'p> {
    /// The name without `*.`.
    #[must_use]
    pub fn name(&self) -> &'p str {
        match self {
            HostPattern::Exact(name) | HostPattern::Below(name) => name,
        }
    }
}

impl fmt::Display for HostPattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(name) => write!(f, "*.{name}"),
        }
    }
}
