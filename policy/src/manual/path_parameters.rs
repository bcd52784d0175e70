//! `;` and `?` in paths.
//!
//! A server that implements path parameters (RFC 3986, section 3.3; Java's servlets) serves `/admin` for `/admin;x=1`.
//! Another server reads the `;` as a character. Weir does not know which server it is, so the path has readings with and
//! without its parameters ([`crate::manual::readings`]). Each effect uses the readings that deny:
//! - For an allow rule, parameters are part of the segment. The path `/v1/items` does not match `/v1/items;x`, which may
//!   be something else. The prefix `/v1/*` matches it, because it also matches the path without the parameters.
//! - A deny rule matches if one reading does: with parameters; without the text from the first `;` to the end of each
//!   segment, or of the last segment; or without the text from the first `;` to the end of the path (Fastify 4 begins the
//!   query there). Some servers drop parameters and then decode, and read `%3b` as a character. Others decode first, and
//!   read it as `;`. A segment that consists of parameters is then empty, and is merged with its neighbours.
//!
//! Weir refuses a path whose parameters could hide a dot segment (`..;x`). It also refuses dot segments beside a segment
//! that consists of parameters: `/v2/;x/../a` is `/v2/a` for a server that keeps parameters, and `/a` for a server that
//! drops them and merges slashes first.
//!
//! A deny pattern that contains a `;` matches the path as sent, and a path with `%3b` for servers that drop parameters
//! first. Weir does not model a server that drops some parameters of a path and keeps others.
//!
//! The first raw `?` ends the path, and nothing behind it counts: no dot, no slash, no second `?`. An encoded `?` is a
//! character of the path, and the end of the path for a server that decodes first. Both are readings. An encoded `#` is
//! treated alike.

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
