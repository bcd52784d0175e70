//! A builtin never panics, whatever arguments a request supplies.

use weir_rego::{Bundle, EvaluationError, Module, Program, check as check_policy};

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

/// Checks one input: the position of a builtin, then a JSON list of its arguments. A number selects a constant by its
/// position. An object with the key `set` stands for a set.
pub(crate) fn check(input: &[u8]) {
    let Some((builtin, arguments)) = input.split_first() else { return };
    let Some((name, _)) = calls::BUILTINS.get(usize::from(*builtin) % calls::BUILTINS.len()) else { return };
    let headers = [("x-builtin", name.as_bytes()), ("x-arguments", arguments)];
    let answer = PROGRAM.with(|program| program.evaluate(&calls::request(&headers)));
    assert_ne!(answer, Err(EvaluationError::Panicked), "{name}");
}
