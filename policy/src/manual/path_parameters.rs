//! `;` and `?` in paths.
//!
//! A server that knows path parameters (RFC 3986, section 3.3; Java's servlets) serves `/admin` for `/admin;x=1`; another
//! takes the `;` for a letter. Nobody can tell here which one is asked, so the path has readings with its parameters and
//! without ([`crate::manual::readings`]), and each effect takes the one that refuses:
//! - to an allow rule the parameters are part of the segment, as they were sent: one for `/v1/items` does not match
//!   `/v1/items;x`, which may be another thing. The prefix `/v1/*` matches, because it is about the path without them too;
//! - a deny rule matches if one reading does: with parameters, or without everything from the first `;` of each segment,
//!   or of the last one, to its end, or from the first `;` to the end of the path (Fastify 4 begins the query there). Some
//!   servers drop them and then decode, to whom `%3b` is a letter, and some decode first, to whom it is `;`. A segment of
//!   parameters alone is then empty, and merged with its neighbours.
//!
//! Where parameters could hide a dot segment (`..;x`), the path is refused before any rule, and so is one that has dot
//! segments beside a segment of parameters alone: `/v2/;x/../a` is `/v2/a` for one that keeps them, and `/a` for one that
//! drops them and merges slashes first.
//!
//! A deny pattern that itself has a `;` is met by the path as it is, and by `%3b` where parameters are dropped first; a
//! server that drops some parameters of a path and keeps others is not followed.
//!
//! The first raw `?` ends the path, and nothing behind it counts: no dot, no slash, no second `?`. An encoded one is a
//! letter of the path, and its end for a server that decodes first: both are readings, and so it is with `%23`.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{path, policy};

    #[test]
    fn to_an_allow_rule_parameters_are_part_of_their_segment() {
        let policy = policy(
            "rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/v1/items, '/v2/*', '/v3/{x}/end']}]",
        );
        for other in ["/v1/items;x=1", "/v1/items;", "/v1;x/items", "/v1/items%3bx", "/v3/a/end;x"] {
            assert_eq!(path(&policy, other), Reason::PathNotAllowed, "{other}");
        }
        for inside in ["/v1/items?;", "/v2/a;x=/b", "/v2/;x", "/v3/a/end"] {
            assert_eq!(path(&policy, inside), Reason::Allowed, "{inside}");
        }
    }

    #[test]
    fn a_server_that_ends_the_path_at_its_first_parameters_serves_nothing_more() {
        let policy = policy(
            "rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/users/{id}/avatar', '/jobs;v=1', \
             '/jobs;v=1/{id}/log', '/{id}/log;v=1', '/a/{b;c}/d']}]",
        );
        for cut in [
            "/users/1;/avatar",
            "/users/1;x/avatar",
            "/users/1%3b/avatar",
            "/users/1%253b/avatar",
            "/1;/log;v=1",
            "/a/b;c/d",
        ] {
            assert_eq!(path(&policy, cut), Reason::AmbiguousPath, "{cut}");
        }
        for named in ["/users/1/avatar", "/jobs;v=1", "/jobs;v=1/1/log", "/jobs;v=1/1;x/log", "/1/log;v=1"] {
            assert_eq!(path(&policy, named), Reason::Allowed, "{named}");
        }
    }

    #[test]
    fn parameters_matter_only_where_a_rule_looks_at_paths() {
        let policy = policy("allowed_domains: [allowed.example]");
        for free in ["/users/1;/avatar", "/secret;x/y", "/;"] {
            assert_eq!(path(&policy, free), Reason::Allowed, "{free}");
        }
    }

    #[test]
    fn parameters_go_around_no_deny_rule() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: [/admin, '/admin/*', '/a/{x}/c']}]",
        );
        for denied in [
            "/admin;x=1",
            "/admin;",
            "/admin;x/y",
            "/admin;x/",
            "/admin/;x",
            "/admin%3bx",
            "/admin%3Bx/y",
            "/%61dmin;x?y",
            "/;x/admin",
            "/;/%3b/admin;x",
            "/x;y/../admin;z",
            "/a;1/b/c;2",
            "/a/;x/c",
            "/a;1/%3by/c",
            "/admin;x/y/z",
            "/admin;/../admin;x",
            "/admin/x;/../y;/z",
        ] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
        assert_eq!(path(&policy, "//;x//admin"), Reason::AmbiguousPath);
        for other in ["/administrator;x", "/x;/admin", "/x;admin", "/;admin", "/?;/admin", "/a;/c"] {
            assert_eq!(path(&policy, other), Reason::Allowed, "{other}");
        }
    }

    #[test]
    fn a_deny_pattern_with_parameters_is_met_as_it_is_written() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: jobs, effect: deny, paths: [/jobs;all]}]",
        );
        for denied in ["/jobs;all", "/jobs%3ball"] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
        for other in ["/jobs", "/jobs;one", "/jobs;all;x"] {
            assert_eq!(path(&policy, other), Reason::Allowed, "{other}");
        }
    }

    #[test]
    fn parameters_empty_no_segment_beside_dot_segments() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/v2/*']}]");
        for hidden in ["/v2/;x/../a", "/v2/a/%3bx/../b", "/v2/;/%2e/x", "/v2/x/..//;"] {
            assert_eq!(path(&policy, hidden), Reason::AmbiguousPath, "{hidden}");
        }
        assert_eq!(path(&policy, "/v2/a;x/../b"), Reason::Allowed);
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
    fn an_encoded_end_of_the_path_goes_around_no_deny_rule() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: [/admin]}]",
        );
        for denied in ["/admin%3fx", "/admin%23x", "/admin%3F"] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
        for other in ["/x%3fadmin", "/a%23/admin", "/admin?%3f#"] {
            let allowed = path(&policy, other) == Reason::Allowed;
            assert_eq!(allowed, !other.contains('?'), "{other}");
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
