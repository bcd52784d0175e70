//! Rego policies beside rules, evaluated by the filter in a real Envoy.

use anyhow::{Context, Result, anyhow, ensure};
use e2e::{
    ALPHA, BETA, Deadline, EnvoyBinary, Request, Run, RunningGateway, ServerOptions, UNLISTED, UpstreamHosts,
    Wire,
};
use weir_rego::{Bundle, Input, Module, Program, limits};

use crate::builtin_calls;

/// A policy that allows reading, gives a reason for `/secret`, takes long over many segments, and contradicts itself
/// about `/both`.
const POLICY: &str = r#"
package envoy.authz

import rego.v1

import input.attributes.request.http as request

default allowed := false

allowed if {
	request.host in data.hosts
	request.method == "GET"
	not startswith(request.path, "/secret")
}

# As many steps as the cube of the segments: bounded for every request.
slow if count([1 | some a in input.parsed_path; some b in input.parsed_path; some c in input.parsed_path; a == b; b == c]) < 0

answer["allowed"] := allowed if not slow

answer["http_status"] := 451 if not allowed

answer["reason"] := sprintf("%s is \"not\" for you", [request.path]) if not allowed

answer["headers"] := {"x-ticket": "SEC-1", "retry-after": "60"} if not allowed
"#;

fn document(hosts: &UpstreamHosts) -> String {
    format!(
        "rego: {{policy: policy.rego, data: data.json, query: data.envoy.authz.answer}}\n{}",
        hosts.policy()
    )
}

fn write(run: &Run, name: &str, content: &str) -> Result<()> {
    Ok(std::fs::write(run.policy().with_file_name(name), content)?)
}

/// The number of further hosts in the data's list.
fn start(envoy: &EnvoyBinary, more_hosts: usize) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(envoy, &hosts, &document(&hosts))?;
    write(&run, "policy.rego", POLICY)?;
    let own = [ALPHA, BETA].map(|host| format!("{host}:{}", hosts.port()));
    let listed: Vec<String> = (0..more_hosts).map(|n| format!("h{n}.example")).chain(own).collect();
    write(&run, "data.json", &serde_json::json!({ "hosts": listed }).to_string())?;
    Ok((hosts, run.start()?))
}

fn what_both_allow_goes_out_and_what_rego_denies_says_why(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, 0)?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    let denied = gateway.client().get(hosts.url(ALPHA, "/x/../secret?q"))?;
    assert_eq!(denied.status, 451, "{denied:#?}");
    assert_eq!(denied.header("x-weir-decision"), Some("denied_by_rego"));
    assert_eq!((denied.header("x-ticket"), denied.header("retry-after")), (Some("SEC-1"), Some("60")));
    let body = denied.json()?;
    assert_eq!(
        (&body["reason"], &body["rego_reason"]),
        (&"denied_by_rego".into(), &"/secret?q is \"not\" for you".into())
    );
    // The rules' denials stand, although Rego would allow the requests.
    let private = gateway.client().get(hosts.url(BETA, "/private"))?;
    assert_eq!((private.status, private.header("x-weir-decision")), (403, Some("path_not_allowed")));
    let reasons: Vec<_> = gateway.decisions(3)?.into_iter().map(|decision| decision.reason).collect();
    assert_eq!(reasons, ["allowed", "denied_by_rego", "path_not_allowed"]);
    assert_eq!(hosts.nginx.wait_served(1)?.len(), 1);
    Ok(())
}

fn an_evaluation_without_an_end_is_a_denial_and_harms_nobody(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, 0)?;
    let long = hosts.url(ALPHA, &"/a".repeat(500));
    for _ in 0..3 {
        let denied = gateway.client().get(long.clone())?;
        assert_eq!(
            (denied.status, denied.header("x-weir-decision")),
            (403, Some("rego_error")),
            "{denied:#?}"
        );
        assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    }
    Ok(())
}

fn what_the_policy_cannot_be_given_is_a_denial(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, 0)?;
    for (path, reason) in [
        ("/a%2fb".to_owned(), "ambiguous_path"),
        ("/%ff".to_owned(), "rego_error"),
        (format!("/?{}", "a".repeat(20_000)), "rego_error"),
    ] {
        let denied = gateway.client().get(hosts.url(ALPHA, &path))?;
        assert_eq!(denied.header("x-weir-decision"), Some(reason), "{path} {denied:#?}");
    }
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    Ok(())
}

fn edits_of_policy_and_data_are_in_force_at_once_and_bad_ones_change_nothing(
    envoy: &EnvoyBinary,
) -> Result<()> {
    let (hosts, gateway) = start(envoy, 0)?;
    let url = hosts.url(ALPHA, "/secret");
    let wait = |what: &str, expected: u16| {
        Deadline::seconds(30)
            .poll(what, || Ok((gateway.client().get(url.clone())?.status == expected).then_some(())))
    };
    wait("refusal by the first policy", 451)?;
    write(gateway.run(), "policy.rego", &POLICY.replace("\"/secret\"", "\"/other\""))?;
    wait("answer after the edit of the policy", 200)?;
    write(gateway.run(), "policy.rego", &POLICY.replace("request.method", "http.send"))?;
    Deadline::seconds(30).poll("word of the bad edit", || {
        Ok(gateway.stderr().contains("the last good policy stays in force").then_some(()))
    })?;
    assert_eq!(gateway.client().get(url.clone())?.status, 200);
    write(gateway.run(), "policy.rego", &POLICY.replace("\"/secret\"", "\"/other\""))?;
    write(gateway.run(), "data.json", r#"{"hosts": []}"#)?;
    wait("refusal after the edit of the data", 451)
}

fn a_hundred_thousand_hosts_in_the_data_are_looked_up(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, 100_000)?;
    assert_eq!(gateway.client().get(hosts.url(BETA, "/"))?.status, 200);
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/secret"))?.status, 451);
    Ok(())
}

/// A document without allow rules: every name has a certificate, and the Rego policy decides.
#[test]
fn rego_alone_decides_on_hosts_that_no_rule_names() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let document = "rego: {policy: policy.rego, query: data.p.allow}\nrules: [{id: never, effect: deny, hosts: [never.weir.test]}]";
    let run = Run::new(&EnvoyBinary::version("1.40.0")?, &hosts, document)?;
    let policy = format!(
        "package p\ndefault allow := false\nallow if input.attributes.request.http.host != \"{UNLISTED}\"\n"
    );
    write(&run, "policy.rego", &policy)?;
    let gateway = run.start()?;
    for (host, reason) in [
        (UNLISTED, "denied_by_rego"),
        ("never.weir.test", "denied_by_rule"),
        // The Rego policy allows the request, and the name does not resolve.
        ("nowhere.weir.test", "dns_failure"),
    ] {
        let response = gateway.client().get(format!("https://{host}/"))?;
        assert_eq!(response.header("x-weir-decision"), Some(reason), "{response:#?}");
    }
    Ok(())
}

/// The deepest policy that `weir check` accepts: nested calls, each inside a long expression.
#[test]
fn the_deepest_policy_is_evaluated() -> Result<()> {
    const CALLS: usize = limits::CALL_DEPTH - 2;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let document = format!("rego: {{policy: policy.rego, query: data.p.allow}}\n{}", hosts.policy());
    let run = Run::new(&EnvoyBinary::version("1.40.0")?, &hosts, &document)?;
    let links = |count: usize| "\n\t+ 0".repeat(count);
    let calls =
        (1..CALLS).map(|n| format!("f{n}(x) := f{}(x){}\n", n - 1, links(limits::EXPRESSION_DEPTH - 3)));
    let policy = format!(
        "package p\n\ndefault allow := false\n\nf0(x) := x\n{}\nallow if f{}(count(input.parsed_path)) == 1\n",
        calls.collect::<String>(),
        CALLS - 1
    );
    write(&run, "policy.rego", &policy)?;
    let gateway = run.start()?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    let denied = gateway.client().get(hosts.url(ALPHA, "/a/b"))?;
    assert_eq!(denied.header("x-weir-decision"), Some("denied_by_rego"), "{denied:#?}");
    Ok(())
}

/// For each builtin and each combination of edge values, the filter gives the value that the native program gives.
fn no_builtin_traps_the_filter(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let query = builtin_calls::QUERY;
    let document = format!(
        "rego: {{policy: policy.rego, data: data.json, query: {query}}}\nrules: [{{id: called, effect: allow, hosts: [called.weir.test], schemes: [http]}}]"
    );
    let run = Run::new(envoy, &hosts, &document)?;
    write(&run, "policy.rego", &builtin_calls::policy())?;
    write(&run, "data.json", &builtin_calls::data())?;
    let gateway = run.start()?;
    let program = native_program()?;
    let mut wire = Wire::connect(gateway.address()?)?;
    for (name, letters) in builtin_calls::BUILTINS {
        for (first, second) in builtin_calls::choices(letters) {
            wire.write(format!(
                "GET http://called.weir.test/ HTTP/1.1\r\nhost: called.weir.test\r\nx-builtin: {name}\r\nx-first: {first}\r\nx-second: {second}\r\n\r\n"
            ))?;
            let head = wire.expect_head()?;
            let mut body = Vec::new();
            wire.read_content(&head, |piece| body.extend_from_slice(piece))?;
            let body: serde_json::Value = serde_json::from_slice(&body)?;
            let (first, second) = (first.to_string(), second.to_string());
            let headers: [(&str, &[u8]); 3] = [
                ("x-builtin", name.as_bytes()),
                ("x-first", first.as_bytes()),
                ("x-second", second.as_bytes()),
            ];
            let expected = program.evaluate(&Input {
                method: "GET",
                scheme: "http",
                host: "called.weir.test",
                principal: None,
                path: Some("/"),
                decoded_path: Some(b"/"),
                query: None,
                headers: &headers,
            });
            let reason = expected.with_context(|| format!("{name} {first} {second}"))?.reason;
            assert_eq!(body["rego_reason"].as_str(), reason.as_deref(), "{name} {first} {second}: {body}");
        }
    }
    Ok(())
}

fn native_program() -> Result<Program> {
    let modules = vec![Module { name: "policy.rego".to_owned(), text: builtin_calls::policy() }];
    let bundle = Bundle { modules, data: builtin_calls::data(), query: builtin_calls::QUERY.to_owned() };
    let checked = weir_rego::check(&bundle).map_err(|faults| anyhow!("{faults:#?}"))?;
    Ok(Program::load(&checked.plan)?)
}

/// The deepest value that a request can contain, walked by a builtin in the deepest call.
fn the_deepest_value_is_walked_where_the_calls_are_deepest(envoy: &EnvoyBinary) -> Result<()> {
    const CALLS: usize = limits::CALL_DEPTH - 3;
    const WALKS: [&str; 7] = [
        "count(json.marshal(deep))",
        "count(sprintf(\"%v\", [deep]))",
        "count(object.union({\"a\": deep}, {\"a\": deep}))",
        "count({deep, [deep]} & {deep})",
        "count([1 | object.subset(deep, {\"a\"})])",
        "count(json.remove({\"a\": deep}, [\"a/a/a/a/a/a/a\"]))",
        "count([1 | deep == deep])",
    ];
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let document = format!("rego: {{policy: policy.rego, query: data.p.allow}}\n{}", hosts.policy());
    let run = Run::new(envoy, &hosts, &document)?;
    let links = "\n\t+ 0".repeat(limits::EXPRESSION_DEPTH - 3);
    let calls = (1..CALLS).map(|n| format!("f{n}(x) := f{}(x){links}\n", n - 1));
    let walks = WALKS.iter().enumerate().map(|(n, walk)| {
        format!("f0(x) := {walk} if input.attributes.request.http.headers[\"x-walk\"] == \"{n}\"\n\n")
    });
    let policy = format!(
        "package p\n\ndefault allow := false\n\ndeep := json.unmarshal(input.attributes.request.http.headers[\"x-deep\"])\n\n{}{}\nallow if f{}(1) >= 0\n",
        walks.collect::<String>(),
        calls.collect::<String>(),
        CALLS - 1
    );
    write(&run, "policy.rego", &policy)?;
    let gateway = run.start()?;
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for deep in [nested("[", "]", 126), nested("{\"a\":", "}", 126), nested("[", "]", 4000)] {
        for walk in 0..WALKS.len() {
            let request = Request::get(hosts.url(ALPHA, "/"))
                .header(format!("x-walk: {walk}"))
                .header(format!("x-deep: {deep}"));
            let response = gateway.client().send(&request)?;
            let decision = response.header("x-weir-decision");
            ensure!(
                response.status == 200 || matches!(decision, Some("denied_by_rego" | "rego_error")),
                "{walk} {deep:.10}: {response:#?}"
            );
        }
        assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 403);
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    the_deepest_value_is_walked_where_the_calls_are_deepest,
    no_builtin_traps_the_filter,
    what_both_allow_goes_out_and_what_rego_denies_says_why,
    an_evaluation_without_an_end_is_a_denial_and_harms_nobody,
    what_the_policy_cannot_be_given_is_a_denial,
    edits_of_policy_and_data_are_in_force_at_once_and_bad_ones_change_nothing,
    a_hundred_thousand_hosts_in_the_data_are_looked_up,
);
