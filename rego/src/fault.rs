//! The faults of a Rego policy, with their places.

use core::fmt;
use core::ops::Range;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place; `None` for the policy as a whole.
    pub place: Option<Place>,
    /// The message: lower case, no full stop, the user's input in backticks.
    pub message: String,
    /// Advice to the author.
    pub help: Option<String>,
}

/// A place in a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The position of the module in the bundle.
    pub module: usize,
    /// The place in bytes of the module's text.
    pub span: Range<usize>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Fault {
    pub(crate) fn at(place: Place, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { place: Some(place), message: message.into(), help: Some(help.into()) }
    }

    pub(crate) fn without_place(message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { place: None, message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "module {}, {}:{}: ", place.module, place.line, place.column)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
