//! What becomes of a denial: it stands, it is only reported, or there is none.

use core::fmt;

/// The mode of a policy or of one of its rules. Counts for what rules decide; what could not be read in one way, or
/// does not belong to its connection, is refused in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// What is denied is denied.
    #[default]
    Enforce,
    /// What would be denied goes out, and the decision says so ([`crate::Decision::would_deny`]).
    Report,
    /// What no rule allows goes out ([`crate::Reason::OpenMode`]). For learning what is used; deny rules stand.
    Open,
}

impl Mode {
    pub(crate) const ALL: [Mode; 3] = [Mode::Enforce, Mode::Report, Mode::Open];

    /// `enforce`, `report` or `open`.
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
