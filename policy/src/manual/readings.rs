//! `//public/secret` is `/secret` at one server and `/public/secret` at the next.
//!
//! Java's `HttpServer`, Node's `new URL(request.url, base)`, Python's `urlsplit` and PHP's `parse_url` take a path that
//! begins with two slashes for a reference to another host (RFC 3986, section 4.2), and serve what follows it. nginx and
//! Go merge slashes, Python's `http.server` merges those at the beginning, and an object store takes each for a part of
//! the key. Envoy's own cleaning makes such paths out of others (`/x/..//y`). One canonical form would be right for one
//! of these servers and a way around a rule at the others; to merge what goes out would break the keys.
//!
//! So nothing is rewritten, and a path has *readings*: everything that some sequence of the steps that servers take makes
//! of it, decoding once or twice, merging, dropping an authority or parameters, turning backslashes, ending at a `;` or
//! at an encoded `?`. An allow rule with `paths` matches if it matches every reading, and a deny rule denies if it matches
//! one (`denied_by_rule` where the path is plain but for its parameters or in its merged form, else `ambiguous_path`). A
//! rule without `paths` says the same of every path, so it says it of each reading. Nothing is gained by a spelling: no server
//! of these serves by it what the policy does not allow under its plain name.
//!
//! The readings of a path are bounded ([`crate::limits::READINGS`]); a path with more is ambiguous to every rule with
//! `paths`. Which steps there are is held against real servers in `tests/tests/served_paths.rs`.

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
