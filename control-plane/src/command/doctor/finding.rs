//! A finding and its output.

use std::fmt;

use serde_json::json;

use crate::output::report::{printable, sentence};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// No problem.
    Ok,
    /// The subject works, but may stop working or be slow.
    Warning,
    /// The subject will not work.
    Problem,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// A finding about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The subject: a host, or a part of the set-up.
    pub(super) about: String,
    pub(super) what: String,
    /// The correction.
    pub(super) help: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: &str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, about: about.to_owned(), what: what.into(), help: None }
    }

    pub(super) fn warning(about: &str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, help: Some(help.into()), ..Self::ok(about, what) }
    }

    pub(super) fn problem(about: &str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, help: Some(help.into()), ..Self::ok(about, what) }
    }

    pub(super) fn object(&self) -> serde_json::Value {
        let Self { severity, about, what, help } = self;
        json!({ "severity": severity.as_str(), "about": about, "what": what, "help": help })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, about, what, help } = self;
        writeln!(f, "{:<8} {}: {}", severity.as_str(), printable(about), sentence(what))?;
        match help {
            Some(help) => writeln!(f, "         help: {}", sentence(help)),
            None => Ok(()),
        }
    }
}
