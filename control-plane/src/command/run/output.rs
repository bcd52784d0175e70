//! What `weir run` prints: the variables to set, then decisions as they happen.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use weir_policy::Reason;

use crate::decision_log::Decision;
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

    /// Prints a decision; false when no more will come.
    pub(super) fn decision(&self, decision: Result<Decision, RecvError>) -> bool {
        match decision {
            Ok(decision) if decision.record.host == self.hidden_host => true,
            Ok(decision) if self.alone => {
                output_stream::stdout().write(self.line(&decision) + "\n");
                true
            }
            Ok(decision) => {
                if decision.record.effect == "deny" || decision.record.reason != Reason::Allowed.as_str() {
                    output_stream::stderr().write(format!("weir: {}\n", self.line(&decision)));
                }
                true
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "decisions came faster than they could be printed");
                true
            }
            Err(RecvError::Closed) => false,
        }
    }

    fn line(&self, decision: &Decision) -> String {
        if self.json { json(decision) } else { human(decision) }
    }
}

fn json(decision: &Decision) -> String {
    serde_json::to_string(decision).unwrap_or_default()
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
    let mut line = format!("{:<5} {} {request}  {would_deny}{reason}{rule}", record.effect, decision.status);
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
