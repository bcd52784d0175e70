//! `weir explain --policy FILE METHOD URL`: shows the decision on a request, and the reason.

mod explanation;
mod typed_url;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Args;
use weir_policy::{Effect, Target, Tls};
use weir_rego::{DecisionWithAnswer, Program};

use crate::command::exit_code::ExitCode;
use crate::command::explain::explanation::Explanation;
use crate::command::explain::typed_url::TypedUrl;
use crate::command::streams;
use crate::input::loaded_policy::{self, LoadOutcome, LoadedPolicy};
use crate::input::policy_text::PolicyText;
use crate::local_gateway::error::RunError;
use crate::output::inert_json;
use crate::output::report::{Style, printable};

/// The arguments of `weir explain`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The policy document (`-` is standard input)
    #[arg(long, value_name = "FILE", default_value = "policy.yaml")]
    policy: PathBuf,
    /// The method of the request
    method: String,
    /// The URL of the request
    url: String,
    /// The TLS server name, if it is not the URL's host (empty: none is sent)
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// A header of the request, for a Rego policy to read
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Write a JSON object to stdout
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `name: value`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

/// Decides the request and explains the decision. The code is [`ExitCode::Ok`] for allow and [`ExitCode::Deny`] for
/// deny.
///
/// # Errors
/// When the policy cannot be read, or stdout cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    streams::run(|out, err, style| explain(arguments, &mut io::stdin().lock(), out, err, style))
}

fn explain(
    arguments: &Arguments,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
    style: Style,
) -> anyhow::Result<ExitCode> {
    let file = PolicyText::read(&arguments.policy, input).map_err(RunError::Policy)?;
    let enforced = match LoadOutcome::for_evaluation(&file).outcome {
        Ok(enforced) => enforced,
        Err(files) => {
            write!(err, "{}", loaded_policy::report(&files, style))?;
            return Ok(ExitCode::Invalid);
        }
    };
    let version = enforced.version();
    let LoadedPolicy { policy, rego, .. } = enforced;
    let program = rego.map(|rego| Program::load(&rego.plan)).transpose()?;
    let TypedUrl { url, notes } = TypedUrl::new(&arguments.url);
    let target = match Target::parse(&url) {
        Ok(target) => target,
        Err(error) => {
            writeln!(err, "error: `{}`: {error}", printable(&arguments.url))?;
            writeln!(
                err,
                "help: write it in full, as in `{}`",
                printable(&typed_url::in_full(&arguments.url))
            )?;
            return Ok(ExitCode::Invalid);
        }
    };
    let mut request = target.request(&arguments.method);
    if let Some(sni) = &arguments.sni {
        request.server_name = Some(sni.as_bytes()).filter(|sni| !sni.is_empty());
    }
    let headers: Vec<(&str, &[u8])> =
        arguments.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let alone = |(decision, trace)| (DecisionWithAnswer { decision, answer: None }, trace);
    let (tls, (ruling, trace)) = match (policy.passed_through(&request), &program) {
        (Some(connection), _) => (Tls::Passthrough, alone(policy.explain_pass(&connection))),
        (None, Some(program)) => (Tls::Intercept, weir_rego::explain(&policy, program, &request, &headers)),
        (None, None) => (Tls::Intercept, alone(policy.explain(&request))),
    };
    let DecisionWithAnswer { decision, answer } = ruling;
    let explanation = Explanation {
        method: &arguments.method,
        url: &arguments.url,
        shows_sni: arguments.sni.is_some(),
        notes,
        version,
        request,
        tls,
        decision,
        answer,
        trace,
    };
    if arguments.json {
        writeln!(out, "{}", inert_json::to_string(&explanation.object())?)?;
    } else {
        explanation.write(out)?;
    }
    Ok(match decision.effect {
        Effect::Allow => ExitCode::Ok,
        Effect::Deny => ExitCode::Deny,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const POLICY: &str = "\
allowed_domains: [docs.example]
rules:
- {id: crates, effect: allow, hosts: [crates.example, '*.crates.example'], methods: [GET], paths: [/api/*]}
- {id: publish, effect: allow, hosts: [crates.example], methods: [PUT], paths: [/api/new]}
- {id: no-admin, effect: deny, hosts: ['*.crates.example', crates.example], paths: [/api/admin/*]}
";

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn run_with(policy: &str, arguments: &[&str]) -> String {
        let typed = ["explain", "--policy", "-"].iter().chain(arguments);
        let command = Command::try_parse_from(typed).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code =
            explain(&command.arguments, &mut policy.as_bytes(), &mut out, &mut err, Style::Plain).unwrap();
        let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
        let command = printable(&arguments.join(" "));
        format!("$ weir explain {command}\ncode: {}\n--- stdout\n{out}--- stderr\n{err}", u8::from(code))
    }

    fn run(arguments: &[&str]) -> String {
        run_with(POLICY, arguments)
    }

    #[test]
    fn an_allowed_request_names_its_rule() {
        insta::assert_snapshot!(run(&["GET", "https://Crates.Example:443/api/v1/../%78?q"]));
    }

    #[test]
    fn a_path_that_envoy_resolves_first_has_a_note() {
        for path in ["/..", "/a/../b", "/a/%2E./b", "/a\\b", "/a/..;x/b", "/."] {
            let shown = run(&["GET", &format!("https://docs.example{path}")]);
            assert!(shown.contains("\n  note     Envoy resolves"), "{shown}");
        }
        for path in ["/", "/a/b", "/a..b", "/a?/../\\", "/.a/..b", "/a%2f..b"] {
            let shown = run(&["GET", &format!("https://docs.example{path}")]);
            assert!(!shown.contains("\n  note "), "{shown}");
        }
    }

    #[test]
    fn a_url_is_judged_as_a_client_sends_it() {
        let policy = "rules: [{id: a, effect: allow, hosts: [xn--bcher-kva.example, 127.0.0.1, '[::1]'], ports: [443, 8443]}]";
        for (url, note) in [
            ("https://b\u{fc}cher.example/", "send xn--bcher-kva.example for"),
            ("https://B\u{dc}CHER.example:8443/", "send xn--bcher-kva.example for"),
            ("https://0x7f.1/", "send 127.0.0.1 for"),
            ("https://2130706433/", "send 127.0.0.1 for"),
            ("https://user:pass@xn--bcher-kva.example/", "user information"),
            ("https://xn--bcher-kv%61.example/", "send xn--bcher-kva.example for"),
            ("https://127.0.0.1./", "send 127.0.0.1 for"),
        ] {
            let shown = run_with(policy, &["GET", url]);
            let noted = shown.lines().any(|line| line.starts_with("  note ") && line.contains(note));
            assert!(noted && shown.contains("allow: allowed\n"), "{shown}");
        }
        for url in [
            "HTTPS://XN--BCHER-KVA.example./?q",
            "https://xn--bcher-kva.example?q#f",
            "https://xn--bcher-kva.example:/",
            "https://xn--bcher-kva.example:08443/",
            "https://[0:0::1]/",
        ] {
            let shown = run_with(policy, &["GET", url]);
            assert!(!shown.contains("  note ") && shown.contains("allow: allowed\n"), "{shown}");
        }
        for url in [
            "https://a_b.example/",
            "https://a..b/",
            "https://[fe80::1%25eth0]/",
            "https://*.example/",
            "https://1.2.3.4.5/",
        ] {
            assert!(run_with(policy, &["GET", url]).contains("deny: invalid_host\n"), "{url}");
        }
        let shown = run_with(policy, &["GET", "B\u{fc}cher.example/path"]);
        assert!(shown.contains("as in `https://B\u{fc}cher.example/path`"), "{shown}");
    }

    #[test]
    fn a_miss_names_the_nearest_rule_and_why_each_did_not_match() {
        insta::assert_snapshot!(run(&["POST", "https://crates.example/api/new"]));
    }

    #[test]
    fn a_deny_rule_is_named() {
        insta::assert_snapshot!(run(&["GET", "https://x.crates.example/api/admin/users"]));
    }

    #[test]
    fn an_unknown_host_shows_the_hosts_that_are_near() {
        insta::assert_snapshot!(run(&["GET", "https://www.docs.example/"]));
    }

    #[test]
    fn what_would_be_denied_is_said_with_the_modes() {
        let policy = POLICY.replace("- {id: publish,", "- {mode: report, id: publish,");
        let policy = policy.replace("- {id: crates,", "- {mode: report, id: crates,");
        insta::assert_snapshot!(run_with(&policy, &["POST", "https://crates.example/api/new"]));
    }

    #[test]
    fn a_connection_that_is_passed_through_is_judged_by_its_name() {
        let policy = format!(
            "{POLICY}- {{id: pinned, effect: allow, hosts: [pinned.example], tls: passthrough, upstream: {{host: inner.example}}}}\n"
        );
        insta::assert_snapshot!(run_with(&policy, &["POST", "https://pinned.example/any"]));
    }

    #[test]
    fn another_server_name_is_refused() {
        insta::assert_snapshot!(run(&["GET", "https://docs.example/", "--sni", "crates.example"]));
    }

    #[test]
    fn an_odd_host_is_refused_and_cannot_steer_the_terminal() {
        insta::assert_snapshot!(run(&["GET", "https://docs.example\u{1b}[2J@evil.example/"]));
    }

    #[test]
    fn the_same_as_json() {
        insta::assert_snapshot!(run(&["POST", "https://crates.example/api/new", "--json"]));
    }

    #[test]
    fn a_text_that_is_no_url_is_a_wrong_use() {
        insta::assert_snapshot!(run(&["GET", "docs.example"]));
    }

    #[test]
    fn an_invalid_policy_is_reported_as_by_check() {
        insta::assert_snapshot!(run_with("allowed_domains: 7", &["GET", "https://docs.example/"]));
    }
}
