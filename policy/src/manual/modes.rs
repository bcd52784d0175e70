//! Report and open mode: the requests that they allow, and the requests that every mode denies.
//!
//! A mode applies to the policy's rules, not to the validity of a request. Report and open mode allow requests that
//! *rules* deny or do not allow. Every mode denies a request that is invalid, or that does not belong to its
//! connection: its host is unknown, its certificate could not be verified for that host, or no server can say where
//! its path leads (`/..`, `/a%2f..`, `%00`). A path with several readings (`%2f`, `%2561`, `//x`) is denied by a
//! *rule* whose paths match only some of them. So that rule's mode applies, as for every denial by a rule, and report
//! mode marks the decision.
//!
//! A policy that is only tried out must not open a way around the policy that will be enforced. The address guard
//! applies in every mode too, so an unlisted name never reaches a non-public address.
//!
//! A client that can choose the reason of its denial must not gain by it. So one enforcing deny rule denies, whatever
//! other rules only report. For a request that no rule matches, the mode of the nearest allow rule applies: a rule in
//! report mode for `*.example.com` does not weaken an enforcing rule for `api.example.com`. A path with several readings
//! can have another nearest rule for each: Weir denies the path if an enforcing rule could deny one of them.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, policy};
    use crate::{Effect, Policy, Reason, Request, Target, Tunnel};

    /// Returns `reason`, `would:reason` or `deny:reason`, with the rule.
    fn decide(policy: &Policy, method: &str, url: &str) -> (String, String) {
        let decision = policy.decide(&Target::parse(url).expect("a URL").request(method));
        let prefix = match (decision.effect, decision.would_deny) {
            (Effect::Allow, false) => "",
            (Effect::Allow, true) => "would:",
            (Effect::Deny, _) => "deny:",
        };
        let rule = decision.rule.map(|rule| rule.id().to_owned()).unwrap_or_default();
        (format!("{prefix}{}", decision.reason), rule)
    }

    fn all(policy: &Policy, cases: &[(&str, &str, &str, &str)]) {
        for (method, url, decided, rule) in cases {
            assert_eq!(
                decide(policy, method, url),
                ((*decided).to_owned(), (*rule).to_owned()),
                "{method} {url}"
            );
        }
    }

    #[test]
    fn a_policy_in_report_mode_says_what_it_would_deny() {
        let policy = policy(
            "mode: report\n\
             allowed_domains: [read.example]\n\
             rules:\n\
             - {id: strict, effect: allow, hosts: [strict.example], methods: [GET], mode: enforce}\n\
             - {id: no-admin, effect: deny, paths: [/admin]}\n\
             - {id: never, effect: deny, hosts: [never.example], mode: enforce}",
        );
        all(
            &policy,
            &[
                ("GET", "https://read.example/", "allowed", "allowed_domains"),
                ("POST", "https://read.example/", "would:method_not_allowed", "allowed_domains"),
                ("GET", "https://other.example/", "would:host_not_allowed", ""),
                ("GET", "http://192.0.2.1/", "would:address_literal", ""),
                ("GET", "https://read.example/admin", "would:denied_by_rule", "no-admin"),
                ("GET", "https://read.example/%2fadmin", "would:ambiguous_path", "no-admin"),
                ("POST", "https://strict.example/", "deny:method_not_allowed", "strict"),
                ("GET", "https://strict.example/admin", "would:denied_by_rule", "no-admin"),
                ("GET", "https://never.example/admin", "deny:denied_by_rule", "never"),
            ],
        );
    }

    #[test]
    fn a_rule_in_report_mode_reports_for_itself_alone() {
        let policy = policy(
            "rules:\n\
             - {id: api, effect: allow, hosts: [api.b.example], methods: [GET], paths: [/v1/*]}\n\
             - {id: tried, effect: allow, hosts: [a.example, '*.b.example'], methods: [GET], addresses: [10.0.0.0/8], mode: report}\n\
             - {id: no-delete, effect: deny, methods: [DELETE], mode: report}\n\
             - {id: no-heads, effect: deny, hosts: [a.example], methods: [HEAD, DELETE]}",
        );
        all(
            &policy,
            &[
                ("GET", "https://a.example/", "allowed", "tried"),
                ("POST", "https://a.example/", "would:method_not_allowed", "tried"),
                ("GET", "https://other.example/", "deny:host_not_allowed", ""),
                ("DELETE", "https://other.example/", "deny:host_not_allowed", ""),
                ("DELETE", "https://x.b.example/", "would:denied_by_rule", "no-delete"),
                ("DELETE", "https://a.example/", "deny:denied_by_rule", "no-heads"),
                ("GET", "https://x.b.example/", "allowed", "tried"),
                ("GET", "https://api.b.example/v1/x", "allowed", "api"),
                ("POST", "https://api.b.example/v1/x", "deny:method_not_allowed", "api"),
            ],
        );
        let target = Target::parse("https://a.example/").expect("a URL");
        assert_eq!(policy.decide(&target.request("POST")).address_set, Some(0));
        // A request that report mode allows against a deny rule gets the addresses of the rule that allows it.
        let target = Target::parse("https://x.b.example/").expect("a URL");
        assert_eq!(policy.decide(&target.request("DELETE")).address_set, Some(0));
    }

    #[test]
    fn report_mode_forwards_no_path_of_which_an_enforcing_rule_denies_a_reading() {
        let strict = "- {id: strict, effect: allow, hosts: [a.example], paths: [/x/y, /q]}\n";
        let tried = "- {id: tried, effect: allow, hosts: [a.example], paths: [/x/*], mode: report}\n";
        let rules = |rules: &[&str]| policy(&format!("rules:\n{}", rules.concat()));
        // A server that takes `%2f` for a character reads `/x%2fz`, which no rule allows and `strict` denies.
        all(
            &rules(&[strict, tried]),
            &[
                ("GET", "https://a.example/x/z", "allowed", "tried"),
                ("GET", "https://a.example/z", "deny:path_not_allowed", "strict"),
                ("GET", "https://a.example/x%2fz", "deny:ambiguous_path", "tried"),
                ("GET", "https://a.example/x/z%2fz", "allowed", "tried"),
            ],
        );
        // Here `tried` decides such a reading as well.
        all(
            &rules(&[tried, strict]),
            &[
                ("GET", "https://a.example/z", "would:path_not_allowed", "tried"),
                ("GET", "https://a.example/x%2fz", "would:ambiguous_path", "tried"),
                ("GET", "https://a.example/x%2fy", "would:ambiguous_path", "tried"),
            ],
        );
    }

    #[test]
    fn report_mode_forwards_no_path_of_which_rego_denies_an_enforced_reading() {
        let document = |first: &str, second: &str| {
            policy(&format!(
                "rego: {{policy: a.rego}}\n\
                 rules:\n\
                 - {{id: first, effect: allow, hosts: [a.example], paths: [/x/y], mode: {first}}}\n\
                 - {{id: second, effect: allow, hosts: [a.example], mode: {second}}}"
            ))
        };
        let target = Target::parse("https://a.example/x%2fy").expect("a URL");
        for (first, second, effect) in [
            ("enforce", "report", Effect::Deny),
            ("report", "enforce", Effect::Deny),
            ("report", "report", Effect::Allow),
        ] {
            let policy = document(first, second);
            let decision = policy.decide_with_rego(&target.request("GET"), |_| Err(Reason::DeniedByRego));
            assert_eq!(
                (decision.effect, decision.reason),
                (effect, Reason::DeniedByRego),
                "{first} {second}"
            );
        }
    }

    #[test]
    fn an_open_policy_lets_out_what_no_rule_allows_and_not_what_one_denies() {
        let policy = policy(
            "mode: open\n\
             rules:\n\
             - {id: a, effect: allow, hosts: [a.example], methods: [GET]}\n\
             - {id: never, effect: deny, hosts: [never.example]}\n\
             - {id: paths, effect: deny, hosts: [a.example], paths: [/never]}\n\
             - {id: tried, effect: deny, methods: [PUT], mode: report}",
        );
        all(
            &policy,
            &[
                ("GET", "https://a.example/", "allowed", "a"),
                ("POST", "https://a.example/", "open_mode", "a"),
                ("GET", "https://other.example:8443/", "open_mode", ""),
                ("PUT", "https://other.example/", "would:denied_by_rule", "tried"),
                ("GET", "https://never.example/", "deny:denied_by_rule", "never"),
                ("GET", "https://never.example/%2561", "deny:denied_by_rule", "never"),
                ("GET", "https://a.example/%2fx", "allowed", "a"),
                // Some reading of each is denied, and by a rule that holds in every mode.
                ("GET", "https://a.example/%2fnever", "deny:ambiguous_path", "paths"),
                ("GET", "https://a.example//x/never", "deny:ambiguous_path", "paths"),
            ],
        );
    }

    #[test]
    fn no_mode_lets_out_what_reads_two_ways_or_belongs_elsewhere() {
        for mode in ["report", "open"] {
            let policy = policy(&format!("mode: {mode}\nallowed_domains: [allowed.example]"));
            for (request, reason) in [
                (Request { authority: b"a@allowed.example", ..HONEST }, Reason::InvalidHost),
                (Request { server_name: None, ..HONEST }, Reason::MissingSni),
                (Request { server_name: Some(b"other.example"), ..HONEST }, Reason::SniMismatch),
                (Request { tunnel: Some(b"other.example:443"), ..HONEST }, Reason::TunnelMismatch),
                (Request { method: b"CONNECT", ..HONEST }, Reason::InvalidMethod),
                (Request { path: b"/..", ..HONEST }, Reason::AmbiguousPath),
                (Request { path: b"/a%2f..", ..HONEST }, Reason::AmbiguousPath),
            ] {
                let decision = policy.decide(&request);
                assert_eq!((decision.effect, decision.reason), (Effect::Deny, reason), "{mode}");
            }
        }
    }

    #[test]
    fn a_tunnel_is_opened_to_what_may_be_let_out_inside() {
        let connect = |document: &str, authority: &str, judge_host| {
            policy(document).admit(&Tunnel { authority: authority.as_bytes(), judge_host }).reason
        };
        let open = "mode: report\nallowed_domains: [a.example]";
        assert_eq!(connect(open, "other.example:8443", false), Reason::Allowed);
        assert_eq!(connect(open, "a.example:8443", true), Reason::Allowed);
        // No certificate could be made for this host.
        assert_eq!(connect(open, "other.example:443", true), Reason::HostNotAllowed);
        assert_eq!(connect("allowed_domains: [a.example]", "a.example:8443", false), Reason::PortNotAllowed);
    }

    #[test]
    fn an_open_deny_rule_is_a_fault() {
        let faults = crate::compile("rules: [{id: a, effect: deny, mode: open}]").expect_err("a fault");
        assert!(faults.to_string().contains("denies nothing"), "{faults}");
    }
}
