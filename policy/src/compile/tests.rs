//! Whole documents, compiled.

use super::*;
use crate::{HostPattern, Port, Reason, Request, RuleOutcome, Scheme, Target};

fn policy(source: &str) -> Policy {
    compile(source).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Returns each fault of a document as `at: message`.
pub(super) fn faults(rules: &str) -> Vec<String> {
    let faults = compile(rules).err().into_iter().flat_map(|faults| faults.list);
    faults.map(|fault| format!("{}: {}", fault.at, fault.message)).collect()
}

fn reason(policy: &Policy, method: &str, url: &str) -> Reason {
    let target = Target::parse(url).expect("a URL");
    policy.decide(&target.request(method)).reason
}

#[test]
fn data_keys_become_rules_over_both_schemes() {
    let policy = policy("allowed_domains: [read.example]\nunrestricted_domains: [write.example]");
    for (method, url, expected) in [
        ("GET", "https://read.example/", Reason::Allowed),
        ("HEAD", "http://read.example/", Reason::Allowed),
        ("POST", "https://read.example/", Reason::MethodNotAllowed),
        ("OPTIONS", "https://read.example/", Reason::MethodNotAllowed),
        ("POST", "http://write.example/", Reason::Allowed),
        ("GET", "https://www.read.example/", Reason::HostNotAllowed),
        ("GET", "http://read.example:443/", Reason::PortNotAllowed),
    ] {
        assert_eq!(reason(&policy, method, url), expected, "{method} {url}");
    }
    let ids: Vec<&str> = policy.rules().map(|rule| rule.id()).collect();
    assert_eq!(ids, ["allowed_domains", "unrestricted_domains"]);
}

#[test]
fn empty_data_keys_allow_nothing() {
    let policy = policy("allowed_domains: []\nunrestricted_domains: []");
    assert_eq!(reason(&policy, "GET", "https://any.example/"), Reason::HostNotAllowed);
}

#[test]
fn suffix_pattern_does_not_match_the_bare_domain() {
    let policy = policy("rules: [{id: a, effect: allow, hosts: ['*.example.com']}]");
    assert_eq!(reason(&policy, "GET", "https://a.example.com/"), Reason::Allowed);
    assert_eq!(reason(&policy, "GET", "https://a.b.example.com/"), Reason::Allowed);
    assert_eq!(reason(&policy, "GET", "https://example.com/"), Reason::HostNotAllowed);
}

#[test]
fn a_silent_deny_rule_is_wide() {
    let policy = policy(
        "unrestricted_domains: [a.example]\n\
         rules: [{id: up, effect: allow, hosts: [a.example, up.example], ports: [8443]}, {id: never, effect: deny, hosts: [a.example]}]",
    );
    for url in ["http://a.example/", "https://a.example/", "https://a.example:8443/"] {
        assert_eq!(reason(&policy, "GET", url), Reason::DeniedByRule, "{url}");
    }
}

#[test]
fn among_rules_that_say_the_same_the_first_counts() {
    let policy = policy(
        "rules:\n\
         - {id: below, effect: allow, hosts: ['*.example']}\n\
         - {id: exact, effect: allow, hosts: [a.example, a.test]}\n\
         - {id: no-exact, effect: deny, hosts: [a.example], methods: [PUT, POST]}\n\
         - {id: no-below, effect: deny, hosts: ['*.example'], methods: [PUT]}\n\
         - {id: no-writing, effect: deny, methods: [PUT, POST, PATCH]}\n",
    );
    for (method, rule) in
        [("GET", "below"), ("PUT", "no-exact"), ("POST", "no-exact"), ("PATCH", "no-writing")]
    {
        let target = Target::parse("https://a.example/").expect("a URL");
        let decision = policy.decide(&target.request(method));
        assert_eq!(decision.rule.map(|rule| rule.id()), Some(rule), "{method}");
    }
}

#[test]
fn the_rule_that_came_furthest_names_the_reason() {
    let policy = policy(
        "rules:\n\
         - {id: plain, effect: allow, hosts: [a.example], schemes: [http]}\n\
         - {id: port, effect: allow, hosts: [a.example], ports: [8443]}\n\
         - {id: method, effect: allow, hosts: ['*.example'], methods: [PUT]}\n\
         - {id: path, effect: allow, hosts: [a.example], methods: [GET], paths: [/x]}\n",
    );
    let decide = |method: &str, url: &str| {
        let target = Target::parse(url).expect("a URL");
        let (decision, trace) = policy.explain(&target.request(method));
        let rule = decision.rule.map(|rule| rule.id().to_owned());
        (decision.reason.as_str(), rule.unwrap_or_default(), trace.steps.len())
    };
    assert_eq!(decide("GET", "https://a.example/"), ("path_not_allowed", "path".to_owned(), 4));
    assert_eq!(decide("POST", "https://a.example/"), ("method_not_allowed", "method".to_owned(), 4));
    assert_eq!(decide("POST", "https://a.example:9/"), ("port_not_allowed", "port".to_owned(), 4));
    assert_eq!(decide("GET", "http://a.example:9/"), ("port_not_allowed", "plain".to_owned(), 4));
    assert_eq!(decide("GET", "http://b.example/"), ("scheme_not_allowed", "method".to_owned(), 1));
}

#[test]
fn what_a_proxy_needs_to_know_can_be_listed() {
    let policy = policy(
        "allowed_domains: [a.example]\n\
         rules:\n\
         - {id: one, effect: allow, hosts: ['*.b.example', a.example], ports: [8443, 443], addresses: [10.0.0.0/8, 127.0.0.1]}\n\
         - {id: two, effect: allow, hosts: [c.example], addresses: ['fd00::/8']}\n\
         - {id: three, effect: allow, hosts: [d.example], addresses: [127.0.0.1, 10.0.0.0/8]}\n\
         - {id: four, effect: deny, hosts: [never.example], ports: [22]}\n",
    );
    let mut hosts: Vec<HostPattern> = policy.hosts().collect();
    hosts.sort_unstable();
    let shown: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["a.example", "c.example", "d.example", "*.b.example"]);
    let port = |number, scheme| Port { number, scheme };
    let ports: Vec<Port> = policy.ports().collect();
    assert_eq!(ports, [port(80, Scheme::Http), port(443, Scheme::Https), port(8443, Scheme::Https)]);
    let sets: Vec<String> = policy.address_sets().map(|set| format!("{set:?}")).collect();
    assert_eq!(sets, ["[10.0.0.0/8, 127.0.0.1/32]", "[fd00::/8]"]);
    let of_rules: Vec<Option<u16>> = policy.rules().map(|rule| rule.address_set()).collect();
    assert_eq!(of_rules, [None, Some(0), Some(1), Some(0), None]);
}

#[test]
fn explaining_names_what_is_nearly_the_host() {
    let policy =
        policy("rules: [{id: a, effect: allow, hosts: [example.com, '*.api.example.com', www.other.test]}]");
    let near = |url: &str| {
        let target = Target::parse(url).expect("a URL");
        let (_, trace) = policy.explain(&target.request("GET"));
        trace.near.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(near("https://api.example.com/"), ["*.api.example.com", "example.com"]);
    assert_eq!(near("https://other.test/"), ["www.other.test"]);
    assert!(near("https://nothing.test/").is_empty());
}

#[test]
fn a_trace_says_how_far_each_rule_came() {
    let policy = policy(
        "allowed_domains: [a.example]\nrules: [{id: b, effect: allow, hosts: [a.example], paths: [/b]}]",
    );
    let request = Request {
        server_name: Some(b"a.example"),
        ..Target::parse("https://a.example/%61").expect("a URL").request("POST")
    };
    let (_, trace) = policy.explain(&request);
    let outcomes: Vec<RuleOutcome> = trace.steps.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [RuleOutcome::MethodDiffers, RuleOutcome::PathDiffers]);
    assert_eq!(trace.path.as_deref(), Some("/a"));
}

#[test]
fn json_is_read_as_well() {
    let policy = policy("{\n\t\"allowed_domains\": [\"a.example\"],\n\t\"rules\": []\n}\n");
    assert_eq!(reason(&policy, "GET", "https://a.example/"), Reason::Allowed);
}

#[test]
fn the_same_policy_in_other_words_has_the_same_bytes() {
    let one = policy(
        "rules: [{id: a, effect: allow, hosts: [a.example, b.example], methods: [GET, PUT], ports: [1, 2]}]",
    );
    let other = policy(
        "# words\nrules:\n- ports: [2, 1]\n  methods: [PUT, 'GET']\n  hosts: [b.example, \"a.example\"]\n  id: a\n  effect: allow\n",
    );
    assert_eq!(one.as_bytes(), other.as_bytes());
    assert_eq!(one.version(), other.version());
}

#[test]
fn upstreams_are_numbered_in_their_order_and_shared() {
    let policy = policy(
        "rules:\n\
         - {id: one, effect: allow, hosts: [a.example], upstream: {host: 10.0.0.1, port: 8443, sni: b.example, names: [z.example, b.example], ca: ../roots.pem}}\n\
         - {id: two, effect: allow, hosts: [b.example], upstream: {sessions: none, client_certificate: c.pem, client_key: k.pem}}\n\
         - {id: three, effect: allow, hosts: [c.example], upstream: {names: [b.example, z.example], port: 8443, host: 10.0.0.1, sni: b.example, ca: ../roots.pem}}\n\
         - {id: four, effect: allow, hosts: [d.example]}\n",
    );
    let shown: Vec<String> = policy.upstreams().map(|upstream| format!("{upstream:?}")).collect();
    assert_eq!(
        shown,
        [
            "Upstream { host: Some(\"10.0.0.1\"), port: Some(8443), sni: Some(\"b.example\"), names: [\"b.example\", \"z.example\"], ca: Some(\"../roots.pem\"), client_certificate: None, client_key: None, sessions: Resume }",
            "Upstream { host: None, port: None, sni: None, names: [], ca: None, client_certificate: Some(\"c.pem\"), client_key: Some(\"k.pem\"), sessions: None }",
        ]
    );
    let of_rules: Vec<Option<u16>> = policy.rules().map(|rule| rule.upstream_number()).collect();
    assert_eq!(of_rules, [Some(0), Some(1), Some(0), None]);
    let target = Target::parse("https://b.example/").expect("a URL");
    assert_eq!(policy.decide(&target.request("GET")).upstream, Some(1));
    let target = Target::parse("https://b.example:9/").expect("a URL");
    assert_eq!(policy.decide(&target.request("GET")).upstream, None);
}

#[test]
fn the_addresses_of_a_document_are_those_of_each_allow_rule_without_its_own() {
    let policy = policy(
        "addresses: [10.0.0.0/8]\n\
         allowed_domains: [a.example]\n\
         github_read_access_enabled: true\n\
         rules:\n\
         - {id: default, effect: allow, hosts: [b.example]}\n\
         - {id: own, effect: allow, hosts: [c.example], addresses: [192.168.0.0/16]}\n\
         - {id: public, effect: allow, hosts: [d.example], addresses: []}\n\
         - {id: denied, effect: deny, hosts: [e.example]}\n",
    );
    let sets: Vec<Vec<String>> =
        policy.address_sets().map(|set| set.nets().map(|net| net.to_string()).collect()).collect();
    let listed = |rule: &crate::Rule<'_>| {
        rule.address_set().and_then(|set| sets.get(usize::from(set))).cloned().unwrap_or_default()
    };
    for rule in policy.rules() {
        let expected: &[&str] = match rule.id() {
            "own" => &["192.168.0.0/16"],
            "public" | "denied" => &[],
            _ => &["10.0.0.0/8"],
        };
        assert_eq!(listed(&rule), expected, "{}", rule.id());
    }
    assert_eq!(sets.len(), 2, "rules share the list of the document");
}

#[test]
fn the_rule_of_a_rego_policy_has_the_addresses_of_its_document() -> Result<(), Faults> {
    let Compiled { policy, .. } = compile_document("addresses: [10.0.0.0/8]\nrego: {policy: [a.rego]}")?;
    let sets: Vec<_> = policy.rules().map(|rule| (rule.id().to_owned(), rule.address_set())).collect();
    assert_eq!(sets, [("rego".to_owned(), Some(0))]);
    Ok(())
}

#[test]
fn addresses_of_a_document_that_no_rule_uses_are_a_fault() {
    let unused = "addresses: no rule uses these `addresses`";
    let own = "rules: [{id: a, effect: allow, hosts: [a.example], addresses: [10.0.0.1]}]";
    let deny = "rules: [{id: a, effect: deny, hosts: [a.example]}]";
    for rules in ["rules: []", own, deny] {
        assert_eq!(faults(&format!("addresses: [10.0.0.0/8]\n{rules}")), [unused], "{rules}");
    }
    assert_eq!(faults("addresses: []\nallowed_domains: [a.example]"), ["addresses: the list is empty"]);
    let empty = "rules: [{id: a, effect: allow, hosts: [a.example], addresses: []}]";
    assert_eq!(faults(empty), ["rules[0].addresses: the list is empty"]);
    let long: Vec<String> = (0..1025).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    let long = format!("addresses: [{}]\nallowed_domains: [a.example]", long.join(", "));
    assert_eq!(faults(&long), ["addresses: the list has more than 1024 ranges"]);
}

#[test]
fn what_is_probably_not_meant_has_a_warning() -> Result<(), Faults> {
    let source = "allowed_domains: [io.example]\n\
         rules:\n\
         - {id: a, effect: allow, hosts: ['*.io.example', '*.a.io.example', io.example], paths: ['/a/[0-9]+', '/[slug]']}\n\
         - {id: b, effect: deny, hosts: ['*.io.example']}\n";
    let warnings = |compiled: Compiled| {
        let warnings = compiled.warnings.into_iter();
        warnings.map(|warning| format!("{}:{}", warning.line, warning.at)).collect::<Vec<_>>()
    };
    let compiled = compile_with_public_suffixes(source, |name| name == "io.example")?;
    assert_eq!(warnings(compiled), ["3:rules[0].hosts[0]", "3:rules[0].paths[0]"]);
    assert_eq!(warnings(compile_document(source)?), ["3:rules[0].paths[0]"]);
    Ok(())
}

#[test]
fn a_tab_in_the_indentation_is_named() {
    for source in
        ["rules:\n\t- id: a\n", "rules:\n  - id: a\n\t  effect: allow\n", "mode: open\n\trules: []\n"]
    {
        assert_eq!(faults(source), [": YAML does not allow a tab in the indentation"], "{source:?}");
    }
}
