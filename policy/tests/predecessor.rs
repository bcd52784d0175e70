//! The predecessor's policy, decided three times: by OPA, by another engine for its Rego, and by Weir from the same
//! data. Where Weir differs, exactly one of the listed differences says why (`docs/predecessor.md`).
//!
//! OPA's own answers to a fixed table of requests are recorded beside this file, so that its semantics count where
//! there is no Go to build it with. `cargo xtask test` builds it where there is.
#![cfg(feature = "compile")]

#[path = "predecessor/differences.rs"]
mod differences;
#[path = "predecessor/generated.rs"]
mod generated;
#[path = "predecessor/opa.rs"]
mod opa;
#[path = "predecessor/plain.rs"]
mod plain;
#[path = "predecessor/recorded.rs"]
mod recorded;
#[path = "predecessor/rego.rs"]
mod rego;
#[path = "predecessor/request.rs"]
mod request;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;
use weir_policy::Policy;

use differences::{DIFFERENCES, explanation};
use rego::Rego;
use request::Request;

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/predecessor").join(file)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The example's data.
fn data() -> Value {
    serde_json::from_str(&read(&example("data.json"))).expect("JSON")
}

/// Compiles the predecessor's data to a policy. The data is a policy document, because JSON is YAML and the keys are equal.
fn compile(data: &Value) -> Policy {
    weir_policy::compile(&data.to_string()).unwrap_or_else(|faults| panic!("{data}\n{faults}"))
}

#[test]
fn the_document_and_the_data_are_the_same_policy() {
    let document = weir_policy::compile(&read(&example("policy.yaml"))).expect("a policy");
    assert_eq!(document.version(), compile(&data()).version());
}

#[test]
fn the_recorded_answers_of_opa_are_regos_and_ours_but_for_the_listed_differences() {
    let (policy, rego) = (compile(&data()), Rego::new(&data()));
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let rows = recorded::read();
    let asked = rows.iter().map(|(request, _)| request);
    assert!(asked.eq(&recorded::requests()), "the table holds other requests: record it anew");
    for (request, opa) in &rows {
        assert_eq!(rego.allows(request), *opa, "the engines differ: {request:?}");
        if let Some(difference) =
            explanation(&policy, &rego, request).unwrap_or_else(|error| panic!("{error}"))
        {
            *explained.entry(difference).or_default() += 1;
        }
    }
    let listed: Vec<&str> = DIFFERENCES.iter().map(|difference| difference.name).collect();
    for name in &listed {
        assert!(explained.contains_key(name), "no request of the table shows `{name}`");
    }
    assert!(rows.iter().any(|(_, opa)| *opa) && rows.iter().any(|(_, opa)| !*opa));
}

#[test]
fn generated_requests_differ_by_a_listed_difference_or_not_at_all() {
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let strategy = (generated::data(), proptest::collection::vec(generated::request(), 1..64));
    let outcome = TestRunner::new(config).run(&strategy, |(data, requests)| {
        let (policy, rego) = (compile(&data), Rego::new(&data));
        for request in &requests {
            explanation(&policy, &rego, request).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
#[ignore = "needs OPA: `cargo xtask test` builds it where there is Go"]
fn opa_answers_as_recorded_and_as_the_other_engine() {
    let requests = recorded::requests();
    let answers = opa::answers([(&data(), &requests[..])]);
    let rows: Vec<(Request, bool)> = requests.into_iter().zip(answers).collect();
    if std::env::var_os("WEIR_RECORD").is_some() {
        recorded::write(&rows);
    }
    assert!(rows == recorded::read(), "the table holds other answers: record it anew with WEIR_RECORD=1");

    let mut runner = TestRunner::new(Config::default());
    let strategy = (generated::data(), proptest::collection::vec(generated::request(), 64));
    let questions: Vec<(Value, Vec<Request>)> =
        (0..256).map(|_| strategy.new_tree(&mut runner).expect("values").current()).collect();
    let mut answers =
        opa::answers(questions.iter().map(|(data, requests)| (data, &requests[..]))).into_iter();
    for (data, requests) in &questions {
        let rego = Rego::new(data);
        for request in requests {
            assert_eq!(answers.next(), Some(rego.allows(request)), "{data}\n{request:?}");
        }
    }
    assert_eq!(answers.next(), None);
}

#[test]
fn the_documentation_lists_each_difference_once() {
    let page = read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/predecessor.md"));
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|row| row.0)
        .collect();
    let listed: Vec<&str> = DIFFERENCES.iter().map(|difference| difference.name).collect();
    assert_eq!(rows, listed);
}
