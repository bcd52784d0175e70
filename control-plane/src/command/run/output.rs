//! The output of `weir run`: the variables to set, and then decisions as they happen.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use weir_policy::{Effect, Reason};

use super::certificate_refusal::CertificateRefusal;
use super::printed_line::{json, object, text};
use super::summary::Summary;
use crate::decision_log::Line;
use crate::decision_log::refused_certificate::RefusedCertificate;
use crate::local_gateway::environment::Environment;
use crate::local_gateway::error::RunError;
use crate::output::decision_file::DecisionFile;
use crate::output::report::printable;
use crate::output::stream::{self, OutputStream};

/// Decisions that wait for the end of a full-screen program. The summary counts the others.
const MOST_HELD: usize = 20;

/// The arguments that choose the output and its streams.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArguments {
    /// Print each decision as JSON; without a CMD, every line of stdout is JSON
    #[arg(long)]
    json: bool,
    /// Print no decisions
    #[arg(long)]
    quiet: bool,
    /// Append every decision as JSON to a file (a new one has mode 0600; at 64 MiB it becomes FILE.1) or to stdout (`-`)
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
}

impl OutputArguments {
    /// Names the file from the root on.
    pub(super) fn make_absolute(&mut self, absolute: impl Fn(PathBuf) -> PathBuf) {
        self.decisions =
            self.decisions.take().map(|path| if path == Path::new("-") { path } else { absolute(path) });
    }
}

/// Where and how decisions are printed.
#[derive(Debug)]
enum Display {
    Nothing,
    /// Every decision, on stdout.
    Text,
    /// Denials and failures, on stderr beside what the command writes there.
    Denials,
    /// Every decision, on stdout.
    Json,
    /// Every decision, on stderr.
    JsonBesideCommand,
}

#[derive(Debug)]
pub(super) struct Output {
    display: Display,
    has_command: bool,
    /// The stream of `--decisions`.
    decisions: Option<&'static OutputStream>,
    /// The host of Weir's own probes, whose decisions are not printed.
    hidden_host: String,
    summary: Summary,
    held: usize,
}

impl Output {
    /// Opens the file of decisions.
    pub(super) fn open(arguments: &OutputArguments, has_command: bool) -> Result<Self, RunError> {
        // A standard output that is a socket cannot be opened by its path.
        let stdout = [Path::new("-"), Path::new("/dev/stdout")];
        let on_stdout = arguments.decisions.as_deref().is_some_and(|path| stdout.contains(&path));
        let decisions = match arguments.decisions.as_deref() {
            None => None,
            Some(_) if on_stdout => Some(stream::json_stdout()),
            Some(path) => {
                let failed = |cause| RunError::DecisionFile { path: path.to_owned(), cause };
                Some(stream::decisions(DecisionFile::open(path).map_err(failed)?))
            }
        };
        let display = match (arguments.quiet, arguments.json, has_command) {
            (true, ..) => Display::Nothing,
            // With `--decisions -`, stdout has every decision already.
            (false, _, false) if on_stdout => Display::Nothing,
            (false, true, true) => Display::JsonBesideCommand,
            (false, true, false) => Display::Json,
            (false, false, true) => Display::Denials,
            (false, false, false) => Display::Text,
        };
        if matches!(display, Display::Json) || arguments.json && !has_command {
            stream::json_stdout();
        }
        stream::stderr().yield_terminal(matches!(display, Display::Denials) && has_command);
        let summary = Summary::default();
        Ok(Self { display, has_command, decisions, hidden_host: String::new(), summary, held: 0 })
    }

    /// Prints no decision on this host: it is that of Weir's own probes.
    pub(super) fn hide(&mut self, host: String) {
        self.hidden_host = host;
    }

    /// Prints the variables. `credentials` is the file of the proxy's credentials, which are not printed.
    pub(super) fn ready(
        &self,
        environment: &Environment,
        credentials: Option<&Path>,
        after: Duration,
    ) -> io::Result<()> {
        if matches!(self.display, Display::Json) {
            stream::json_stdout().write(json(&Ready::new(environment, credentials, after)) + "\n");
            return Ok(());
        }
        let mut lines = Vec::new();
        environment.write_exports(&mut lines)?;
        if let Some(file) = credentials {
            let file = printable(&file.display().to_string());
            writeln!(
                lines,
                "# the proxy requires credentials: write `USER:PASSWORD@` of `{file}` before its address"
            )?;
        }
        writeln!(lines, "# ready in {} ms", after.as_millis())?;
        let only_decisions = self.decisions.is_some_and(|stream| std::ptr::eq(stream, stream::stdout()));
        let to = if only_decisions { stream::stderr() } else { stream::stdout() };
        to.write(String::from_utf8_lossy(&lines).into_owned());
        Ok(())
    }

    /// Prints a line.
    pub(super) fn line(&mut self, line: &Line) {
        let is_worth_telling = match line {
            Line::Decision(decision) if decision.record.host == self.hidden_host => return,
            Line::Decision(decision) => {
                let record = &decision.record;
                record.effect != Effect::Allow || record.reason != Reason::Allowed
            }
            Line::MoreDenials(_) => true,
        };
        if let Some(stream) = self.decisions {
            stream.write(object(line) + "\n");
        }
        let mut is_seen = true;
        match self.display {
            Display::Nothing => {}
            Display::Text => stream::stdout().write(text(line) + "\n"),
            Display::Json => stream::stdout().write(object(line) + "\n"),
            Display::JsonBesideCommand => stream::stderr().write(object(line) + "\n"),
            Display::Denials if is_worth_telling => {
                self.held = if stream::stderr().is_waiting_for_terminal() { self.held + 1 } else { 0 };
                is_seen = self.held <= MOST_HELD;
                if is_seen {
                    stream::stderr().write(format!("weir: {}\n", text(line)));
                }
            }
            Display::Denials => {}
        }
        self.summary.add(line, is_seen);
    }

    /// Prints that a client refused a certificate. This is no decision.
    pub(super) fn certificate_refused(&self, refused: &RefusedCertificate) {
        let refusal = CertificateRefusal::new(refused);
        match self.display {
            Display::Json => stream::stdout().write(json(&refusal) + "\n"),
            Display::JsonBesideCommand => stream::stderr().write(json(&refusal) + "\n"),
            Display::Nothing | Display::Text | Display::Denials => {
                tracing::warn!(help = refusal.help(), "{}", refusal.message());
            }
        }
    }

    /// Lets what waits for a full-screen program through: the command has ended.
    pub(super) fn command_ended(&self) {
        stream::stderr().yield_terminal(false);
    }

    /// Prints the summary of a run with a command.
    pub(super) fn end(&self) {
        if self.has_command && matches!(self.display, Display::Denials) {
            for line in self.summary.lines() {
                stream::stderr().write(format!("weir: {line}\n"));
            }
        }
    }
}

/// The first line of `--json` without a command.
#[derive(Debug, Serialize)]
struct Ready {
    phase: &'static str,
    milliseconds: u128,
    environment: serde_json::Map<String, serde_json::Value>,
    credentials_file: Option<String>,
}

impl Ready {
    fn new(environment: &Environment, credentials: Option<&Path>, after: Duration) -> Self {
        let variables =
            environment.iter().map(|(name, value)| (name.to_owned(), value.to_string_lossy().into()));
        Self {
            phase: "ready",
            milliseconds: after.as_millis(),
            environment: variables.collect(),
            credentials_file: credentials.map(|file| file.display().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::printed_line::tests::decision;
    use super::*;
    use crate::decision_log::denial_flood::MoreDenials;
    use crate::decision_log::refused_certificate::RefusalSign;

    #[test]
    fn every_field_of_every_line_is_documented_and_no_other() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/decisions.md");
        let document = std::fs::read_to_string(document).unwrap();
        let environment = Environment::new(
            crate::local_gateway::environment::Proxy {
                address: ([127, 0, 0, 1], 15001).into(),
                user_information: None,
            },
            &crate::local_gateway::environment::TrustFiles {
                root: "/roots".into(),
                bundle: "/bundle".into(),
                java_truststore: "/truststore".into(),
            },
            |_| None,
        );
        let more = MoreDenials {
            time: 1,
            phase: "counted",
            effect: "deny",
            reason: "host_not_allowed".into(),
            count: 2,
        };
        let refused =
            RefusedCertificate { time: 1, server_name: None, client: None, sign: RefusalSign::Closed };
        for (heading, line) in [
            ("## A decision", json(&decision("x"))),
            ("## A count of denials", json(&more)),
            ("## A refused certificate", json(&CertificateRefusal::new(&refused))),
            ("## The start", json(&Ready::new(&environment, None, Duration::ZERO))),
        ] {
            let section = document.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
            let section = section.split("\n## ").next().unwrap();
            let rows = section.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
            let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            assert_eq!(rows.collect::<Vec<_>>(), line.keys().collect::<Vec<_>>(), "{heading}");
        }
    }
}
