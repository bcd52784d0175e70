//! `;` and `?` in paths.
//!
//! A server that knows path parameters (RFC 3986, section 3.3; Java's servlets) serves `/admin` for `/admin;x=1`; another
//! takes the `;` for a letter. To a rule the parameters are part of the segment, as they were sent: an allow rule for
//! `/v1/items` does not match `/v1/items;x`, which may be another thing, and the prefix `/v1/*` does. A deny rule for
//! exactly `/admin` is gone around with `/admin;x` on such a server, as with `/ADMIN` on one that folds case: a deny rule
//! is for what an allow rule is too wide for, and where the server reads paths its own way, allow what is needed instead.
//! Where parameters could hide a dot segment (`..;x`), the path is refused.
//!
//! The first raw `?` ends the path, and nothing behind it counts: no dot, no slash, no second `?`. An encoded one is a
//! letter of the path.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{path, policy};

    #[test]
    fn parameters_are_part_of_their_segment() {
        let policy = policy(
            "rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/v1/items, '/v2/*', '/v3/{x}/end']}]",
        );
        for other in ["/v1/items;x=1", "/v1/items;", "/v1;x/items", "/v1/items%3bx", "/v3/a/end;x"] {
            assert_eq!(path(&policy, other), Reason::PathNotAllowed, "{other}");
        }
        for inside in ["/v1/items?;", "/v2/a;x=/b", "/v2/;x", "/v3/a;x=1/end"] {
            assert_eq!(path(&policy, inside), Reason::Allowed, "{inside}");
        }
    }

    #[test]
    fn parameters_hide_no_dot_segment() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/v2/*']}]");
        for hidden in ["/v2/..;/v1", "/v2/..;x=1/v1", "/v2/.;/x", "/v2/%2e.%3b/v1", "/v2/..;", "/v2/a%2f..;x"]
        {
            assert_eq!(path(&policy, hidden), Reason::AmbiguousPath, "{hidden}");
        }
        for shown in ["/v2/...;x", "/v2/a;..", "/v2/;..", "/v2/a;/b"] {
            assert_eq!(path(&policy, shown), Reason::Allowed, "{shown}");
        }
    }

    #[test]
    fn the_first_question_mark_ends_the_path() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/v1]}]");
        for same in ["/v1?", "/v1?a=/../x", "/v1??", "/v1?%2f%00", "/v1?/v1/../.."] {
            assert_eq!(path(&policy, same), Reason::Allowed, "{same}");
        }
        for other in ["/v1%3f", "/v1%3F/v1", "/x?/v1"] {
            assert_eq!(path(&policy, other), Reason::PathNotAllowed, "{other}");
        }
    }
}
