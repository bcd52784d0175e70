//! The documentation lists exactly the reasons, options, variables and tests that exist.

#[path = "documentation/named_tests.rs"]
mod named_tests;

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

use clap::Args;
use weir::command::run::Arguments;
use weir::local_gateway::environment::{NO_PROXY, VARIABLES, Value, Variable};
use weir_policy::Reason;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the first cells of the tables' rows, without their backticks. A cell with several names gives each of them.
fn first_cells(text: &str) -> BTreeSet<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once(" |")).flat_map(|(cell, _)| cell.split(", ")).map(unquoted).collect()
}

fn unquoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn every_reason_to_deny_is_documented_and_no_other() {
    let text = document("docs/denials.md");
    let allowing = [Reason::Allowed, Reason::OpenMode];
    let reasons = Reason::ALL.into_iter().filter(|reason| !allowing.contains(reason)).map(Reason::as_str);
    assert_eq!(first_cells(&text), reasons.collect());
}

#[test]
fn every_variable_and_option_is_documented() {
    let text = document("docs/running.md");
    for Variable { name, value, serves } in VARIABLES {
        let value = match value {
            Value::Proxy => "the proxy",
            Value::NoProxy => &format!("`{NO_PROXY}`"),
            Value::Bundle => "`ca-bundle.pem`",
            Value::Root => "`roots.pem`",
            Value::On => "`1`",
            Value::JavaOptions => "proxy and `truststore.jks`",
        };
        let row = format!("| `{name}` | {value} | {serves} |\n");
        assert!(text.contains(&row), "{row}");
    }
    let cells = first_cells(&text);
    let run = Arguments::augment_args(clap::Command::new("run"));
    for option in run.get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(
            cells.iter().any(|cell| cell.split(' ').next() == Some(&format!("--{option}"))),
            "--{option}"
        );
    }
}

#[test]
fn every_policy_in_the_documentation_compiles() {
    let mut policies = 0;
    for path in ["README.md", "docs/policy.md", "docs/rego.md", "docs/running.md", "docs/denials.md"] {
        let text = document(path);
        for block in text.split("\n```yaml\n").skip(1) {
            let policy = block.split("\n```").next().unwrap_or_default();
            if let Err(faults) = weir_policy::compile_document(policy) {
                panic!("{path}: {policy}\n{faults}");
            }
            policies += 1;
        }
    }
    assert!(policies >= 3, "the README alone has three: {policies}");
}
