//! The output of `weir run`: the variables to set, and then decisions as they happen.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use weir_policy::{Effect, Reason};

use super::certificate_refusal::CertificateRefusal;
use super::summary::Summary;
use crate::decision_log::denial_flood::MoreDenials;
use crate::decision_log::logged_decision::Phase;
use crate::decision_log::refused_certificate::RefusedCertificate;
use crate::decision_log::{Line, LoggedDecision};
use crate::local_gateway::environment::Environment;
use crate::local_gateway::error::RunError;
use crate::output::decision_file::DecisionFile;
use crate::output::inert_json;
use crate::output::report::{plain_text, printable, url_text};
use crate::output::stream::{self, OutputStream};

/// The maximum number of characters of Envoy's error text in a line.
const LONGEST_FAILURE: usize = 300;

/// Decisions that wait for the end of a full-screen program. The summary counts the others.
const MOST_HELD: usize = 20;

/// The arguments that say what is printed where.
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
            // They are there already.
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

fn object(line: &Line) -> String {
    match line {
        Line::Decision(decision) => json(decision),
        Line::MoreDenials(more) => json(more),
    }
}

fn text(line: &Line) -> String {
    match line {
        Line::Decision(decision) => human(decision),
        Line::MoreDenials(more) => more_denials(more),
    }
}

fn json(line: &impl Serialize) -> String {
    inert_json::to_string(line).unwrap_or_default()
}

fn more_denials(more: &MoreDenials) -> String {
    let MoreDenials { count, reason, effect, .. } = more;
    let reason = url_text(reason);
    format!("{effect:<5} {count} more requests  {reason}; they came faster than lines are printed")
}

fn human(decision: &LoggedDecision) -> String {
    let record = &decision.record;
    let default_port = if record.scheme == "https" { 443 } else { 80 };
    let port =
        record.port.filter(|port| *port != default_port).map(|port| format!(":{port}")).unwrap_or_default();
    let rule = record.rule.as_deref().map(|rule| format!(" (rule '{}')", url_text(rule))).unwrap_or_default();
    // Envoy refuses some requests before it has read their host.
    let request = if record.host.is_empty() {
        "a request that was not read".to_owned()
    } else if record.method == "CONNECT" {
        // A tunnel has no URL: neither its scheme nor its path is known.
        let port = record.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("CONNECT {}{port}", url_text(&record.host))
    } else {
        let (method, host, path) = (url_text(&record.method), url_text(&record.host), url_text(&record.path));
        format!("{method} {}://{host}{port}{path}", url_text(&record.scheme))
    };
    let would_deny = if record.would_deny { "would be denied: " } else { "" };
    // A newer filter may have words of its own.
    let (effect, reason) = (url_text(record.effect.as_str()), url_text(record.reason.as_str()));
    // An open request may have no status yet, and gets another line at its end.
    let (word, status) = match decision.phase {
        Phase::Open => ("open", "...".to_owned()),
        Phase::End => (effect.as_str(), decision.status.to_string()),
    };
    let mut line = format!("{word:<5} {status} {request}  {would_deny}{reason}{rule}");
    if let Some(reason) = record.reason.known().filter(|reason| *reason != Reason::Allowed) {
        line.push_str("; ");
        line.push_str(reason.hint());
    }
    if let Some(cause) = decision.cause {
        line.push_str("; cause: ");
        line.push_str(cause);
    }
    if let Some(failure) = &decision.failure {
        // The text quotes the upstream's certificate.
        let failure: String = failure.chars().take(LONGEST_FAILURE).collect();
        line.push_str("; envoy: ");
        line.push_str(&plain_text(&failure));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::decision_log::refused_certificate::RefusalSign;
    use crate::nodes::identity::tests::node;
    use weir_contract::record::{DecisionRecord, Word};

    /// Texts that run a program if a shell or a terminal reads them as anything but text.
    const HOSTILE: [&str; 16] = [
        "`touch canary`",
        "$(touch canary)",
        "$(touch${IFS}canary)",
        "${a:=$(touch canary)}",
        "; touch canary;",
        ";touch${IFS}canary;",
        "|touch canary",
        "& touch canary &",
        "\n touch canary\n",
        "\rtouch canary",
        "\"; touch canary; \"",
        "'; touch canary; '",
        "\\'; touch canary; \\\"",
        "> canary",
        "<(touch canary)",
        "!touch\u{1b}[2J\u{9b}2J\u{202e}\u{2028}",
    ];

    fn decision(text: &str) -> LoggedDecision {
        let word = text;
        let text = || text.to_owned();
        LoggedDecision {
            node: node(1),
            time: 1,
            phase: Phase::End,
            record: DecisionRecord {
                effect: Word::new(word),
                reason: Word::new(word),
                rule: Some(text()),
                decision_id: text(),
                policy_version: text(),
                host: text(),
                port: Some(8080),
                scheme: text(),
                method: text(),
                path: format!("/{}", text()),
                upstream: Some(text()),
                sni: Some(text()),
                rego_reason: Some(text()),
                would_deny: false,
            },
            listener: text(),
            client: Some(text()),
            status: 403,
            attempts: 0,
            upstream_address: Some(text()),
            upstream_names: vec![text(), text()],
            upstream_tls: Some(text()),
            details: text(),
            cause: None,
            failure: Some(text()),
        }
    }

    #[test]
    fn no_line_steers_a_terminal_or_runs_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        for text in HOSTILE.map(str::to_owned).into_iter().chain([HOSTILE.concat()]) {
            let decision = decision(&text);
            for line in [json(&decision), human(&decision)] {
                assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
                for shell in ["sh", "bash"] {
                    for script in
                        [line.clone(), format!("x=\"$(cat <<'END'\n{line}\nEND\n)\"; eval \"y=$x\"")]
                    {
                        let mut shell = Command::new(shell);
                        shell.arg("-c").arg(&script).current_dir(folder.path());
                        shell.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
                    }
                }
                let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
                assert!(left.is_empty(), "{line}: {left:?}");
            }
        }
    }

    #[test]
    fn a_tunnel_is_shown_without_a_url() {
        let mut connect = decision("x");
        connect.record.effect = Effect::Deny.into();
        connect.record.method = "CONNECT".to_owned();
        connect.record.host = "a.example".to_owned();
        connect.record.port = Some(443);
        assert!(human(&connect).starts_with("deny  403 CONNECT a.example:443  "), "{}", human(&connect));
    }

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
