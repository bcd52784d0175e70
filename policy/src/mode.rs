//! The mode of a policy: it enforces denials, only reports them, or allows requests that no rule matches.

use core::fmt;

/// The mode of a policy or of one of its rules. A mode applies to decisions of rules. Every mode denies a request that
/// is invalid, and a request that does not belong to its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Denials are enforced.
    #[default]
    Enforce,
    /// Requests that the rules deny are forwarded, and their decisions say so ([`crate::Decision::would_deny`]).
    Report,
    /// Requests that no rule matches are forwarded ([`crate::Reason::OpenMode`]), to learn which hosts are in use.
    /// Deny rules still apply.
    Open,
}

impl Mode {
    pub(crate) const ALL: [Mode; 3] = [Mode::Enforce, Mode::Report, Mode::Open];

    /// The name in a document: `enforce`, `report` or `open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Report => "report",
            Mode::Open => "open",
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.byte() == byte)
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Mode::Enforce => 0,
            Mode::Report => 1,
            Mode::Open => 2,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
