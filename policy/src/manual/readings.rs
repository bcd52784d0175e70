//! `//public/secret` is `/secret` at one server and `/public/secret` at another.
//!
//! Java's `HttpServer`, Node's `new URL(request.url, base)`, Python's `urlsplit` and PHP's `parse_url` read a path that
//! begins with two slashes as a reference to another host (RFC 3986, section 4.2), and serve the path behind that host.
//! nginx and Go merge slashes, Python's `http.server` merges only those at the beginning, and for an object store each
//! slash is part of the key. Envoy's own normalisation makes such paths of others (`/x/..//y`). A single canonical form
//! would be right for one of these servers, and a bypass at the others. Merging slashes in forwarded paths would break
//! the keys.
//!
//! So Weir rewrites nothing, and a path has *readings*: the results of every sequence of the steps that servers take.
//! These are decoding once or twice, merging slashes, dropping an authority or parameters, turning backslashes, and
//! ending the path at a `;` or at an encoded `?`. An allow rule with `paths` matches if it matches every reading. A deny
//! rule denies if it matches one reading. The reason is `denied_by_rule` if the path has a canonical form, if the rule
//! matches every reading, or if it matches the path after one decoding with merged slashes. Otherwise the reason is
//! `ambiguous_path`. A rule without `paths` covers every path and so every reading. Another spelling gains nothing: none
//! of these servers serves a resource for it that the policy does not allow under its plain name.
//!
//! The number of readings is bounded ([`crate::limits::READINGS`]). A path with more is ambiguous for every rule with
//! `paths`. `tests/tests/served_paths.rs` compares the steps with real servers.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{path, policy};

    const EMPTY_BEGINNINGS: [&str; 9] = [
        "//x/secret",
        "///x/secret",
        "//x@y/secret",
        "//x:80/secret",
        "//x//secret",
        "/%2fx/secret",
        "/%5cx/secret",
        "//x/%73ecret",
        "//x/secret;y",
    ];

    #[test]
    fn an_empty_beginning_goes_around_no_deny_rule() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: secret, effect: deny, paths: [/secret, '/secret/*']}]",
        );
        for hidden in EMPTY_BEGINNINGS {
            assert_eq!(path(&policy, hidden), Reason::AmbiguousPath, "{hidden}");
        }
        assert_eq!(path(&policy, "//secret"), Reason::DeniedByRule);
        for other in ["//x/public", "//", "//secrets", "/a//secret"] {
            assert_eq!(path(&policy, other), Reason::Allowed, "{other}");
        }
    }

    #[test]
    fn an_empty_beginning_leads_out_of_no_allowed_folder() {
        let policy =
            policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/public/*', '/x/*']}]");
        for hidden in ["//public/secret", "///public/secret", "//x/secret", "/%2fpublic/secret", "//public"] {
            assert_ne!(path(&policy, hidden), Reason::Allowed, "{hidden}");
        }
        assert_eq!(path(&policy, "/public//secret"), Reason::Allowed);
        assert_eq!(path(&policy, "/x/..//public/secret"), Reason::AmbiguousPath);
    }

    #[test]
    fn slashes_matter_only_where_a_rule_looks_at_paths() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: a, effect: deny, paths: [/secret], methods: [PUT]}]",
        );
        for key in ["//bucket//key", "/bucket//key", "/bucket/key//", "//x/secret", "/bucket/a%2f%2fb"] {
            assert_eq!(path(&policy, key), Reason::Allowed, "{key}");
        }
    }

    #[test]
    fn a_rule_for_every_path_is_sure_of_every_reading() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/*]}]");
        for path_of_any_kind in EMPTY_BEGINNINGS {
            assert_eq!(path(&policy, path_of_any_kind), Reason::Allowed, "{path_of_any_kind}");
        }
    }

    #[test]
    fn more_readings_than_are_looked_at_are_ambiguous() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/*]}]");
        let many = format!("//{}", "a%252f%3f;x//".repeat(50));
        assert_eq!(path(&policy, many), Reason::AmbiguousPath);
    }
}
