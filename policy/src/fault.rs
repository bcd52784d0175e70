//! The faults of a document, with their places.

use core::fmt;
use core::ops::Range;

use crate::limits;
use crate::source_lines::{LineColumn, SourceLines};

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place, in bytes of the source.
    pub span: Range<usize>,
    /// Line of the span's start, from 1.
    pub line: usize,
    /// Column of the span's start in characters, from 1.
    pub column: usize,
    /// The path to the faulty node: `rules[2].hosts[0]`. Empty for the document as a whole.
    pub at: String,
    /// The message: lower case, no full stop, the user's input in backticks.
    pub message: String,
    /// Advice to the author.
    pub help: Option<String>,
}

impl Fault {
    /// Creates a fault at `span` of `source`. `at` is the path to the faulty node.
    #[must_use]
    pub fn new(
        source: &str,
        span: Range<usize>,
        at: impl Into<String>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Fault {
        let found = Found { span, at: at.into(), message: message.into(), help };
        found.locate(&SourceLines::new(source))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// All faults of a document, in the document's order; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The reported faults, at most [`limits::FAULTS`].
    pub list: Vec<Fault>,
    /// The number of further faults.
    pub omitted: usize,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, fault) in self.list.iter().enumerate() {
            if count > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\nand {omitted} more"),
        }
    }
}

/// Collects faults and warnings while a document is parsed. It keeps at most [`limits::FAULTS`] of each.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    found: Vec<Found>,
    omitted: usize,
    warned: Vec<Found>,
    /// Returns whether different owners register the names below a name. Without it, no wildcard has a warning.
    is_public_suffix: Option<fn(&str) -> bool>,
}

#[derive(Debug)]
struct Found {
    span: Range<usize>,
    at: String,
    message: String,
    help: Option<String>,
}

impl Found {
    fn locate(self, lines: &SourceLines<'_>) -> Fault {
        let Found { span, at, message, help } = self;
        let LineColumn { line, column } = lines.line_column(span.start);
        Fault { line, column, span, at, message, help }
    }
}

impl Collector {
    /// Collects also warnings about wildcards over public suffixes.
    pub(crate) fn with_public_suffixes(is_public_suffix: fn(&str) -> bool) -> Collector {
        Collector { is_public_suffix: Some(is_public_suffix), ..Collector::default() }
    }

    pub(crate) fn is_public_suffix(&self, name: &str) -> bool {
        self.is_public_suffix.is_some_and(|is_public_suffix| is_public_suffix(name))
    }

    /// Reports something that is valid, and is probably not meant.
    pub(crate) fn warn(&mut self, span: Range<usize>, at: &At<'_>, message: String, help: String) {
        if self.warned.len() < limits::FAULTS {
            self.warned.push(Found { span, at: at.to_string(), message, help: Some(help) });
        }
    }

    /// Takes the warnings, in the document's order.
    pub(crate) fn warnings(&mut self, source: &str) -> Vec<Fault> {
        let warned = core::mem::take(&mut self.warned);
        if warned.is_empty() {
            return Vec::new();
        }
        let lines = SourceLines::new(source);
        let mut list: Vec<Fault> = warned.into_iter().map(|found| found.locate(&lines)).collect();
        list.sort_by_key(|fault| fault.span.start);
        list
    }

    pub(crate) fn report(
        &mut self,
        span: Range<usize>,
        at: &At<'_>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        if self.found.len() < limits::FAULTS {
            self.found.push(Found { span, at: at.to_string(), message: message.into(), help });
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns the value if no fault was collected.
    pub(crate) fn finish<T>(self, source: &str, value: T) -> Result<T, Faults> {
        if self.found.is_empty() {
            return Ok(value);
        }
        let lines = SourceLines::new(source);
        let mut list: Vec<Fault> = self.found.into_iter().map(|found| found.locate(&lines)).collect();
        list.sort_by_key(|fault| fault.span.start);
        Err(Faults { list, omitted: self.omitted })
    }
}

/// A path to a node, as a chain to the document's root. It is formatted only for a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Key(At::Root, key) => f.write_str(key),
            At::Key(parent, key) => write!(f, "{parent}.{key}"),
            At::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
