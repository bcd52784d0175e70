//! A server that decodes a path once reads another path than a server that decodes it twice, or not at all.
//!
//! Rules compare text that is decoded once, so `/%61dmin` is `/admin`. An encoded slash is a separator for servers that
//! decode before they split the path, and a character for servers that split it first. An encoded backslash is a slash for
//! some servers, and an encoded NUL ends the path for some. Weir gives none of them a single meaning. It refuses a path
//! with a NUL, overlong UTF-8 (`%c0%af`), a `%` that begins no escape (`%u002f`, `%2`), and an escape that a second
//! decoding turns into a dot segment, a control character or a third escape (`%252e%252e`, `%2500`, `%25252e`).
//!
//! # Encoded separators and escapes
//!
//! Honest clients send them: npm requests `/@scope%2fname`, GitLab's API names a project `group%2Fproject`, Jenkins names
//! a branch `feature%252Fx`, and the name of a file may contain `%2520`. Weir cannot know how often and when a server
//! decodes. So such a path is *undecided*: it has a reading for each behaviour ([`crate::manual::readings`]), and a rule
//! with `paths` judges each of them.
//!
//! Dot segments beside them are different. `/a/..%2f..%2fb` climbs by one segment or by none. A proxy or server that
//! resolves dots first and decodes later makes yet another path of it, perhaps above the root. No honest client sends such
//! a path. So Weir refuses a path with an encoded separator if it has a dot segment in the reading that treats each as a
//! separator. That reading has every dot segment of every other reading, because a segment joined by a separator is never
//! a dot segment.
//!
//! Every server reads a `%` without two hexadecimal digits behind it as a percent sign, so `/100%25` is not undecided.
//!
//! A raw backslash is refused, because Envoy rewrites it before the filter reads the path. No client that follows a
//! standard sends one.

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
            "/admin%5Cx",
            "/%2fadmin/x",
            "/%5cadmin/x",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
        for nowhere in ["/x%5C", "/x%2fadmin", "/admin%2f..x"] {
            let reason = path(&policy, nowhere);
            assert_eq!(reason == Reason::Allowed, nowhere != "/admin%2f..x", "{nowhere}: {reason}");
        }
    }

    #[test]
    fn an_encoded_separator_or_escape_matters_where_its_readings_differ() {
        let policy = policy(
            "allowed_domains: [allowed.example, registry.example]\n\
             rules:\n\
             - {id: api, effect: allow, hosts: [api.example], paths: [/*]}\n\
             - {id: scoped, effect: allow, hosts: [scoped.example], paths: ['/@scope/*']}\n\
             - {id: admin, effect: deny, hosts: [allowed.example], paths: ['/admin/*'], methods: [GET]}\n\
             - {id: no-heads, effect: deny, hosts: [registry.example], methods: [HEAD]}",
        );
        let decide = |host: &'static str, method: &'static str, path: &'static str| {
            let (authority, server_name) = (host.as_bytes(), Some(host.as_bytes()));
            let decision = policy.decide(&Request {
                authority,
                server_name,
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
            // A deny rule that is meant in one reading denies; one that is about another path or method is not meant.
            ("allowed.example", "GET", "/admin%2fname", "ambiguous_path", "admin"),
            ("allowed.example", "HEAD", "/admin%2fname", "allowed", "allowed_domains"),
            ("allowed.example", "GET", "/@scope%2fname", "allowed", "allowed_domains"),
            ("allowed.example", "GET", "/admin/a%2fb", "denied_by_rule", "admin"),
            // An allow rule matches if it means every reading.
            ("api.example", "GET", "/@scope%2fname", "allowed", "api"),
            ("api.example", "GET", "/a%252fb", "allowed", "api"),
            ("scoped.example", "GET", "/@scope/a%2fb", "allowed", "scoped"),
            ("scoped.example", "GET", "/@scope%2fname", "ambiguous_path", "scoped"),
            ("scoped.example", "GET", "/@other%2fname", "path_not_allowed", "scoped"),
            // Dot segments beside encoded separators lead elsewhere in each reading.
            ("registry.example", "GET", "/a/..%2f..%2fb", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%2f..", "ambiguous_path", ""),
            ("registry.example", "GET", "/a/%2e%2e%5cb", "ambiguous_path", ""),
            ("registry.example", "GET", "/../a%2fb", "ambiguous_path", ""),
            // Other troubles are refused as ever, with an encoded separator or without.
            ("registry.example", "GET", "/a%2fb%00", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%252f..", "ambiguous_path", ""),
            ("registry.example", "GET", "/a%252fb", "allowed", "allowed_domains"),
            // An escape that is left is undecided in the same way.
            ("registry.example", "GET", "/%2561dmin", "allowed", "allowed_domains"),
            ("registry.example", "PUT", "/%2561dmin", "method_not_allowed", "allowed_domains"),
            ("allowed.example", "GET", "/%2561dmin/x", "ambiguous_path", "admin"),
            ("allowed.example", "HEAD", "/%2561dmin/x", "allowed", "allowed_domains"),
            ("api.example", "GET", "/%2561dmin", "allowed", "api"),
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
            "/admin%252fx",
            "/admin%255cx",
            "/admin%25%32%66x",
            "/admin%253bx/y",
            "/admin%253b/y",
            "/%252fadmin/x",
            "/%25252e",
            "/x%2500",
            "/%2561dmin/x",
            "/admi%256e/",
            "/%25%36%31dmin/x",
            "/x/../%2561dmin/x",
            "//%2561dmin/x",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
        for plain in ["/100%25", "/a%25/41", "/50%25-off", "/x%252fadmin/x", "/%253b", "/a%2541", "/100%2525"]
        {
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
