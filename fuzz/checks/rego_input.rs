//! Both engines give equal answers or errors for any request to a policy that reads all of it.

use weir_rego::{Bundle, EvaluationError, Input, Module, Program, check as check_policy};

const POLICY: &str = r#"package envoy.authz

import input.attributes.request.http as request

default allow := false

allow if {
	request.method == "GET"
	request.host in data.hosts
	not startswith(request.path, "/secret")
	not "x" in input.parsed_path
}

allow if input.parsed_query.a[0] == "b"

allow if request.headers["x-team"] == input.attributes.destination.principal
"#;

thread_local! {
    static ENGINES: [Program; 2] = {
        let modules = vec![Module { name: "policy.rego".to_owned(), text: POLICY.to_owned() }];
        let data = r#"{"hosts": ["a.example", "b.example"]}"#.to_owned();
        let bundle = Bundle { modules, data, query: weir_rego::DEFAULT_QUERY.to_owned() };
        let plan = check_policy(&bundle).expect("a good policy").plan;
        let beside = Program::load_beside(&plan).expect("it loads").expect("a policy for the VM");
        [Program::load(&plan).expect("it loads"), beside]
    };
}

/// Checks one input: the method, host, path, query, and the name and value of a header, each on a line.
pub(crate) fn check(input: &[u8]) {
    let mut lines = input.splitn(6, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default());
    let (Ok(method), Ok(host), Ok(path)) = (text(), text(), text()) else { return };
    let query = lines.next();
    let name = std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or("x-team");
    let value = lines.next().unwrap_or_default();
    let request = Input {
        method,
        scheme: "https",
        host,
        principal: Some(host),
        path: Some(path),
        decoded_path: Some(path.as_bytes()),
        query,
        headers: &[(name, value), ("x-team", value)],
    };
    ENGINES.with(|engines| {
        let [vm, interpreter] = engines.each_ref().map(|engine| engine.evaluate(&request));
        assert_eq!(engines[0].evaluate(&request), vm);
        // Each engine counts its own steps.
        if [&vm, &interpreter].iter().all(|answer| **answer != Err(EvaluationError::Exhausted)) {
            assert_eq!(vm, interpreter);
        }
    });
}
