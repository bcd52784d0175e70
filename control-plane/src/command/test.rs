//! `weir test PATH…`: runs the decision cases beside policies.
//!
//! A file of cases is named `decisions.yaml`, and its policy is the `policy.yaml` in the same folder. A path is such a
//! file, or a folder in which all such files are run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use weir_policy::cases::{self, Case};
use weir_policy::{Decision, Policy, Tls};
use weir_rego::{LoadError, Plan, Program};

use crate::command::exit_code::ExitCode;
use crate::command::streams;
use crate::input::loaded_policy::{self, LoadOutcome, LoadedPolicy};
use crate::input::policy_text::PolicyText;
use crate::output::inert_json;
use crate::output::report::{self, Style, printable, sentence};

/// The name of a file with cases.
const CASES: &str = "decisions.yaml";
/// The name of the policy in the same folder.
const POLICY: &str = "policy.yaml";
/// The maximum depth of folders in which cases are sought.
const DEPTH: usize = 16;

/// The arguments of `weir test`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files named `decisions.yaml`, or folders in which all such files are run
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Write a JSON object for each case to stdout, one a line
    #[arg(long)]
    json: bool,
}

/// Runs every case. The code is [`ExitCode::Invalid`] if a policy or a file of cases has a fault. Otherwise it is
/// [`ExitCode::Failure`] if a decision differs from the expected one, or a path has no cases.
///
/// # Errors
/// When a file or folder cannot be read, or stdout cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    streams::run(|out, err, style| test(arguments, out, err, style))
}

fn test(
    arguments: &Arguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
    style: Style,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::Ok;
    for path in &arguments.paths {
        let mut files = Vec::new();
        find(path, DEPTH, &mut files)?;
        if files.is_empty() {
            writeln!(err, "error: no `{CASES}` in `{}`", printable(&path.to_string_lossy()))?;
            writeln!(err, "help: put one beside a `{POLICY}`")?;
            code = worse(code, ExitCode::Failure);
        }
        for file in files {
            code = worse(code, run_file(&file, arguments.json, out, err, style)?);
        }
    }
    Ok(code)
}

/// Finds every file of cases at the path, in the order of their names.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let cannot_read = || format!("cannot read `{}`", path.display());
    if std::fs::metadata(path).with_context(cannot_read)?.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(cannot_read)?;
    let mut entries = entries.collect::<io::Result<Vec<_>>>().with_context(cannot_read)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // Links are not followed, because a link may lead back to this folder.
        let kind = entry.file_type().with_context(cannot_read)?;
        if kind.is_file() && entry.file_name() == CASES {
            files.push(entry.path());
        } else if kind.is_dir() && depth > 0 {
            find(&entry.path(), depth - 1, files)?;
        }
    }
    Ok(())
}

fn run_file(
    file: &Path,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
    style: Style,
) -> anyhow::Result<ExitCode> {
    let document = PolicyText::read(&file.with_file_name(POLICY), &mut io::empty())?;
    let written = PolicyText::read(file, &mut io::empty())?;
    let compiled = LoadOutcome::for_evaluation(&document).outcome;
    let parsed = written.parse(cases::parse);
    if let Err(files) = &compiled {
        write!(err, "{}", loaded_policy::report(files, style))?;
    }
    if let Err(faults) = &parsed {
        write!(err, "{}", report::faults(written.name(), written.text(), faults, style))?;
    }
    let (Ok(LoadedPolicy { policy, rego, .. }), Ok(cases)) = (compiled, parsed) else {
        return Ok(ExitCode::Invalid);
    };
    let engines = rego.map(|rego| Engines::load(&rego.plan)).transpose()?;
    let name = printable(written.name());
    let mut failed = 0;
    for case in &cases {
        let outcome = CaseOutcome::new(case, &policy, engines.as_ref());
        if json {
            writeln!(out, "{}", inert_json::to_string(&object(written.name(), case, &outcome))?)?;
        } else if let Some(mismatch) = &outcome.mismatch {
            let (method, url) = (printable(&case.method), printable(&case.url));
            writeln!(out, "{name}:{}: {method} {url}: {}", case.line, sentence(mismatch))?;
        }
        failed += usize::from(outcome.mismatch.is_some());
    }
    if !json {
        match (failed, cases.len()) {
            (0, 1) => writeln!(out, "{name}: ok (1 case)")?,
            (0, count) => writeln!(out, "{name}: ok ({count} cases)")?,
            (failed, count) => writeln!(out, "{name}: {failed} of {count} failed")?,
        }
    }
    Ok(if failed == 0 { ExitCode::Ok } else { ExitCode::Failure })
}

/// Returns the more important of two codes: an invalid file ranks before a wrong decision.
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    if u8::from(one) >= u8::from(other) { one } else { other }
}

/// The decision on a case's request, and its difference from the expected one.
struct CaseOutcome<'p> {
    decision: Decision<'p>,
    tls: Tls,
    mismatch: Option<String>,
}

/// A Rego policy in the engine that evaluates it, and in the other engine if both can.
struct Engines {
    used: Program,
    beside: Option<Program>,
}

impl Engines {
    fn load(plan: &Plan) -> Result<Self, LoadError> {
        Ok(Self { used: Program::load(plan)?, beside: Program::load_beside(plan)? })
    }
}

impl<'p> CaseOutcome<'p> {
    fn new(case: &Case, policy: &'p Policy, engines: Option<&Engines>) -> Self {
        let mut apart = None;
        let (decision, tls) = case.decide_with(policy, |request| {
            let Some(Engines { used, beside }) = engines else { return policy.decide(request) };
            let ask = |program| weir_rego::decide(policy, program, request, &case.headers());
            let ruling = ask(used);
            let other = beside.as_ref().map(ask).filter(|other| !ruling.agrees(other));
            apart = other.map(|_| "the engines for Rego do not agree: report it".to_owned());
            ruling.decision
        });
        let mismatch = case.compare(&decision, tls).err().map(|mismatch| mismatch.to_string());
        Self { decision, tls, mismatch: apart.or(mismatch) }
    }
}

fn object(file: &str, case: &Case, outcome: &CaseOutcome<'_>) -> serde_json::Value {
    let CaseOutcome { decision, tls, mismatch } = outcome;
    json!({
        "file": file,
        "line": case.line,
        "method": case.method,
        "url": case.url,
        "ok": mismatch.is_none(),
        "effect": decision.effect.as_str(),
        "reason": decision.reason.as_str(),
        "rule": decision.rule.map(|rule| rule.id()),
        "would_deny": decision.would_deny,
        "tls": tls.as_str(),
        "mismatch": mismatch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY_TEXT: &str = "rules: [{id: a, effect: allow, hosts: [a.example], methods: [GET]}]\n";
    const RIGHT: &str = "\
- {request: {method: GET, url: 'https://a.example/'}, expect: {effect: allow, rule: a}}
- {request: {method: PUT, url: 'https://a.example/'}, expect: {effect: deny, reason: method_not_allowed}}
";
    const WRONG: &str =
        "- {request: {method: PUT, url: 'https://a.example/'}, expect: {effect: allow, rule: b}}\n";

    /// Returns the output of `weir test` over folders with these policies and cases.
    fn run(folders: &[(&str, &str, &str)], json: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, policy, cases) in folders {
            let inner = folder.path().join("policies").join(name);
            std::fs::create_dir_all(&inner).unwrap();
            std::fs::write(inner.join(POLICY), policy).unwrap();
            if !cases.is_empty() {
                std::fs::write(inner.join(CASES), cases).unwrap();
            }
        }
        let here = format!("{}/", folder.path().display());
        let arguments = Arguments { paths: vec![folder.path().join("policies")], json };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = test(&arguments, &mut out, &mut err, Style::Plain).unwrap();
        let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap().replace(&here, ""));
        format!("$ weir test policies\ncode: {}\n--- stdout\n{out}--- stderr\n{err}", u8::from(code))
    }

    #[test]
    fn every_example_decides_as_its_cases_say() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let arguments = Arguments { paths: vec![examples], json: false };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = test(&arguments, &mut out, &mut err, Style::Plain).unwrap();
        let said = String::from_utf8([out, err].concat()).unwrap();
        assert_eq!(code, ExitCode::Ok, "{said}");
        for example in ["examples/rego", "predecessor/rego"] {
            assert!(said.contains(&format!("{example}/decisions.yaml: ok")), "{said}");
        }
    }

    #[test]
    fn engines_that_do_not_agree_fail_a_case() {
        let program = |text: &str| {
            let modules = vec![weir_rego::Module { name: String::new(), text: format!("package p\n{text}") }];
            let query = "data.p.allow".to_owned();
            let bundle = weir_rego::Bundle { modules, data: "{}".to_owned(), query };
            Program::load(&weir_rego::check(&bundle).unwrap().plan).unwrap()
        };
        let policy = weir_policy::compile("rego: {policy: policy.rego}").unwrap();
        let cases =
            cases::parse("- {request: {method: GET, url: 'https://a.example/'}, expect: {effect: allow}}")
                .unwrap();
        for (other, fails) in [("allow := true", false), ("allow := false", true)] {
            let engines = Engines { used: program("allow := true"), beside: Some(program(other)) };
            let outcome = CaseOutcome::new(&cases[0], &policy, Some(&engines));
            assert_eq!(outcome.mismatch.is_some(), fails, "{other}");
        }
    }

    #[test]
    fn cases_that_hold_are_counted() {
        insta::assert_snapshot!(run(&[("one", POLICY_TEXT, RIGHT), ("two", POLICY_TEXT, RIGHT)], false));
    }

    #[test]
    fn a_decision_that_differs_is_shown_with_its_line() {
        let cases = format!("{RIGHT}{WRONG}");
        insta::assert_snapshot!(run(&[("one", POLICY_TEXT, &cases), ("two", POLICY_TEXT, RIGHT)], false));
    }

    #[test]
    fn a_fault_of_the_policy_or_the_cases_is_shown_as_by_check() {
        insta::assert_snapshot!(run(
            &[
                ("one", "rule: []\n", WRONG),
                ("two", POLICY_TEXT, "- {request: {}}\n"),
                ("three", POLICY_TEXT, WRONG)
            ],
            false
        ));
    }

    #[test]
    fn the_same_as_json() {
        insta::assert_snapshot!(run(&[("one", POLICY_TEXT, &format!("{RIGHT}{WRONG}"))], true));
    }

    #[test]
    fn a_folder_without_cases_is_a_failure() {
        insta::assert_snapshot!(run(&[("one", POLICY_TEXT, "")], false));
    }
}
