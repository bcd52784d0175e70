//! Policies as their authors write them.

use weir_rego::limits;
use weir_rego::{Answer, Bundle, Checked, Engine, EvaluationError, Fault, Input, Module, Program, check};

fn bundle(text: &str, data: &str, query: &str) -> Bundle {
    let modules = vec![Module { name: "policy.rego".to_owned(), text: text.to_owned() }];
    Bundle { modules, data: data.to_owned(), query: query.to_owned() }
}

#[test]
fn what_lies_too_deep_is_refused_before_it_is_parsed() {
    let chain = |link: &str, count: usize| format!("\n{link}").repeat(count);
    for depth in [limits::EXPRESSION_DEPTH + 1, 9_000] {
        for text in [
            format!("allow if 0{} == 1", chain("+ 1", depth)),
            format!("allow if input{} == 1", chain(".a", depth)),
            format!("allow if input{} == 1", chain("[0]", depth)),
            format!("allow if 1{}", chain("in [1]", depth)),
            format!("allow if 1{}", " in\n[1]".repeat(depth)),
            format!("allow if 0{} 1", " +\n1".repeat(depth)),
            format!("allow if {}1{} == 1", chain("[", depth), chain("]", depth)),
            format!("allow if {}1{} == 1", chain("(", depth), chain(")", depth)),
            format!("allow if {}1 == 1", chain("-", depth)),
            format!("allow if {}1{}", chain("count({x | x := ", depth), chain("})", depth)),
            format!("allow if input{} == 1", chain(".if", depth)),
            // A fault at the end of it.
            format!("allow if 0{} +", chain("+ 1", depth)),
        ] {
            let faults =
                check(&bundle(&format!("package p\n{text}"), "{}", "data.p.allow")).expect_err("deep");
            assert!(faults[0].message.contains("lie in one another"), "{depth}: {faults:?}");
        }
    }
}

/// The parser would take an hour.
#[test]
fn brackets_that_are_read_again_and_again_are_refused() {
    for depth in [limits::COLLECTION_DEPTH, 30] {
        for text in [
            format!("allow if {{ x := {} }}", "{".repeat(depth)),
            format!("allow if {{ x := {}1{} }}", "[".repeat(depth), "]".repeat(depth)),
            format!("allow if {{ x := {}1{} }}", "{\"a\": [".repeat(depth), "]}".repeat(depth)),
        ] {
            let faults =
                check(&bundle(&format!("package p\n{text}"), "{}", "data.p.allow")).expect_err("deep");
            assert!(faults[0].message.contains("brackets lie in one another"), "{depth}: {faults:?}");
        }
    }
    let most = limits::COLLECTION_DEPTH - 1;
    let text = format!("allow if {{ x := {}1{}; x != 1 }}", "[".repeat(most), "]".repeat(most));
    checked(&text, "{}");
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

#[test]
fn what_stands_side_by_side_is_not_deep() {
    let hosts: Vec<String> = (0..2_000).map(|number| format!("\"h{number}.example\"")).collect();
    let lines = (0..300).map(|number| format!("\tinput.attributes.request.http.host != \"h{number}\"\n"));
    let rules = (0..300).map(|number| format!("allow if input.parsed_path[0] == \"p{number}\"\n"));
    let branches =
        (0..200).map(|number| format!(" else := {number} if {{\n\tinput.parsed_path[0] == \"{number}\"\n}}"));
    let text = format!(
        "rank := 0 if {{ false }}{}\nhosts := {{{}}}\npairs := [{}]\nallow if {{\n{}}}\n{}",
        branches.collect::<String>(),
        hosts.join(",\n"),
        hosts.iter().map(|host| format!("{{\"host\": {host}}}")).collect::<Vec<_>>().join(",\n"),
        lines.collect::<String>(),
        rules.collect::<String>(),
    );
    checked(&text, "{}");
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
    let checked = checked(PREDECESSOR, data);
    println!("{:?}", checked.slow);
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
fn the_fast_engines_errors_are_kept_away_from() {
    for text in [
        "deny[x] contains y if { x := \"a\"; some y in [1] }\nallow if not 2 in deny.a",
        "deny.a contains y if { some y in [1] }\nallow if not 2 in deny.a",
        "default deny := 1\ndeny contains 2\nallow if deny == 1",
        "allow if { count([x | some x in [1]]) == 1 }",
        "x := 1\nx := 2 if input.parsed_path[0] == \"zz\"\nallow if x == 1",
        // The key is not looked at.
        "allow if \"x\", \"a\" in {\"y\": \"a\"}",
        // The function has no default.
        "default f(_) := true\nf(x) if x == 1\nallow if not f(input.parsed_path[0])",
        // There is no `else` where the first value is undefined, or the first body loops.
        "default x := true\nx := input.attributes.destination.principal if true else := false\nallow if x",
        "default allow := true\nallow if { not [\"a\", 1][_] == \"a\" } else := false",
        // `in` is false where it is undefined.
        "x := 1 in data.missing\nallow if x == false",
        // The ninth argument is dropped.
        "f(a, b, c, d, e, f, g, h, i) if i == 9\nallow if not f(1, 2, 3, 4, 5, 6, 7, 8, 9)",
        // What the interpreter calls an error is undefined.
        "denied if \"a\" + 1 == 2\nallow if not denied",
        "denied if some x in input.attributes.request.http.host\nallow if not denied",
    ] {
        let found = check(&bundle(&format!("package p\n{text}"), "{}", "data.p.allow"));
        if let Ok(checked) = found {
            assert_eq!(checked.plan.engine(), Engine::Slow, "{text}");
        }
    }
}

#[test]
fn a_set_of_faults_is_for_the_fast_engine() {
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
        assert_eq!(checked.plan.engine(), Engine::Fast, "{:?}", checked.slow);
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
fn a_name_without_a_value_ends_a_rule_in_the_fast_engine_too() {
    let text = "allow if {\n\tteam := input.attributes.request.http.headers[\"x-team\"] # may be missing\n\tnot team in {\"bad\"}\n}";
    let checked = checked(text, "{}");
    assert_eq!(checked.plan.engine(), Engine::Fast, "{:?}", checked.slow);
    let program = Program::load(&checked.plan).unwrap();
    let asked = |headers| program.evaluate(&Input { headers, ..request("GET", "a.example", "/") });
    assert!(asked(&[("x-team", b"good")]).unwrap().allowed);
    assert!(!asked(&[("x-team", b"bad")]).is_ok_and(|answer| answer.allowed));
    assert!(!asked(&[]).is_ok_and(|answer| answer.allowed));
}

#[test]
fn a_list_that_is_searched_is_keyed() {
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
fn the_predecessors_policy_is_evaluated_by_the_fast_engine() {
    let read = |name: &str| {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/predecessor").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let found = check(&bundle(&read("policy.rego"), &read("data.json"), "data.intercept.allow"));
    let checked = found.unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(checked.slow, None);
}

#[test]
fn what_makes_much_out_of_little_is_refused() {
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
fn a_number_out_of_a_request_stays_small() {
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
    // Its digits are written out, a thousand million of them.
    for units in ["units.parse", "units.parse_bytes"] {
        let faults = faults(&format!("allow if {units}(input.parsed_path[0]) > 1"));
        assert!(faults[0].message.contains(units), "{faults:?}");
    }
}

/// The faults of a condition that forbids, with the text at their place.
fn faults_of_a_ban(condition: &str, data: &str) -> Vec<(String, String)> {
    let text = format!(
        "package p\n\nimport input.attributes.request.http as request\n\ndefault allow := false\n\nallow if not forbidden\n\nforbidden if {{\n\t{condition}\n}}\n"
    );
    let faults = check(&bundle(&text, data, "data.p.allow")).err().unwrap_or_default();
    let described = faults.into_iter().map(|fault| {
        assert!(fault.help.is_some(), "{fault}");
        let place = fault.place.clone().unwrap_or_else(|| panic!("no place: {fault}"));
        assert!(place.line >= 10, "{fault}");
        (fault.message, text[place.span].to_owned())
    });
    described.collect()
}

fn assert_refused(condition: &str, data: &str, message: &str, place: &str) {
    let faults = faults_of_a_ban(condition, data);
    // The span of a text may have its quotes or not.
    let found = faults.iter().any(|(text, at)| text == message && at.trim_matches(['"', '`']) == place);
    assert!(found, "{condition}: {faults:#?}\nand not {message:?} at {place:?}");
}

/// The engine has no tables of Unicode: each call would be undefined, and what is forbidden would go out.
#[test]
fn a_ban_whose_pattern_never_matches_is_refused() {
    let digits = r"the pattern of `regex.match` may not have `\d`";
    assert_refused(r"regex.match(`^/users/\d+$`, request.path)", "{}", digits, r"^/users/\d+$");
    for (pattern, part) in [
        (r"\w", r"\w"),
        (r"\s", r"\s"),
        (r"\b", r"\b"),
        (r"[\D]", r"\D"),
        (r"\pL", r"\p"),
        ("(?i)a", "(?i)"),
        ("(?x)a", "(?x)"),
        (r"\Qa\E", r"\Q"),
        (r"\101", r"\1"),
        (r"\C", r"\C"),
        (r"\<a", r"\<"),
        ("[[a]", "[a"),
        ("a{,2}", "{,2}"),
        ("{", "{"),
        ("[a-c&&b-d]", "&&"),
        ("[a--b]", "--"),
        ("[a~~b]", "~~"),
        ("(a", "(a"),
    ] {
        for (call, name) in [
            ("regex.match($, request.path)", "regex.match"),
            ("regex.is_valid($)", "regex.is_valid"),
            ("count(regex.split($, request.path)) > 1", "regex.split"),
            ("count(regex.find_n($, request.path, 1)) > 0", "regex.find_n"),
            (
                "regex.find_all_string_submatch_n($, request.path, 1) != []",
                "regex.find_all_string_submatch_n",
            ),
            ("regex.replace(request.path, $, \"\") != request.path", "regex.replace"),
        ] {
            let message = format!("the pattern of `{name}` may not have `{part}`");
            assert_refused(&call.replace('$', &format!("`{pattern}`")), "{}", &message, pattern);
        }
    }
    let text = "import input.attributes.request.http as request\ndefault allow := false\nallow if not forbidden\nforbidden if regex.match(`^/users/[0-9]+$`, request.path)";
    let allowed = |path| ask(text, "{}", "GET", "a.example", path).unwrap().allowed;
    assert!(allowed("/users/x") && !allowed("/users/1"));
}

#[test]
fn a_pattern_of_the_data_is_checked_as_one_in_the_text() {
    let data = r#"{"bad": ["a", "\\d"], "good": ["^/a$"], "routes": [{"host": "*.example", "path": "^/[0-9]+$", "old": "\\w", "deep": {"path": "^/b"}, "worse": {"inner": "(?i)a"}}]}"#;
    for (condition, part, place) in [
        ("regex.match(data.bad[_], request.path)", r"\d", "data.bad[_]"),
        ("regex.match(data.bad[1], request.path)", r"\d", "data.bad[1]"),
        ("some p in data.bad\n\tregex.match(p, request.path)", r"\d", "p"),
        ("p := data.bad[_]\n\tregex.match(p, request.path)", r"\d", "p"),
        ("p := `\\d`\n\tregex.match(p, request.path)", r"\d", "p"),
        ("regex.match(data.routes[_].old, request.path)", r"\w", "data.routes[_].old"),
        ("some r in data.routes\n\tregex.match(r.old, request.path)", r"\w", "r.old"),
        ("some r in data.routes\n\tw := r.worse\n\tregex.match(w.inner, request.path)", "(?i)", "w.inner"),
    ] {
        assert_refused(
            condition,
            data,
            &format!("the pattern of `regex.match` may not have `{part}`"),
            place,
        );
    }
    for built in ["concat(\"\", [\"^\", \"a\"])", "request.host", "p"] {
        assert_refused(
            &format!("p := lower(\"A\")\n\tregex.match({built}, request.path)"),
            data,
            "the pattern of `regex.match` must be text or data",
            built,
        );
    }
    for condition in [
        "some p in data.good\n\tregex.match(p, request.path)",
        "regex.match(data.routes[_].path, request.path)",
        "some r in data.routes\n\tregex.match(r.path, request.path)",
        "some r in data.routes\n\td := r.deep\n\tregex.match(d.path, request.path)",
        r#"regex.match("^/users/[0-9]+\\.json$", request.path)"#,
    ] {
        assert_eq!(faults_of_a_ban(condition, data), [], "{condition}");
    }
}

#[test]
fn a_glob_that_means_something_else_to_opa_is_refused() {
    for (pattern, delimiters, part) in [
        ("**.example", "[\".\"]", "**"),
        ("a**", "[\".\"]", "**"),
        ("a/**", "[\".\"]", "**"),
        ("a/**", "null", "**"),
        ("a.**.b", "[]", "**"),
        ("/?", "[\"/\"]", "?"),
        ("[a-c]", "[\"/\"]", "["),
        ("{a,}", "[\"/\"]", ","),
        ("{a", "[\"/\"]", "{"),
    ] {
        let message = format!("the pattern of `glob.match` may not have `{part}`");
        let condition = format!("glob.match(\"{pattern}\", {delimiters}, request.host)");
        assert_refused(&condition, "{}", &message, pattern);
    }
    for delimiters in ["[\":\"]", "[\"::\"]", "[\"é\"]"] {
        let faults = faults_of_a_ban(&format!("glob.match(\"*\", {delimiters}, request.host)"), "{}");
        assert!(faults[0].0.starts_with("the delimiters of `glob.match`"), "{faults:?}");
    }
    for (pattern, delimiters, matching, other) in [
        ("**", "null", "a.b/c", None),
        ("**", "[\"/\"]", "a.b/c", None),
        ("/a/**", "[\"/\"]", "/a/b/c.d", Some("/b/a")),
        ("a.**", "[]", "a.b.c", Some("a")),
        ("*.{a,b}.example", "[\".\"]", "x.b.example", Some("x.y.b.example")),
    ] {
        let condition = |value| format!("glob.match(\"{pattern}\", {delimiters}, \"{value}\")");
        assert_eq!(faults_of_a_ban(&condition(matching), "{}"), [], "{pattern}");
        let allowed = |value| {
            let text = format!("default allow := false\nallow if {}", condition(value));
            ask(&text, "{}", "GET", "a.example", "/").unwrap().allowed
        };
        assert!(allowed(matching) && !other.is_some_and(allowed), "{pattern}");
    }
}

#[test]
fn a_header_is_read_by_a_name_that_can_be_there() {
    let never = |name: &str| format!("there is never a header `{name}`");
    let whole = || "headers can only be read one by one, by a name that stands in the text".to_owned();
    for (condition, message, place) in [
        ("request.headers[\":path\"] == \"/\"", never(":path"), "request.headers[\":path\"]"),
        ("object.get(request.headers, \":path\", \"\") == \"/\"", never(":path"), ":path"),
        (
            "object.get(request, [\"headers\", \"X-Foo\"], \"\") == \"/\"",
            never("X-Foo"),
            "[\"headers\", \"X-Foo\"]",
        ),
        ("object.get(request, \"headers\", {}) == {}", whole(), "headers"),
        ("request.headers[lower(\"A\")] == \"/\"", whole(), "request.headers[lower(\"A\")]"),
        ("some k, v in request.headers\n\tk == \":path\"\n\tv == \"/\"", whole(), "request.headers"),
        ("h := request.headers\n\th[\"X-Foo\"] == \"a\"", whole(), "request.headers"),
        ("h := request\n\th.headers[\"X-Foo\"] == \"a\"", never("X-Foo"), "h.headers[\"X-Foo\"]"),
        (
            "h := input.attributes\n\tsome k, _ in h.request.http.headers\n\tk == \"X-Foo\"",
            whole(),
            "h.request.http.headers",
        ),
        ("\"X-Foo\" in object.keys(request.headers)", whole(), "request.headers"),
    ] {
        assert_refused(condition, "{}", &message, place);
    }
    for condition in [
        "request.headers[\"x-foo\"] == \"a\"",
        "object.get(request.headers, \"x-foo\", \"\") == \"a\"",
        "object.get(input, [\"attributes\", \"request\", \"http\", \"headers\", \"x-foo\"], \"\") == \"a\"",
        "h := request\n\th.headers[\"x-foo\"] == \"a\"",
    ] {
        assert_eq!(faults_of_a_ban(condition, "{}"), [], "{condition}");
        let text = format!(
            "import input.attributes.request.http as request\ndefault allow := false\nallow if not forbidden\nforbidden if {{\n\t{condition}\n}}"
        );
        let program = Program::load(&checked(&text, "{}").plan).unwrap();
        let allowed = |headers| {
            program.evaluate(&Input { headers, ..request("GET", "a.example", "/") }).unwrap().allowed
        };
        assert!(!allowed(&[("x-foo", b"a")]), "{condition}");
        assert!(allowed(&[("x-foo", b"b")]) && allowed(&[]), "{condition}");
    }
}

#[test]
fn a_format_that_the_engine_has_not_is_refused() {
    for (format, part) in [
        ("%t", "%t"),
        ("%-3d", "%-"),
        ("%+d", "%+"),
        ("%3s", "%3s"),
        ("%5v", "%5v"),
        ("%o", "%o"),
        ("%e", "%e"),
        ("%f", "%f"),
        ("%g", "%g"),
        ("%5.2f", "%5."),
        ("%.2d", "%.2d"),
        ("%100d", "%100d"),
        ("%#v", "%#"),
        ("% d", "% "),
        ("a%", "%"),
    ] {
        let condition = format!("sprintf(\"{format}\", [1]) == request.path");
        assert_refused(&condition, "{}", &format!("the format of `sprintf` may not have `{part}`"), format);
    }
    assert_refused(
        "sprintf(\"%s/%s\", [request.host]) == request.path",
        "{}",
        "the format of `sprintf` has 2 verbs for 1 values",
        "%s/%s",
    );
    for (format, values, written) in [
        ("/%s/%v/%d/%5d/%05d", "[\"a\", null, 1, 2, 3]", "/a/null/1/    2/00003"),
        ("%x%X%b%c%.2f", "[10, 11, 3, 65, 1.5]", "aB11A1.50"),
        ("100%%é", "[]", "100%é"),
    ] {
        let condition = format!("sprintf(\"{format}\", {values}) == \"{written}\"");
        assert_eq!(faults_of_a_ban(&condition, "{}"), [], "{format}");
        let text = format!("default allow := false\nallow if {condition}");
        assert!(ask(&text, "{}", "GET", "a.example", "/").is_ok_and(|answer| answer.allowed), "{format}");
    }
}
