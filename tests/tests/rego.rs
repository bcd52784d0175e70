//! A Rego policy that must agree, evaluated by the filter in a real Envoy.

use anyhow::Result;
use e2e::{ALPHA, BETA, Deadline, EnvoyBinary, Gateway, Run, ServerOptions, UNLISTED, UpstreamHosts};
use weir_rego::limits;

/// Allows reading, says why it does not allow `/secret`, takes long over many segments, and contradicts itself about
/// `/both`.
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

/// The list of hosts in the data has this many more.
fn start(envoy: &EnvoyBinary, more_hosts: usize) -> Result<(UpstreamHosts, Gateway)> {
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
    // What the rules deny stays denied, although Rego would allow it.
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

/// A document that allows nothing itself: every name has a certificate, and the Rego policy decides.
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
        // The Rego policy allows it, and the name leads nowhere here.
        ("nowhere.weir.test", "dns_failure"),
    ] {
        let response = gateway.client().get(format!("https://{host}/"))?;
        assert_eq!(response.header("x-weir-decision"), Some(reason), "{response:#?}");
    }
    Ok(())
}

/// The deepest that `weir check` lets through: calls inside one another, each inside a long expression.
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

on_oldest_and_newest_envoy!(
    what_both_allow_goes_out_and_what_rego_denies_says_why,
    an_evaluation_without_an_end_is_a_denial_and_harms_nobody,
    what_the_policy_cannot_be_given_is_a_denial,
    edits_of_policy_and_data_are_in_force_at_once_and_bad_ones_change_nothing,
    a_hundred_thousand_hosts_in_the_data_are_looked_up,
);
