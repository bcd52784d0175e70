//! One decoding is right, none and two are attacks.
//!
//! Rules compare decoded text, so that `/%61dmin` is `/admin`. An encoded slash is a separator for servers that decode
//! before they split and a character for those that split first; an encoded backslash or NUL is a slash or an end for
//! some. None of these is decoded into a meaning here. A path with a NUL is refused, and so are overlong UTF-8 (`%c0%af`),
//! a `%` that starts no escape (`%u002f`, `%2`), and an escape that decodes to an escape of `/`, `\`, `.`, `;`, `%` or a
//! control character (`%252e`, `%25252e`): to a server that decodes twice it may lead elsewhere altogether.
//!
//! # Encoded separators
//!
//! Honest clients send them: npm asks for `/@scope%2fname`, GitLab's API names a project `group%2Fproject`. So an encoded
//! slash or backslash alone does not refuse a path; it leaves the path *undecided*, and every rule that would have to
//! decide it refuses:
//! - a rule without `paths` says the same of every path of its host, so it says it of each reading of this one;
//! - a deny rule with `paths` that otherwise matches might be meant, so it denies (`ambiguous_path`);
//! - an allow rule with `paths` might not be meant, so it does not match (`ambiguous_path`).
//!
//! Nothing is gained by sending an encoded separator: against each reading of the path that has none, no more
//! allow rules match and no fewer deny rules.
//!
//! With dot segments it is another matter. `/a/..%2f..%2fb` climbs by one segment or by none, and a proxy or server on the
//! way that resolves first and decodes later turns it into yet another path, perhaps above the root, perhaps on a rule's
//! forbidden side once it is logged, cached or routed by somebody else. No honest client sends it. So a path that has an
//! encoded separator and, in the reading that takes each for a separator, a dot segment, is refused before any rule. That
//! reading has every dot segment of every other one: joining segments with a separator never makes a dot segment.
//!
//! # Encoded escapes
//!
//! Any other escape that still stands after the one decoding only spells a letter otherwise: `/%2561dmin` is `/%61dmin` to
//! a server that decodes once and `/admin` to one that decodes twice, or behind a proxy that decodes too. Which it is
//! cannot be known here, and honest clients send it (`%2520` in the name of a file), so such a path is undecided as one
//! with an encoded separator is, with the same answer from each rule. A `%` that no two hexadecimal digits follow is a
//! percent sign for everybody: `/100%25` is decided. Dot segments do not matter here, for they are the same in both
//! readings.
//!
//! A raw backslash stays refused, because Envoy rewrites it before anybody judges, and no client that follows a
//! standard sends it.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, path, policy};
    use crate::{Policy, Reason, Request};

    fn no_admin() -> Policy {
        policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: ['/admin/*']}]",
        )
    }

    #[test]
    fn an_encoded_letter_is_the_letter() {
        let policy = no_admin();
        for denied in ["/%61dmin/x", "/%61%64%6D%69%6e/x", "/admi%6E/%78"] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
    }

    #[test]
    fn encoded_separators_are_refused() {
        let policy = no_admin();
        for ambiguous in [
            "/x%2f..%2fadmin/x",
            "/x%2F../admin/x",
            "/admin%2fx",
            "/x%5c..%5cadmin",
            "/x\\..\\admin",
            "/admin%00/x",
            "/admin%0a/x",
            "/%2e%2e%2fadmin",
            "/x%5C",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
    }

    #[test]
    fn an_encoded_separator_or_escape_matters_only_to_rules_with_paths() {
        let policy = policy(
            "allowed_domains: [allowed.example, registry.example]\n\
             rules:\n\
             - {id: api, effect: allow, hosts: [api.example], paths: [/*]}\n\
             - {id: admin, effect: deny, hosts: [allowed.example], paths: ['/admin/*'], methods: [GET]}\n\
             - {id: no-heads, effect: deny, hosts: [registry.example], methods: [HEAD]}",
        );
        let decide = |host: &'static str, method: &'static str, path: &'static str| {
            let (authority, sni) = (host.as_bytes(), Some(host.as_bytes()));
            let decision = policy.decide(&Request {
                authority,
                sni,
                method: method.as_bytes(),
                path: path.as_bytes(),
                ..HONEST
            });
            (decision.reason.as_str(), decision.rule.map(|rule| rule.id().to_owned()).unwrap_or_default())
        };
        for (host, method, path, reason, rule) in [
            ("registry.example", "GET", "/@scope%2fname", "allowed", "allowed_domains"),
            ("registry.example", "GET", "/a%5cb", "allowed", "allowed_domains"),
            ("registry.example", "PUT", "/@scope%2fname", "method_not_allowed", "allowed_domains"),
            ("registry.example", "HEAD", "/@scope%2fname", "denied_by_rule", "no-heads"),
            ("other.example", "GET", "/@scope%2fname", "host_not_allowed", ""),
            // A deny rule that might be meant denies; one that is about another method is not meant.
            ("allowed.example", "GET", "/@scope%2fname", "ambiguous_path", "admin"),
            ("allowed.example", "HEAD", "/@scope%2fname", "allowed", "allowed_domains"),
            // An allow rule that looks at paths does not match, also where every path would do.
            ("api.example", "GET", "/@scope%2fname", "ambiguous_path", "api"),
            // Dot segments beside encoded separators lead elsewhere in each reading.
            ("registry.example", "GET", "/a/..%2f..%2fb", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%2f..", "ambiguous_path", ""),
            ("registry.example", "GET", "/a/%2e%2e%5cb", "ambiguous_path", ""),
            ("registry.example", "GET", "/../a%2fb", "ambiguous_path", ""),
            // Other troubles are refused as ever, with an encoded separator or without.
            ("registry.example", "GET", "/a%2fb%00", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%252fb", "ambiguous_path", ""),
            // An escape that is left is undecided in the same way.
            ("registry.example", "GET", "/%2561dmin", "allowed", "allowed_domains"),
            ("registry.example", "PUT", "/%2561dmin", "method_not_allowed", "allowed_domains"),
            ("allowed.example", "GET", "/%2561dmin", "ambiguous_path", "admin"),
            ("allowed.example", "HEAD", "/%2561dmin", "allowed", "allowed_domains"),
            ("api.example", "GET", "/%2561dmin", "ambiguous_path", "api"),
            ("registry.example", "GET", "/../%2561dmin", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%2fb%2", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%2fb%c0%af", "ambiguous_path", ""),
        ] {
            assert_eq!(decide(host, method, path), (reason, rule.to_owned()), "{method} {host}{path}");
        }
    }

    #[test]
    fn a_second_layer_of_encoding_goes_around_no_deny_rule() {
        let policy = no_admin();
        for ambiguous in [
            "/%252e%252e/admin/x",
            "/x%252fadmin",
            "/x%255cadmin",
            "/x%25%32%66admin",
            "/%25252e",
            "/x%2500",
            "/%253b",
            "/%2561dmin/x",
            "/%2561dmin",
            "/admi%256e",
            "/%25%36%31dmin",
            "/x/../%2561dmin",
            "/a%2541",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
        for plain in ["/100%25", "/a%25/41", "/50%25-off"] {
            assert_eq!(path(&policy, plain), Reason::Allowed, "{plain}");
        }
    }

    #[test]
    fn escapes_that_only_a_lax_decoder_knows_are_refused() {
        let policy = no_admin();
        for ambiguous in [
            "/x%c0%afadmin",
            "/%c0%ae%c0%ae/admin",
            "/%c1%9cadmin",
            "/%e0%80%af",
            "/%f0%80%80%af",
            "/x%u002fadmin",
            "/x%2",
            "/x%",
            "/x%zz",
            "/x%+2f",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
    }
}
