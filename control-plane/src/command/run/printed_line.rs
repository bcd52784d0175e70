//! The lines of `weir run` about decisions: one for a person, one as JSON.

use serde::Serialize;
use weir_policy::Reason;

use crate::decision_log::denial_flood::MoreDenials;
use crate::decision_log::logged_decision::Phase;
use crate::decision_log::{Line, LoggedDecision};
use crate::output::inert_json;
use crate::output::report::{plain_text, url_text};

/// The maximum number of characters of Envoy's error text in a line.
const LONGEST_FAILURE: usize = 300;

/// Returns the line as a JSON object.
pub(super) fn object(line: &Line) -> String {
    match line {
        Line::Decision(decision) => json(decision),
        Line::MoreDenials(more) => json(more),
    }
}

/// Returns the line for a person.
pub(super) fn text(line: &Line) -> String {
    match line {
        Line::Decision(decision) => human(decision),
        Line::MoreDenials(more) => more_denials(more),
    }
}

/// Returns an object of plain ASCII.
pub(super) fn json(line: &impl Serialize) -> String {
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
pub(crate) mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::nodes::identity::tests::node;
    use weir_contract::record::{DecisionRecord, Word};
    use weir_policy::Effect;

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

    /// Makes a decision whose texts are all this one.
    pub(crate) fn decision(text: &str) -> LoggedDecision {
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
}
