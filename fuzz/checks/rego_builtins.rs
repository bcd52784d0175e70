//! Any arguments that a request brings to a builtin have a value or none, and never a panic.

use weir_rego::{Bundle, EvaluationError, Input, Module, Program, check as check_policy};

#[allow(dead_code, reason = "the tests of every combination use the rest")]
#[path = "../../rego/tests/builtins/calls.rs"]
mod calls;

thread_local! {
    static PROGRAM: Program = {
        let modules = vec![Module { name: "policy.rego".to_owned(), text: calls::policy_of_arguments() }];
        let bundle = Bundle { modules, data: calls::data(), query: calls::QUERY.to_owned() };
        Program::load(&check_policy(&bundle).expect("a good policy").plan).expect("it loads")
    };
}

/// Checks one input: the position of a builtin, and behind it a JSON list of its arguments. A constant is told by its
/// position, a set as the value of the key `set`.
pub(crate) fn check(input: &[u8]) {
    let Some((builtin, arguments)) = input.split_first() else { return };
    let Some((name, _)) = calls::BUILTINS.get(usize::from(*builtin) % calls::BUILTINS.len()) else { return };
    let request = Input {
        method: "GET",
        scheme: "https",
        host: "a.example",
        principal: Some("a.example"),
        path: Some("/"),
        decoded_path: Some(b"/"),
        query: None,
        headers: &[("x-builtin", name.as_bytes()), ("x-arguments", arguments)],
    };
    let answer = PROGRAM.with(|program| program.evaluate(&request));
    assert_ne!(answer, Err(EvaluationError::Panicked), "{name}");
}
