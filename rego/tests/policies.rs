//! Policies as their authors write them.

#[path = "policies/nesting.rs"]
mod nesting;
#[path = "policies/refused_calls.rs"]
mod refused_calls;

use weir_rego::{Answer, Bundle, Checked, Engine, EvaluationError, Fault, Input, Module, Program, check};

fn bundle(text: &str, data: &str, query: &str) -> Bundle {
    let modules = vec![Module { name: "policy.rego".to_owned(), text: text.to_owned() }];
    Bundle { modules, data: data.to_owned(), query: query.to_owned() }
}

#[test]
fn a_loop_in_a_negation_is_refused() {
    let data = r#"{"list": ["a", "b"]}"#;
    for body in [
        "not data.list[_] == \"a\"",
        "not {\"a\", \"b\"}[_] == \"a\"",
        "not startswith(data.list[_], \"a\")",
        "some i\n\tnot data.list[i] == \"a\"",
    ] {
        let text = format!("package p\nallow if {{\n\t{body}\n}}\n");
        let faults = check(&bundle(&text, data, "data.p.allow")).expect_err(body);
        assert!(faults[0].message.contains("stands for any entry"), "{body}: {faults:?}");
    }
    for body in [
        "not \"a\" in data.list",
        "some i\n\tdata.list[i] == \"a\"\n\tnot data.list[i] == \"b\"",
        "some x in data.list\n\tnot x == \"b\"",
        "not \"a\" in [x | x := data.list[_]]",
    ] {
        checked(&format!("default allow := false\nallow if {{\n\t{body}\n}}\n"), data);
    }
}

fn checked(text: &str, data: &str) -> Checked {
    let found = check(&bundle(&format!("package p\n{text}"), data, "data.p.allow"));
    found.unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn faults(text: &str) -> Vec<Fault> {
    check(&bundle(&format!("package p\n{text}"), "{\"list\": [\"a\"]}", "data.p.allow")).expect_err("a fault")
}

fn ask(text: &str, data: &str, method: &str, host: &str, path: &str) -> Result<Answer, EvaluationError> {
    let checked = checked(text, data);
    Program::load(&checked.plan).unwrap().evaluate(&request(method, host, path))
}

fn request<'a>(method: &'a str, host: &'a str, path: &'a str) -> Input<'a> {
    Input {
        method,
        scheme: "https",
        host,
        principal: Some(host),
        path: Some(path),
        decoded_path: Some(path.as_bytes()),
        query: None,
        headers: &[],
    }
}

const PREDECESSOR: &str = r#"
import input.attributes.request.http as request

default allow := false

host := input.attributes.destination.principal
host := request.host if not input.attributes.destination.principal

reading if request.method in {"GET", "HEAD"}

allow if {
	host in data.allowed_domains
	reading
}

allow if host in data.unrestricted_domains

allow if {
	data.github_read_access_enabled
	contains(host, "github")
	reading
}

allow if {
	some repo in data.github_allowed_repos
	startswith(request.path, sprintf("/repos/%s", [repo]))
}
"#;

#[test]
fn the_predecessors_policy_decides() {
    let data = r#"{"allowed_domains": ["a.example"], "unrestricted_domains": ["b.example"], "github_read_access_enabled": true, "github_allowed_repos": ["o/r"]}"#;
    for (method, host, path, allowed) in [
        ("GET", "a.example", "/", true),
        ("POST", "a.example", "/", false),
        ("POST", "b.example", "/", true),
        ("GET", "github.com", "/", true),
        ("POST", "api.github.com", "/repos/o/r/issues", true),
        ("POST", "api.github.com", "/repos/o/x/issues", false),
    ] {
        let answer = ask(PREDECESSOR, data, method, host, path).unwrap();
        assert_eq!(answer.allowed, allowed, "{method} {host} {path}");
    }
}

#[test]
fn recursion_is_refused() {
    for text in ["allow if f(1)\nf(x) if f(x)", "allow if a\na if b\nb if a", "allow if data.p.allow"] {
        let faults = faults(text);
        assert!(faults[0].message.contains("calls itself"), "{faults:?}");
    }
}

#[test]
fn a_place_is_counted_from_1() {
    let faults = check(&bundle("package p\n\ndeny.\nallow if true\n", "{}", "data.p.allow")).unwrap_err();
    let place = faults[0].place.as_ref().unwrap();
    assert_eq!((place.line, place.column, place.span.clone()), (4, 1, 17..18));
}

#[test]
fn a_form_that_the_vm_evaluates_wrongly_is_for_the_interpreter() {
    for text in [
        "deny[x] contains y if { x := \"a\"; some y in [1] }\nallow if not 2 in deny.a",
        "deny.a contains y if { some y in [1] }\nallow if not 2 in deny.a",
        "default deny := 1\ndeny contains 2\nallow if deny == 1",
        "allow if { count([x | some x in [1]]) == 1 }",
        "x := 1\nx := 2 if input.parsed_path[0] == \"zz\"\nallow if x == 1",
        // The VM ignores the key.
        "allow if \"x\", \"a\" in {\"y\": \"a\"}",
        // The VM ignores the default of a function.
        "default f(_) := true\nf(x) if x == 1\nallow if not f(input.parsed_path[0])",
        // The VM skips `else` if the first value is undefined or the first body loops.
        "default x := true\nx := input.attributes.destination.principal if true else := false\nallow if x",
        "default allow := true\nallow if { not [\"a\", 1][_] == \"a\" } else := false",
        // The VM gives `false` where `in` is undefined.
        "x := 1 in data.missing\nallow if x == false",
        // The VM drops the ninth argument.
        "f(a, b, c, d, e, f, g, h, i) if i == 9\nallow if not f(1, 2, 3, 4, 5, 6, 7, 8, 9)",
        // An expression that is an error for the interpreter is undefined for the VM.
        "denied if \"a\" + 1 == 2\nallow if not denied",
        "denied if some x in input.attributes.request.http.host\nallow if not denied",
    ] {
        let found = check(&bundle(&format!("package p\n{text}"), "{}", "data.p.allow"));
        if let Ok(checked) = found {
            assert_eq!(checked.plan.engine(), Engine::Interpreter, "{text}");
        }
    }
}

#[test]
fn a_set_of_faults_is_for_the_vm() {
    let faults = r#"
faults contains "host" if not input.attributes.request.http.host in data.hosts
faults contains sprintf("%s is not allowed", [method]) if {
    method := input.attributes.request.http.method
    not method in {"GET", "HEAD"}
}
faults contains sprintf("no %s", [segment]) if {
    some segment in input.parsed_path
    segment in data.never
}
"#;
    let data = r#"{"hosts": ["a.example"], "never": ["x", "y"]}"#;
    for answer in [
        "default allow := false\nallow if count(faults) == 0",
        "allow := {\"allowed\": count(faults) == 0, \"reason\": concat(\"; \", faults)}",
        "default allow := true\nallow := false if { some _ in faults }",
    ] {
        let text = format!("{faults}{answer}");
        let checked = checked(&text, data);
        assert_eq!(checked.plan.engine(), Engine::Vm, "{:?}", checked.interpreter_reason);
        for (method, host, path, allowed) in [
            ("GET", "a.example", "/", true),
            ("POST", "a.example", "/", false),
            ("GET", "b.example", "/", false),
            ("GET", "a.example", "/a/x/y", false),
        ] {
            let answer = ask(&text, data, method, host, path).unwrap();
            assert_eq!(answer.allowed, allowed, "{answer:?}");
            if path == "/a/x/y" && answer.reason.is_some() {
                assert_eq!(answer.reason.as_deref(), Some("no x; no y"));
            }
        }
    }
}

#[test]
fn a_name_without_a_value_ends_a_rule_in_the_vm_too() {
    let text = "allow if {\n\tteam := input.attributes.request.http.headers[\"x-team\"] # may be missing\n\tnot team in {\"bad\"}\n}";
    let checked = checked(text, "{}");
    assert_eq!(checked.plan.engine(), Engine::Vm, "{:?}", checked.interpreter_reason);
    let program = Program::load(&checked.plan).unwrap();
    let asked = |headers| program.evaluate(&Input { headers, ..request("GET", "a.example", "/") });
    assert!(asked(&[("x-team", b"good")]).unwrap().allowed);
    assert!(!asked(&[("x-team", b"bad")]).is_ok_and(|answer| answer.allowed));
    assert!(!asked(&[]).is_ok_and(|answer| answer.allowed));
}

#[test]
fn a_searched_list_is_indexed() {
    let hosts: Vec<String> = (0..20_000).map(|n| format!("\"h{n}.example\"")).collect();
    let data = format!("{{\"hosts\": [{}]}}", hosts.join(","));
    for text in [
        "allow if input.attributes.request.http.host in data.hosts",
        "allow if data.hosts[_] == input.attributes.request.http.host",
    ] {
        let answer = ask(text, &data, "GET", "h19999.example", "/").unwrap();
        assert!(answer.allowed, "{text}");
        let answer = ask(text, &data, "GET", "x.example", "/");
        assert!(!answer.is_ok_and(|answer| answer.allowed), "{text}");
    }
}

#[test]
fn the_vm_evaluates_the_predecessors_policy() {
    let read = |name: &str| {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/predecessor").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let found = check(&bundle(&read("policy.rego"), &read("data.json"), "data.intercept.allow"));
    let checked = found.unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(checked.interpreter_reason, None);
}

#[test]
fn a_call_with_a_large_result_is_refused() {
    for (text, what) in [
        ("allow if count(numbers.range(1, 1000000000)) > 1", "numbers.range"),
        ("allow if bits.lsh(1, 1000000000) > 1", "bits.lsh"),
        ("allow if count(strings.render_template(\"a\", {})) > 1", "strings.render_template"),
        ("allow if sprintf(\"%1000000000d\", [1]) == \"\"", "sprintf"),
        ("allow if sprintf(input.parsed_path[0], [1]) == \"\"", "sprintf"),
        ("allow if replace(\"aaaa\", \"a\", input.parsed_path[0]) == \"\"", "replace"),
        ("allow if concat(input.parsed_path[0], [\"a\", \"b\"]) == \"\"", "concat"),
        ("allow if regex.match(input.parsed_path[0], \"a\")", "regex.match"),
        ("allow if regex.replace(\"aaaa\", \"a\", input.parsed_path[0]) == \"\"", "regex.replace"),
        ("allow if glob.match(input.parsed_path[0], [], \"a\")", "glob.match"),
    ] {
        let faults = faults(text);
        assert!(faults[0].message.contains(what), "{text}: {faults:?}");
    }
}

#[test]
fn a_number_of_a_request_stays_small() {
    for read in ["to_number(text)", "json.unmarshal(text)"] {
        for made in [
            "sprintf(\"%v\", [n])",
            "sprintf(\"%d\", [n])",
            "format_int(n, 10)",
            "json.marshal([floor(n), n * n, n + 1])",
        ] {
            let text = format!(
                "allow if {{\n\ttext := input.attributes.request.http.headers[\"x-n\"]\n\tn := {read}\n\tcount({made}) > 2000\n}}"
            );
            let program = Program::load(&checked(&text, "{}").plan).unwrap();
            for number in
                ["1e300", "1e1000", "1e100000", "1e1000000000", "-1e-1000000000", "1e99999999999999999999"]
            {
                let headers = &[("x-n", number.as_bytes())][..];
                let answer = program.evaluate(&Input { headers, ..request("GET", "a.example", "/") });
                assert!(!answer.is_ok_and(|answer| answer.allowed), "{read} {made} {number}");
            }
        }
    }
    // These builtins would write out a thousand million digits.
    for units in ["units.parse", "units.parse_bytes"] {
        let faults = faults(&format!("allow if {units}(input.parsed_path[0]) > 1"));
        assert!(faults[0].message.contains(units), "{faults:?}");
    }
}
