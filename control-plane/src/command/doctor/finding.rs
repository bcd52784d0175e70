//! One thing that was found, and how it is said.

use std::fmt;

use serde_json::json;

use crate::output::report::{printable, sentence};

/// What a finding means for who runs the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// It works, and may stop to, or is slower than it could be.
    Warning,
    /// It will not work.
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

/// What was found of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// A host, or a part of the set-up.
    pub(super) about: String,
    pub(super) what: String,
    /// What to do about it.
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
