//! The explanation of a decision, as text and as JSON.

use std::io::{self, Write};

use serde_json::json;
use weir_policy::{Decision, Effect, Mode, PolicyVersion, Reason, Request, RuleOutcome, Tls, Trace};
use weir_rego::{Answer, EvaluationError};

use crate::output::report::{printable, sentence};

/// A decision on a request, and the reasons for it.
pub(super) struct Explanation<'a> {
    /// The method as typed.
    pub(super) method: &'a str,
    /// The URL as typed.
    pub(super) url: &'a str,
    /// Whether the text shows the server name.
    pub(super) shows_sni: bool,
    /// The differences between the URL as typed and the request.
    pub(super) notes: Vec<String>,
    pub(super) version: PolicyVersion,
    pub(super) request: Request<'a>,
    pub(super) tls: Tls,
    pub(super) decision: Decision<'a>,
    /// The Rego policy's answer, if it was evaluated.
    pub(super) answer: Option<Result<Answer, EvaluationError>>,
    pub(super) trace: Trace<'a>,
}

impl Explanation<'_> {
    /// Writes the explanation for a person.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Decision { effect, reason, rule, authority, would_deny, address_set: _, upstream: _ } =
            &self.decision;
        let only = if *would_deny { " (it would be denied, and is only reported)" } else { "" };
        writeln!(out, "{effect}: {reason}{only}")?;
        writeln!(out, "  request  {} {}", printable(self.method), printable(self.url))?;
        if let Some(authority) = authority {
            let path = self
                .trace
                .path
                .as_deref()
                .map(|path| format!(", path {}", printable(path)))
                .unwrap_or_default();
            writeln!(out, "  judged   {} port {}{path}", authority.host, authority.port)?;
        }
        for note in &self.notes {
            writeln!(out, "  note     {}", printable(note))?;
        }
        if is_resolved_on_the_way(self.request.path) {
            writeln!(
                out,
                "  note     Envoy resolves dot segments and backslashes first; this judges the path as written"
            )?;
        }
        if self.tls == Tls::Passthrough {
            writeln!(out, "  tls      passed through: judged by server name and port alone")?;
        }
        if let Some(sni) = self.request.server_name.filter(|_| self.shows_sni) {
            writeln!(out, "  sni      {}", printable(&String::from_utf8_lossy(sni)))?;
        }
        match (rule, reason) {
            (Some(rule), reason)
                if self.answer.is_some() || *reason == Reason::Allowed || rule.effect() == Effect::Deny =>
            {
                writeln!(out, "  rule     {}", rule.id())?;
            }
            (Some(rule), _) => writeln!(out, "  rule     none ({} came nearest)", rule.id())?,
            (None, _) => writeln!(out, "  rule     none")?,
        }
        match &self.answer {
            Some(Ok(Answer { allowed: true, .. })) => writeln!(out, "  rego     allows")?,
            Some(Ok(answer)) => {
                let said = answer.reason.as_ref().map(|reason| format!(": {}", printable(reason)));
                writeln!(out, "  rego     denies{}", said.unwrap_or_default())?;
            }
            Some(Err(error)) => writeln!(out, "  rego     no answer: {}", sentence(&error.to_string()))?,
            None => {}
        }
        match effect {
            Effect::Allow if *reason == Reason::Allowed => {}
            Effect::Allow => writeln!(out, "  hint     {}", reason.hint())?,
            Effect::Deny => {
                writeln!(out, "  answer   status {}", self.status())?;
                writeln!(out, "  hint     {}", reason.hint())?;
            }
        }
        writeln!(out, "  policy   {}", self.version)?;
        self.write_rules(out)
    }

    /// Returns the status of the answer. A Rego policy may choose the status of its denial.
    fn status(&self) -> u16 {
        let reason = self.decision.reason;
        let said =
            self.answer.as_ref().and_then(|answer| answer.as_ref().ok()).and_then(|answer| answer.status);
        said.filter(|_| reason == Reason::DeniedByRego).unwrap_or(reason.status())
    }

    fn write_rules(&self, out: &mut dyn Write) -> io::Result<()> {
        let steps = &self.trace.steps;
        if !steps.is_empty() {
            writeln!(out, "rules for this host:")?;
        }
        let width = steps.iter().map(|step| step.rule.id().len()).max().unwrap_or_default();
        for step in steps {
            let effect = step.rule.effect().as_str();
            let mode = match step.rule.mode() {
                Mode::Enforce => String::new(),
                mode @ (Mode::Report | Mode::Open) => format!(" ({mode} mode)"),
            };
            writeln!(out, "  {:width$}  {effect:5}  {}{mode}", step.rule.id(), in_words(step.outcome))?;
        }
        if self.decision.reason == Reason::HostNotAllowed && !self.trace.near.is_empty() {
            writeln!(out, "hosts of the policy that are near, but not this one:")?;
            for pattern in &self.trace.near {
                writeln!(out, "  {pattern}")?;
            }
        }
        Ok(())
    }

    /// Returns the keys of the decision log, and those of an explanation.
    pub(super) fn object(&self) -> serde_json::Value {
        let Decision { effect, reason, rule, authority, would_deny, address_set: _, upstream: _ } =
            &self.decision;
        let step = |step: &weir_policy::Step<'_>| {
            json!({
                "rule": step.rule.id(),
                "effect": step.rule.effect().as_str(),
                "mode": step.rule.mode().as_str(),
                "outcome": word(step.outcome),
            })
        };
        let mut object = json!({
            "effect": effect.as_str(),
            "reason": reason.as_str(),
            "rule": rule.map(|rule| rule.id()),
            "policy_version": self.version.to_string(),
            "host": authority.map(|authority| authority.host.as_str().to_owned()),
            "port": authority.map(|authority| authority.port),
            "scheme": self.request.scheme.as_str(),
            "method": self.method,
            "path": self.trace.path,
            "tls": self.tls.as_str(),
            "would_deny": would_deny,
            "status": if *would_deny { 200 } else { self.status() },
            "hint": reason.hint(),
            "notes": self.notes,
            "rules": self.trace.steps.iter().map(step).collect::<Vec<_>>(),
            "near": self.trace.near.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        if let Some(answer) = &self.answer {
            object["rego"] = match answer {
                Ok(answer) => json!({
                    "allowed": answer.allowed,
                    "reason": answer.reason,
                    "http_status": answer.status,
                    "body": answer.body,
                    "headers": answer.headers.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                }),
                Err(error) => json!({ "error": error.to_string() }),
            };
        }
        object
    }
}

/// Returns whether Envoy changes a path before the filter sees it: the path has a dot segment, or a backslash.
fn is_resolved_on_the_way(path: &[u8]) -> bool {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = String::from_utf8_lossy(path).to_ascii_lowercase().replace("%2e", ".");
    let name = |segment: &str| segment.split(';').next().map(str::to_owned);
    path.contains('\\') || path.split('/').filter_map(name).any(|name| name == "." || name == "..")
}

fn word(outcome: RuleOutcome) -> &'static str {
    match outcome {
        RuleOutcome::TlsDiffers => "tls_differs",
        RuleOutcome::SchemeDiffers => "scheme_differs",
        RuleOutcome::PortDiffers => "port_differs",
        RuleOutcome::MethodDiffers => "method_differs",
        RuleOutcome::PathDiffers => "path_differs",
        RuleOutcome::PathAmbiguous => "path_ambiguous",
        RuleOutcome::Matched => "matched",
    }
}

fn in_words(outcome: RuleOutcome) -> &'static str {
    match outcome {
        RuleOutcome::TlsDiffers => {
            "no match: either the rule or the connection is passed through, but not both"
        }
        RuleOutcome::SchemeDiffers => "no match: the scheme differs",
        RuleOutcome::PortDiffers => "no match: the port differs",
        RuleOutcome::MethodDiffers => "no match: the method differs",
        RuleOutcome::PathDiffers => "no match: the path differs",
        RuleOutcome::PathAmbiguous => {
            "undecided: servers read the path in several ways, and this rule matches only some of them"
        }
        RuleOutcome::Matched => "matches",
    }
}
