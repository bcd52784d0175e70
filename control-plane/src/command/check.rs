//! `weir check FILE…`: reports every fault of a policy at once, with line, column and help.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use weir_policy::{Fault, Policy};

use crate::command::exit_code::ExitCode;
use crate::command::streams;
use crate::input::loaded_policy::{self, FaultyFile, LoadOutcome, LoadedPolicy};
use crate::input::policy_text::{PolicyText, PolicyTextError};
use crate::output::inert_json;
use crate::output::report::{self, Style};

/// The arguments of `weir check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Policy documents (`-` is standard input)
    #[arg(value_name = "FILE", default_value = "policy.yaml")]
    files: Vec<PathBuf>,
    /// Write a JSON object for each file to stdout, one a line
    #[arg(long)]
    json: bool,
}

/// Checks every file. The code is [`ExitCode::Invalid`] if a file has a fault, or else [`ExitCode::Failure`] if a file
/// cannot be read.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    streams::run(|out, err, style| check(arguments, &mut io::stdin().lock(), out, err, style))
}

fn check(
    arguments: &Arguments,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
    style: Style,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::Ok;
    for path in &arguments.files {
        let file = PolicyText::read(path, input);
        let outcome = file.as_ref().map(|file| (file, LoadOutcome::new(file).outcome));
        if arguments.json {
            writeln!(out, "{}", inert_json::to_string(&object(path, &outcome))?)?;
        } else {
            match &outcome {
                Ok((file, Ok(enforced))) => {
                    write!(err, "{}", report::warnings(file.name(), file.text(), &enforced.warnings, style))?;
                    let engine =
                        enforced.rego.as_ref().map(|rego| format!(", Rego: {}", loaded_policy::engine(rego)));
                    let (size, engine) = (size(enforced), engine.unwrap_or_default());
                    writeln!(out, "{}: ok ({size}{engine})", report::printable(file.name()))?;
                }
                Ok((_, Err(files))) => write!(err, "{}", loaded_policy::report(files, style))?,
                Err(error) => writeln!(err, "error: {error}")?,
            }
        }
        code = match (code, outcome) {
            (ExitCode::Invalid, _) | (_, Ok((_, Err(_)))) => ExitCode::Invalid,
            (_, Err(_)) => ExitCode::Failure,
            (code, Ok((_, Ok(_)))) => code,
        };
    }
    Ok(code)
}

fn size(enforced: &LoadedPolicy) -> String {
    let policy = &enforced.policy;
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (rules, hosts) = (policy.rules().count(), hosts(policy));
    format!("{}, {}, version {}", count(rules, "rule"), count(hosts, "host"), enforced.version())
}

/// Returns the number of hosts that the policy names, also of passed-through ones.
fn hosts(policy: &Policy) -> usize {
    policy.hosts().chain(policy.passthrough_hosts()).count()
}

type CheckOutcome<'a> = Result<(&'a PolicyText, Result<LoadedPolicy, Vec<FaultyFile>>), &'a PolicyTextError>;

fn object(path: &Path, outcome: &CheckOutcome<'_>) -> serde_json::Value {
    let path = path.to_string_lossy();
    match outcome {
        Ok((_, Ok(enforced))) => {
            let LoadedPolicy { policy, rego, .. } = enforced;
            let mut object = json!({
                "file": path,
                "status": "ok",
                "version": enforced.version().to_string(),
                "rules": policy.rules().count(),
                "hosts": hosts(policy),
                "warnings": enforced.warnings.iter().map(fault).collect::<Vec<_>>(),
            });
            if let Some(rego) = rego {
                object["rego_engine"] = json!(rego.plan.engine().as_str());
            }
            object
        }
        Ok((document, Err(files))) => json!({
            "file": path,
            "status": "invalid",
            "faults": files.iter().flat_map(|file| faults(document, file)).collect::<Vec<_>>(),
            "omitted": files.iter().map(|file| file.faults.omitted).sum::<usize>(),
        }),
        Err(error) => json!({ "file": path, "status": "unreadable", "error": error.to_string() }),
    }
}

/// Returns the faults of a file as JSON. If the file is not the document itself, each fault names it.
fn faults(document: &PolicyText, file: &FaultyFile) -> Vec<serde_json::Value> {
    let mut faults: Vec<serde_json::Value> = file.faults.list.iter().map(fault).collect();
    if file.name != document.name() {
        faults.iter_mut().for_each(|fault| fault["in"] = json!(file.name));
    }
    faults
}

fn fault(fault: &Fault) -> serde_json::Value {
    let Fault { span, line, column, at, message, help } = fault;
    json!({
        "line": line,
        "column": column,
        "start": span.start,
        "end": span.end,
        "at": at,
        "message": message,
        "help": help,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "allowed_domains: [a.example]\nrules:\n- {id: b, effect: allow, hosts: ['*.b.example']}\n";
    const BAD: &str = "allowed_domains: [A.example]\nrule: []\n";

    /// Returns the output of `weir check` in a folder with a good and a bad policy.
    fn run(arguments: &[&str], input: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
        std::fs::write(folder.path().join("bad.yaml"), BAD).unwrap();
        let here = format!("{}/", folder.path().display());
        let json = arguments.contains(&"--json");
        let files = arguments.iter().filter(|argument| **argument != "--json");
        let files =
            files.map(|name| if *name == "-" { name.into() } else { folder.path().join(name) }).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments_typed = Arguments { files, json };
        let code = check(&arguments_typed, &mut input.as_bytes(), &mut out, &mut err, Style::Plain).unwrap();
        let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap().replace(&here, ""));
        let command = arguments.join(" ");
        format!("$ weir check {command}\ncode: {}\n--- stdout\n{out}--- stderr\n{err}", u8::from(code))
    }

    #[test]
    fn good_files_are_ok() {
        insta::assert_snapshot!(run(&["good.yaml", "-"], "unrestricted_domains: []"));
    }

    #[test]
    fn all_faults_of_all_files_are_reported() {
        insta::assert_snapshot!(run(&["bad.yaml", "good.yaml", "missing.yaml"], ""));
    }

    #[test]
    fn the_same_as_json() {
        insta::assert_snapshot!(run(&["--json", "bad.yaml", "good.yaml", "missing.yaml"], ""));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_failure() {
        assert!(run(&["missing.yaml", "good.yaml"], "").contains("code: 1\n"));
    }
}
