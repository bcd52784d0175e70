//! Calls that the engine evaluates differently than OPA, or not at all.

use weir_rego::{Input, Program, check};

use super::{ask, bundle, checked, request};

/// Returns the faults of a policy that denies under a condition, each with the text at its place.
fn faults_of_denial(condition: &str, data: &str) -> Vec<(String, String)> {
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
    let faults = faults_of_denial(condition, data);
    // The span of a text may include its quotes.
    let found = faults.iter().any(|(text, at)| text == message && at.trim_matches(['"', '`']) == place);
    assert!(found, "{condition}: {faults:#?}\nand not {message:?} at {place:?}");
}

/// The engine has no Unicode tables. Each call would be undefined, and Envoy would forward the requests that the policy
/// means to deny.
#[test]
fn a_pattern_that_never_matches_is_refused() {
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
        assert_eq!(faults_of_denial(condition, data), [], "{condition}");
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
        let faults = faults_of_denial(&format!("glob.match(\"*\", {delimiters}, request.host)"), "{}");
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
        assert_eq!(faults_of_denial(&condition(matching), "{}"), [], "{pattern}");
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
        assert_eq!(faults_of_denial(condition, "{}"), [], "{condition}");
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
        assert_eq!(faults_of_denial(&condition, "{}"), [], "{format}");
        let text = format!("default allow := false\nallow if {condition}");
        assert!(ask(&text, "{}", "GET", "a.example", "/").is_ok_and(|answer| answer.allowed), "{format}");
    }
}
