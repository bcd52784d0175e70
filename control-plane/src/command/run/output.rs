//! What `weir run` prints: the variables to set, then decisions as they happen.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use weir_policy::Reason;

use crate::decision_log::decision::Phase;
use crate::decision_log::denial_flood::MoreDenials;
use crate::decision_log::{Decision, Line};
use crate::environment::Environment;
use crate::output_stream;
use crate::report::printable;

/// Characters of Envoy's words that a line shows.
const LONGEST_FAILURE: usize = 300;

#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    /// Without a command, stdout is ours; with one it is the command's, and only denials are worth a line on stderr.
    alone: bool,
    /// Whose decisions are not shown: they are our own questions.
    hidden_host: String,
}

impl Output {
    pub(super) fn new(json: bool, alone: bool, hidden_host: String) -> Self {
        Self { json, alone, hidden_host }
    }

    /// `credentials` is the file of those that the proxy asks for: they are not printed.
    pub(super) fn ready(
        &self,
        environment: &Environment,
        credentials: Option<&Path>,
        after: Duration,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        environment.write_exports(&mut lines)?;
        if let Some(file) = credentials {
            let file = file.display();
            writeln!(
                lines,
                "# the proxy asks for credentials: write `USER:PASSWORD@` of `{file}` before its address"
            )?;
        }
        writeln!(lines, "# ready in {} ms", after.as_millis())?;
        output_stream::stdout().write(String::from_utf8_lossy(&lines).into_owned());
        Ok(())
    }

    /// Prints a line.
    pub(super) fn line(&self, line: &Line) {
        let (shown, is_worth_telling) = match line {
            Line::Decision(decision) if decision.record.host == self.hidden_host => return,
            Line::Decision(decision) => {
                let worth =
                    decision.record.effect == "deny" || decision.record.reason != Reason::Allowed.as_str();
                (if self.json { json(decision) } else { human(decision) }, worth)
            }
            Line::MoreDenials(more) => (if self.json { json(more) } else { more_denials(more) }, true),
        };
        if self.alone {
            output_stream::stdout().write(shown + "\n");
        } else if is_worth_telling {
            output_stream::stderr().write(format!("weir: {shown}\n"));
        }
    }
}

fn json(line: &impl serde::Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

fn more_denials(more: &MoreDenials) -> String {
    let MoreDenials { count, reason, effect, .. } = more;
    format!("{effect:<5} {count} more requests  {reason}; they came faster than lines are printed")
}

fn human(decision: &Decision) -> String {
    let record = &decision.record;
    let default_port = if record.scheme == "https" { 443 } else { 80 };
    let port =
        record.port.filter(|port| *port != default_port).map(|port| format!(":{port}")).unwrap_or_default();
    let rule = record.rule.as_deref().map(|rule| format!(" (rule `{rule}`)")).unwrap_or_default();
    // Envoy refuses some requests before it has read who they are for.
    let request = if record.host.is_empty() {
        "a request that was not read".to_owned()
    } else {
        let (method, host, path) =
            (printable(&record.method), printable(&record.host), printable(&record.path));
        format!("{method} {}://{host}{port}{path}", printable(&record.scheme))
    };
    let would_deny = if record.would_deny { "would be denied: " } else { "" };
    let reason = &record.reason;
    // An open request may have no status yet, and ends with another line.
    let (word, status) = match decision.phase {
        Phase::Open => ("open", "...".to_owned()),
        Phase::End => (record.effect.as_str(), decision.status.to_string()),
    };
    let mut line = format!("{word:<5} {status} {request}  {would_deny}{reason}{rule}");
    if let Some(reason) = Reason::from_word(&record.reason).filter(|reason| *reason != Reason::Allowed) {
        line.push_str("; ");
        line.push_str(reason.hint());
    }
    if let Some(cause) = decision.cause {
        line.push_str("; cause: ");
        line.push_str(cause);
    }
    if let Some(failure) = &decision.failure {
        // The upstream's certificate is quoted in it.
        let failure: String = failure.chars().take(LONGEST_FAILURE).collect();
        line.push_str("; envoy: ");
        line.push_str(&printable(&failure));
    }
    line
}
