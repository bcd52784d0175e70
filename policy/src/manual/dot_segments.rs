//! `/allowed/../forbidden` is `/forbidden`.
//!
//! A rule that compares the raw path matches the prefix `/allowed/`, and the upstream resolves the dots and serves
//! something else. So Weir removes dot segments, encoded or not, before it evaluates rules (RFC 3986, section 5.2.4). It
//! refuses paths for which servers differ:
//! - `..` above the root;
//! - dot segments together with empty segments: `/a//../b` is `/a/b` for a server that resolves dots first, and `/b` for
//!   a server that merges slashes first;
//! - `..;x`, which is `..` for servers that drop path parameters before they resolve dots;
//! - dot segments together with a segment that consists of parameters (`/;x/`), which is empty for those servers.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{path, policy};
    use crate::{Policy, Reason};

    fn one_repository() -> Policy {
        policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/repos/O/R/*']}]")
    }

    #[test]
    fn leaving_the_allowed_prefix_is_seen() {
        let policy = one_repository();
        for outside in [
            "/repos/O/R/../../victim/repo",
            "/repos/O/R/%2e%2e/X",
            "/repos/O/R/.%2E/X",
            "/repos/O/R/./../X",
            "/repos/O/R/..",
            "/repos/O/R",
            "/repos/O/RX/y",
            "/repos/O/R/../RX/y",
            "/REPOS/O/R/x",
        ] {
            assert_eq!(path(&policy, outside), Reason::PathNotAllowed, "{outside}");
        }
        for inside in [
            "/repos/O/R/x",
            "/repos/O/R/./x",
            "/repos/O/R/x/../y",
            "/repos/O/../O/R/x",
            "/repos/O/R//x",
            "/repos/O/R/x//",
            "/repos/O/R/..x",
            "/repos/O/R/...",
        ] {
            assert_eq!(path(&policy, inside), Reason::Allowed, "{inside}");
        }
    }

    #[test]
    fn what_servers_resolve_differently_is_refused() {
        let policy = one_repository();
        for ambiguous in [
            "/..",
            "/../x",
            "/repos/../../x",
            "/repos/O/R//../x",
            "/repos/O/R//..",
            "//../repos/O/R/x",
            "/./../repos/O/R/x",
            "/repos/O/R/..;/x",
            "/repos/O/R/..;a=b/x",
            "/repos/O/R/.;/x",
            "/repos/O/R/%2e%2e;/x",
            "/repos/O/R/..%3b/x",
            "/repos//./O/R/x",
            "//repos/O/R/x",
            "/repos//O/R/x",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
    }

    #[test]
    fn a_deny_rule_cannot_be_walked_around() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: [/admin, '/admin/*']}]",
        );
        for denied in [
            "/admin",
            "/admin/",
            "/admin/x",
            "//admin/x",
            "/x/../admin/x",
            "/./admin",
            "/%61dmin/x",
            "/admin?x",
            "/x/%2e%2e/admin/",
        ] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
    }

    #[test]
    fn what_is_behind_the_question_mark_is_not_the_path() {
        let policy = one_repository();
        assert_eq!(path(&policy, "/repos/O/R/x?/../../y"), Reason::Allowed);
        assert_eq!(path(&policy, "/x?/repos/O/R/x"), Reason::PathNotAllowed);
        assert_eq!(path(&policy, "/repos/O/R%3f/x"), Reason::PathNotAllowed);
        assert_eq!(path(&policy, "/repos/O/R/x#/../y"), Reason::AmbiguousPath);
    }

    #[test]
    fn a_parameter_is_never_more_than_one_segment() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/a/{x}/c']}]");
        assert_eq!(path(&policy, "/a/b/c"), Reason::Allowed);
        for other in ["/a/b/b/c", "/a//c", "/a/c", "/a/b/../c", "/a/b/c/", "/a/b/cd"] {
            assert_eq!(path(&policy, other), Reason::PathNotAllowed, "{other}");
        }
        assert_eq!(path(&policy, "/a/b%2fb/c"), Reason::AmbiguousPath);
    }
}
