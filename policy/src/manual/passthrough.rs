//! Passed-through TLS: the policy knows only the server name and port of a connection.
//!
//! The server name is a claim. Envoy connects to the host of that name, so a false claim reaches the host that it
//! names and no other. The requests inside, and the hosts that they name (`Host`, a second name at a server of many),
//! are between the client and that server. Four rules follow:
//! - A passthrough rule has no methods and no paths, because it could not enforce them.
//! - A passthrough rule allows no intercepted request, because its author did not write it for requests.
//! - A deny rule that could match a request inside denies the whole connection.
//! - A host is either intercepted or passed through. A passthrough rule for `*.example.com` beside a rule with paths
//!   for `api.example.com` would bypass the paths, and is a fault of the document.
//!
//! In every mode, Envoy passes a connection through only if such a rule names its host.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, policy};
    use crate::{Connection, Effect, HostPattern, Policy, Reason, Request, Scheme};

    const DOCUMENT: &str = "
rules:
- {id: pinned, effect: allow, hosts: [pinned.example, '*.pinned.example'], tls: passthrough}
- {id: opened, effect: allow, hosts: [allowed.example]}
- {id: never, effect: deny, hosts: [bad.pinned.example], methods: [DELETE]}
";

    const PINNED: Connection<'static> =
        Connection { server_name: Some(b"pinned.example"), port: 443, tunnel: Some(b"pinned.example:443") };

    fn pass(policy: &Policy, connection: &Connection<'_>) -> (Effect, Reason) {
        let decision = policy.pass(connection);
        (decision.effect, decision.reason)
    }

    #[test]
    fn a_connection_is_judged_by_its_name_and_port() {
        let policy = policy(DOCUMENT);
        for name in [&b"pinned.example"[..], b"PINNED.example.", b"a.b.pinned.example"] {
            let connection = Connection { server_name: Some(name), tunnel: None, ..PINNED };
            assert_eq!(pass(&policy, &connection), (Effect::Allow, Reason::Allowed));
        }
        for (connection, reason) in [
            (Connection { server_name: None, ..PINNED }, Reason::MissingSni),
            (Connection { server_name: Some(b""), ..PINNED }, Reason::MissingSni),
            (Connection { server_name: Some(b"\xff"), ..PINNED }, Reason::InvalidHost),
            (Connection { server_name: Some(b"*.pinned.example"), ..PINNED }, Reason::InvalidHost),
            (Connection { port: 8443, tunnel: None, ..PINNED }, Reason::PortNotAllowed),
            (Connection { tunnel: Some(b"other.example:443"), ..PINNED }, Reason::TunnelMismatch),
            (Connection { tunnel: Some(b"pinned.example:80"), ..PINNED }, Reason::TunnelMismatch),
            (Connection { tunnel: Some(b""), ..PINNED }, Reason::TunnelMismatch),
            (
                Connection { server_name: Some(b"pinned.example.attacker.test"), tunnel: None, ..PINNED },
                Reason::HostNotAllowed,
            ),
            (Connection { server_name: Some(b"192.0.2.1"), tunnel: None, ..PINNED }, Reason::AddressLiteral),
        ] {
            assert_eq!(pass(&policy, &connection), (Effect::Deny, reason), "{connection:?}");
        }
    }

    #[test]
    fn what_is_to_be_opened_is_not_passed_through_and_the_other_way_round() {
        for mode in ["enforce", "report", "open"] {
            let policy = policy(&format!("mode: {mode}{DOCUMENT}"));
            let opened = Connection { server_name: Some(b"allowed.example"), tunnel: None, ..PINNED };
            assert_eq!(pass(&policy, &opened), (Effect::Deny, Reason::TlsNotAllowed), "{mode}");
            let unknown = Connection { server_name: Some(b"unknown.test"), tunnel: None, ..PINNED };
            assert_eq!(pass(&policy, &unknown), (Effect::Deny, Reason::HostNotAllowed), "{mode}");
            let request =
                Request { authority: b"pinned.example", server_name: Some(b"pinned.example"), ..HONEST };
            for request in [request, Request { scheme: Scheme::Http, server_name: None, ..request }] {
                let decision = policy.decide(&request);
                assert_eq!(
                    (decision.effect, decision.reason),
                    (Effect::Deny, Reason::TlsNotAllowed),
                    "{mode}"
                );
            }
        }
    }

    #[test]
    fn a_deny_rule_for_anything_inside_denies_the_whole() {
        let policy = policy(DOCUMENT);
        let bad = Connection { server_name: Some(b"bad.pinned.example"), tunnel: None, ..PINNED };
        assert_eq!(pass(&policy, &bad), (Effect::Deny, Reason::DeniedByRule));
        assert_eq!(policy.pass(&bad).rule.map(|rule| rule.id()), Some("never"));
        let faults = crate::compile(
            "rules: [{id: pinned, effect: allow, hosts: [p.example], tls: passthrough}, {id: no-delete, effect: deny, methods: [DELETE]}]",
        );
        let faults = faults.expect_err("it can never be passed through").to_string();
        assert!(faults.contains("`pinned` can never allow: `no-delete`"), "{faults}");
    }

    #[test]
    fn hosts_are_listed_by_how_they_are_taken() {
        let policy = policy(DOCUMENT);
        let shown = |hosts: Vec<HostPattern>| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(policy.hosts().collect()), ["allowed.example"]);
        let mut passed: Vec<_> = policy.passthrough_hosts().collect();
        passed.sort_unstable();
        assert_eq!(shown(passed), ["pinned.example", "*.pinned.example"]);
    }
}
