//! Every builtin that a policy may call, called with every combination of edge values in both engines.

#[allow(dead_code, reason = "the fuzz target uses the rest")]
#[path = "builtins/calls.rs"]
mod calls;

use std::collections::BTreeSet;

use calls::request;
use weir_rego::{Bundle, Engine, Fault, Module, Program, check, limits};

fn bundle(text: String, data: String, query: &str) -> Bundle {
    let modules = vec![Module { name: "policy.rego".to_owned(), text }];
    Bundle { modules, data, query: query.to_owned() }
}

#[test]
fn every_builtin_of_the_documentation_is_called() {
    let text = include_str!("../../docs/rego.md");
    let list = text.split("## Builtins\n").nth(1).expect("a section on builtins");
    let documented: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(documented, calls::BUILTINS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn no_builtin_panics_in_the_interpreter() {
    let checked = check(&bundle(calls::policy(), calls::data(), calls::QUERY)).expect("no fault");
    assert_eq!(checked.plan.engine(), Engine::Interpreter);
    let program = Program::load(&checked.plan).expect("it loads");
    for (name, letters) in calls::BUILTINS {
        let mut calls = 0;
        for (first, second) in calls::choices(letters) {
            let (first, second) = (first.to_string(), second.to_string());
            let headers: [(&str, &[u8]); 3] = [
                ("x-builtin", name.as_bytes()),
                ("x-first", first.as_bytes()),
                ("x-second", second.as_bytes()),
            ];
            let answer = program.evaluate(&request(&headers));
            let answer = answer.unwrap_or_else(|error| panic!("{name} {first} {second}: {error}"));
            let reason = answer.reason.expect("a reason");
            calls += reason.parse::<usize>().unwrap_or_else(|_| panic!("{name}: {reason}"));
        }
        assert!(calls > 0, "{name} never gave a value");
    }
}

/// For the VM, each call is a rule of its own, without a loop.
#[test]
fn no_builtin_panics_in_the_vm() {
    let mut text = String::from("package p\n\ndefault allow := false\n");
    // A format is a literal, and the interpreter evaluates policies that parse JSON.
    let called = calls::BUILTINS.iter().filter(|(name, _)| !["sprintf", "json.unmarshal"].contains(name));
    for (name, letters) in called.clone() {
        let arguments: Vec<String> = letters
            .chars()
            .zip(["x-1", "x-2", "x-3"])
            .map(|(letter, header)| {
                let value = if matches!(letter, 'v' | 'w') { ".value" } else { "" };
                format!("data.keyed.{letter}[input.attributes.request.http.headers[\"{header}\"]]{value}")
            })
            .collect();
        let arguments = arguments.join(", ");
        text += &format!(
            "\nallow if {{\n\tinput.attributes.request.http.headers[\"x-builtin\"] == \"{name}\"\n\t{name}({arguments}) != \"?\"\n}}\n"
        );
    }
    let found = check(&bundle(text, keyed_data(), "data.p.allow"));
    let checked = found.unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(checked.plan.engine(), Engine::Vm, "{:?}", checked.interpreter_reason);
    let program = Program::load(&checked.plan).expect("it loads");
    for (name, letters) in called {
        let mut values = 0;
        for (first, second) in calls::choices(letters) {
            for last in 0..letters.chars().last().map_or(0, calls::values) {
                let all = [first, second, last].map(|number| number.to_string());
                let (first, second, last) = (all[0].as_bytes(), all[1].as_bytes(), all[2].as_bytes());
                let (first, second) = match letters.len() {
                    1 => (last, last),
                    2 => (first, last),
                    _ => (first, second),
                };
                let headers: [(&str, &[u8]); 4] =
                    [("x-builtin", name.as_bytes()), ("x-1", first), ("x-2", second), ("x-3", last)];
                let answer = program.evaluate(&request(&headers));
                let answer = answer.unwrap_or_else(|error| panic!("{name} {all:?}: {error}"));
                values += usize::from(answer.allowed);
            }
        }
        // JSON has no sets.
        assert!(values > 0 || ["union", "intersection"].contains(name), "{name} never gave a value");
    }
}

/// Returns the lists of the data as objects with positions as keys, so that a header selects an entry directly.
fn keyed_data() -> String {
    let data: regorus::Value = regorus::Value::from_json_str(&calls::data()).expect("JSON");
    let mut lists = Vec::new();
    for (letter, list) in data.as_object().expect("an object").iter() {
        let entries: Vec<String> = list
            .as_array()
            .expect("a list")
            .iter()
            .enumerate()
            .map(|(position, value)| format!("\"{position}\": {}", value.to_json_str().expect("JSON")))
            .collect();
        lists.push(format!("{letter}: {{{}}}", entries.join(", ")));
    }
    format!("{{\"keyed\": {{{}}}}}", lists.join(", "))
}

fn faults_of(body: &str, data: &str) -> Vec<Fault> {
    let text = format!("package p\n\ndefault allow := false\n\nallow if {{\n\t{body}\n}}\n");
    check(&bundle(text, data.to_owned(), "data.p.allow")).err().unwrap_or_default()
}

const HEADER: &str = "input.attributes.request.http.headers[\"x-a\"]";

#[test]
fn a_call_that_panics_the_engine_is_refused_where_it_is_written() {
    let data = r#"{"text": "", "list": [], "texts": ["a", ""], "nested": {"a": {"b": []}}}"#;
    for (body, what) in [
        (format!("strings.count({HEADER}, \"\") > 0"), "strings.count"),
        (format!("strings.count(\"a\", {HEADER}) > 0"), "strings.count"),
        (format!("strings.count({HEADER}, data.text) > 0"), "strings.count"),
        (format!("some text in data.texts\n\tstrings.count({HEADER}, text) > 0"), "strings.count"),
        ("object.subset(input.parsed_path, [])".to_owned(), "object.subset"),
        (
            "object.subset(input.parsed_path, array.slice(input.parsed_path, 0, 0))".to_owned(),
            "object.subset",
        ),
        ("object.subset({\"a\": input.parsed_path}, {\"a\": []})".to_owned(), "object.subset"),
        ("object.subset(input.parsed_path, data.list)".to_owned(), "object.subset"),
        ("object.subset(input, data.nested)".to_owned(), "object.subset"),
        (format!("regex.template_match(\"abc{{d}}\", {HEADER}, \"{{\", \"}}\")"), "regex.template_match"),
        (format!("sprintf(\"%\u{b2}d\", [{HEADER}]) == \"\""), "sprintf"),
        (format!("sprintf(\"%.\u{663}f\", [{HEADER}]) == \"\""), "sprintf"),
        (format!("sprintf(\"%\\u00b2d\", [{HEADER}]) == \"\""), "sprintf"),
        (format!("sprintf(\"\\u0025999999999d\", [{HEADER}]) == \"\""), "sprintf"),
        (format!("glob.quote_meta({HEADER}) == \"\""), "glob.quote_meta"),
        (format!("glob.match(\"{}a{}\", [], {HEADER})", "{".repeat(300), "}".repeat(300)), "glob.match"),
        (format!("json.filter(input, [{HEADER}]) == 1"), "json.filter"),
        (format!("json.remove(input, split({HEADER}, \"/\")) == 1"), "json.remove"),
        (format!("json.remove(input, [\"{}a\"]) == 1", "a/".repeat(100)), "json.remove"),
        ("trim(input.parsed_path[0], input.parsed_path[1]) == \"\"".to_owned(), "trim"),
        (
            "strings.any_prefix_match(input.parsed_path, input.parsed_path)".to_owned(),
            "strings.any_prefix_match",
        ),
    ] {
        let faults = faults_of(&body, data);
        let fault = faults.first().unwrap_or_else(|| panic!("{body}"));
        assert!(fault.message.contains(what), "{body}: {faults:?}");
        let place = fault.place.as_ref().unwrap_or_else(|| panic!("{body}: {faults:?}"));
        assert!(place.line >= 6 && fault.help.is_some(), "{body}: {faults:?}");
    }
}

#[test]
fn a_call_that_cannot_panic_is_taken() {
    let data = r#"{"text": "a", "texts": ["a", "b"], "nested": {"a": {"b": [1]}}, "globs": ["*.a"], "paths": ["a/b"]}"#;
    for body in [
        format!("strings.count({HEADER}, \"/\") > 0"),
        format!("some text in data.texts\n\tstrings.count({HEADER}, text) > 0"),
        format!("text := data.text\n\tstrings.count({HEADER}, text) > 0"),
        "object.subset(input, {\"a\": {\"b\": {\"c\", input.parsed_path}}})".to_owned(),
        "object.subset(input.parsed_path, [input.parsed_path[0]])".to_owned(),
        "object.subset({x | some x in input.parsed_path}, {y | some y in data.texts})".to_owned(),
        "object.subset(input, data.nested)".to_owned(),
        format!("some glob in data.globs\n\tglob.match(glob, [\".\"], {HEADER})"),
        format!("glob.match(data.globs[_], null, {HEADER})"),
        "json.filter(input, data.paths) == {}".to_owned(),
        "json.remove(input, [\"attributes/request\", [\"a\", \"b\"]]) == {}".to_owned(),
        format!("trim({HEADER}, \" /\") == \"a\""),
        format!("strings.any_prefix_match({HEADER}, data.texts)"),
        format!("sprintf(\"%5d%%é\", [{HEADER}]) == \"\""),
    ] {
        assert_eq!(faults_of(&body, data), [], "{body}");
    }
}

/// A pattern that is as large as is allowed compiles, whatever is in it. What is larger may not, which panics.
#[test]
fn the_largest_patterns_compile() {
    let compiles = |pattern: &str, delimiters: &str| {
        let mut engine = regorus::Engine::new();
        let text = format!("package p\n\nx := glob.match(data.pattern, {delimiters}, \"a\")\n");
        engine.add_policy("policy.rego".to_owned(), text).expect("a policy");
        let data = format!("{{\"pattern\": \"{pattern}\"}}");
        engine.add_data(regorus::Value::from_json_str(&data).expect("JSON")).expect("data");
        let matched = engine.eval_rule("data.p.x".to_owned()).expect("a value");
        assert!(matches!(matched, regorus::Value::Bool(_)), "{matched}");
    };
    for (piece, delimiters) in [
        ("?", "[\"?\"]"),
        ("?", "[\".\", \"?\", \"?\", \"?\", \"?\", \"?\", \"?\", \"?\"]"),
        ("[!\u{e9}]", "[]"),
        ("[\u{3042}-\u{3093}]", "null"),
        ("[!\u{10000}-\u{10fffd}]", "[]"),
        ("**/", "[\"*\"]"),
        ("*a", "[\".\"]"),
    ] {
        compiles(&piece.repeat(limits::GLOB_BYTES / piece.len()), delimiters);
    }
    compiles(&format!("{}a{}", "{".repeat(limits::GLOB_GROUPS), "}".repeat(limits::GLOB_GROUPS)), "[]");
}

#[test]
fn a_function_or_data_is_not_replaced() {
    let data = r#"{"list": ["a"]}"#;
    for body in [
        "count(input.parsed_path) > 0 with count as strings.render_template",
        "indexof(\"a\", \"\") == 0 with indexof as strings.count",
        "f(1) with data.p.f as numbers.range",
        "f(1) with f as http.send",
        "object.subset([1], data.list) with data.list as []",
        "object.subset([1], data.list) with data as {}",
    ] {
        let text = format!("package p\n\ndefault allow := false\n\nf(x) if x == 1\n\nallow if {body}\n");
        let faults = check(&bundle(text, data.to_owned(), "data.p.allow")).err().unwrap_or_default();
        assert!(faults.iter().any(|fault| fault.message.contains("`with`")), "{body}: {faults:?}");
    }
    for body in
        ["input.parsed_path[0] == \"a\" with input.parsed_path as [\"a\"]", "r == 2 with data.p.r as 2"]
    {
        let text = format!("package p\n\ndefault allow := false\n\nr := 1\n\nallow if {body}\n");
        let faults = check(&bundle(text, data.to_owned(), "data.p.allow")).err().unwrap_or_default();
        assert_eq!(faults, [], "{body}");
    }
}

/// A name that stands for something of the request anywhere in a rule is no constant.
#[test]
fn a_name_that_is_given_twice_is_no_constant() {
    for body in [
        format!("p := data.list[0]\n\tcount([1 | p := {HEADER}; regex.match(p, \"a\")]) > 0"),
        format!(
            "count([1 | some p in data.list; p == \"\"]) >= 0\n\tsome p in input.parsed_path\n\tregex.match(p, {HEADER})"
        ),
    ] {
        let faults = faults_of(&body, r#"{"list": ["a"]}"#);
        assert!(faults.iter().any(|fault| fault.message.contains("regex.match")), "{body}: {faults:?}");
    }
}
