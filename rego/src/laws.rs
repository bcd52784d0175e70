//! Laws that hold for every policy and every request, tested on many generated ones.

mod policies;
mod together;

use proptest::prelude::*;
use regorus::Value;

use crate::agreement;
use crate::analysis;
use crate::bundle::{Bundle, Module};
use crate::evaluation_error::EvaluationError;
use crate::input::Input;
use crate::plan::{Engine, Plan};
use crate::program::Program;
use policies::{DATA_TEXT, Family, policy};

fn bundle(text: &str) -> Bundle {
    let modules = vec![Module { name: "policy.rego".to_owned(), text: text.to_owned() }];
    Bundle { modules, data: DATA_TEXT.to_owned(), query: "data.p.allow".to_owned() }
}

const HEADERS: [&[(&str, &[u8])]; 3] = [&[], &[("x-a", b"a")], &[("a", b"1"), ("x-a", b"b")]];

/// Requests that are made from the words of the policies.
fn requests() -> Vec<Input<'static>> {
    let mut requests = Vec::new();
    for method in ["GET", "a"] {
        for host in ["a", "b"] {
            for path in ["/", "/a", "/a/b", "/b/a"] {
                for headers in HEADERS {
                    for principal in [Some(host), None] {
                        requests.push(Input {
                            method,
                            scheme: "https",
                            host,
                            principal,
                            path: Some(path),
                            decoded_path: Some(path.as_bytes()),
                            query: None,
                            headers,
                        });
                    }
                }
            }
        }
    }
    requests
}

fn analyse(bundle: &Bundle) -> analysis::Analysis {
    analysis::analyse(bundle, &Value::from_json_str(DATA_TEXT).unwrap())
}

fn plan(bundle: &Bundle, analysis: &analysis::Analysis, engine: Engine) -> Plan {
    let mut plan = Plan {
        engine,
        fields: analysis.fields,
        headers: analysis.headers.clone(),
        query: bundle.query.clone(),
        data: bundle.data.clone(),
        indexed_lists: analysis.indexed_lists.clone(),
        modules: bundle.modules.clone(),
    };
    let mut rewrites = analysis.rewrites.clone();
    rewrites.retain(|rewrite| engine == Engine::Vm || !rewrite.guards);
    crate::check::rewrite(&mut plan, rewrites);
    plan
}

/// Returns whether both deny, or both give equal values.
fn agree(one: &Result<Value, EvaluationError>, other: &Result<Value, EvaluationError>) -> bool {
    let nothing = |answer: &Result<Value, EvaluationError>| matches!(answer, Err(_) | Ok(Value::Undefined));
    one == other || (nothing(one) && nothing(other))
}

/// Asserts that an engine answers every request as the interpreter answers the original text.
fn assert_answers_as_written(text: &str, engine: Engine) -> Result<(), TestCaseError> {
    let bundle = bundle(text);
    let analysis = analyse(&bundle);
    let trusted = engine == Engine::Interpreter || analysis.interpreter_reason.is_none();
    if !analysis.faults.is_empty() || !trusted {
        return Ok(());
    }
    let written = Plan { modules: bundle.modules.clone(), ..plan(&bundle, &analysis, Engine::Interpreter) };
    let written = Program::load_into(&written, Engine::Interpreter);
    let used = Program::load_into(&plan(&bundle, &analysis, engine), engine);
    let (Ok(written), Ok(used)) = (written, used) else { return Ok(()) };
    for request in requests() {
        let (written, used) = (written.value(&request), used.value(&request));
        prop_assert!(
            agree(&written, &used),
            "{text}\n{request:?}\nas written {written:?}\n{engine:?} {used:?}"
        );
    }
    Ok(())
}

/// A policy that makes the engine panic, like one that the analysis does not know about.
const PANICS: &str = "package p\n\nallow if strings.count(input.attributes.request.http.host, \"\") > 0\n";

#[test]
fn a_panic_of_the_engine_is_an_error_and_the_program_is_not_asked_again() {
    let bundle = bundle(PANICS);
    let analysis = analyse(&bundle);
    assert!(!analysis.faults.is_empty());
    for engine in [Engine::Vm, Engine::Interpreter] {
        let program = Program::load_into(&plan(&bundle, &analysis, engine), engine).unwrap();
        for request in requests().iter().take(2) {
            assert_eq!(program.evaluate(request), Err(EvaluationError::Panicked), "{engine:?}");
        }
    }
}

#[test]
fn a_panic_of_the_engine_is_a_fault_with_its_place() {
    let bundle = bundle(PANICS);
    let analysis = analyse(&bundle);
    let program =
        Program::load_into(&plan(&bundle, &analysis, Engine::Interpreter), Engine::Interpreter).unwrap();
    let faults = agreement::faults(&bundle, analysis.query.as_ref(), &[&program]);
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert!(fault.message.contains("a fault of its own"), "{fault}");
    assert_eq!(fault.place.as_ref().map(|place| (place.line, place.column)), Some((3, 1)), "{fault}");
}

// Policies that are refused, or that the tested engine does not evaluate, count as cases. Most are.
proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_that_the_vm_is_trusted_with_has_the_interpreters_answers(text in policy(Family::Plain)) {
        assert_answers_as_written(&text, Engine::Vm)?;
    }

    #[test]
    fn the_cheaper_form_of_a_policy_means_the_same(text in policy(Family::Any)) {
        assert_answers_as_written(&text, Engine::Interpreter)?;
    }

    #[test]
    fn only_true_allows(text in policy(Family::Any)) {
        let bundle = bundle(&text);
        let analysis = analyse(&bundle);
        let Ok(program) = Program::load(&plan(&bundle, &analysis, Engine::Interpreter)) else { return Ok(()) };
        for request in requests() {
            let allowed = program.evaluate(&request).is_ok_and(|answer| answer.allowed);
            let value = program.value(&request);
            let said = match &value {
                Ok(Value::Bool(allowed)) => *allowed,
                Ok(object @ Value::Object(_)) => object["allowed"] == Value::Bool(true),
                Ok(_) | Err(_) => false,
            };
            prop_assert!(said || !allowed, "{text}\n{request:?}\n{value:?}");
        }
    }
}
