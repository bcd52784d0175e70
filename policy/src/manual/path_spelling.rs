//! `/Admin`, `/admin.` and `/admin%20`: other spellings of a path in a deny rule.
//!
//! Canonical paths are compared byte for byte. A server that ignores case serves `/Admin` like `/admin`. For another
//! server they are two resources, and a deny rule that ignored case would deny the wrong one. So the rule chooses. With
//! `paths_ignore_case: true`, a deny rule matches every spelling that some server treats as equal, even with the Kelvin
//! sign for a `k`. An allow rule then ignores case for ASCII letters only.
//!
//! Weir does not model a server that drops a dot or a space at the end of a name, as some file systems do, that composes
//! accents, or that has its own routes, links or rewrites. No setting changes this limit: a deny rule with `paths` holds
//! only if the server distinguishes the paths that Weir distinguishes. A trailing slash is one distinction: `/admin` is
//! not `/admin/`.
//!
//! So use deny paths as exceptions from an allow rule that is slightly too wide. If the server is lenient and the
//! difference matters, list the necessary paths in an allow rule. For an allow rule, another spelling is another path, and
//! not allowed.
//!
//! A `+` is a space for a server that decodes a path like a form (PHP's `urldecode`, object stores). A deny rule matches
//! such a path if it matches the path with spaces. For an allow rule, a `+` is a `+`.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{path, policy};

    const OTHER_SPELLINGS: [&str; 5] = ["/Admin", "/%41dmin", "/admin.", "/admin%20", "/admin%2E"];

    #[test]
    fn a_deny_rule_sees_its_own_spelling_alone() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: [/admin, '/admin/*']}]",
        );
        for unseen in OTHER_SPELLINGS {
            assert_eq!(path(&policy, unseen), Reason::Allowed, "{unseen}");
        }
    }

    #[test]
    fn a_plus_is_also_a_space_to_a_deny_rule() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: secret, effect: deny, paths: ['/my secret', '/my secret/*', /c++]}]",
        );
        for denied in
            ["/my+secret", "/my%20secret", "/%6dy+secret/x+y", "/my+secret;x/y", "/my+secret?+", "/c++"]
        {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
        for undecided in ["//my+secret/x", "//x/my+secret"] {
            assert_eq!(path(&policy, undecided), Reason::AmbiguousPath, "{undecided}");
        }
        for other in ["/my%2bsecret", "/my++secret", "/x?/my+secret", "/c%20%20", "/+"] {
            assert_eq!(path(&policy, other), Reason::Allowed, "{other}");
        }
    }

    #[test]
    fn a_plus_is_itself_to_an_allow_rule() {
        let policy =
            policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/a b', /c+d]}]");
        for (sent, reason) in [
            ("/a+b", Reason::PathNotAllowed),
            ("/a%20b", Reason::Allowed),
            ("/c+d", Reason::Allowed),
            ("/c%20d", Reason::PathNotAllowed),
        ] {
            assert_eq!(path(&policy, sent), reason, "{sent}");
        }
    }

    #[test]
    fn an_allow_rule_allows_its_own_spelling_alone() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/admin]}]");
        for other in OTHER_SPELLINGS {
            assert_eq!(path(&policy, other), Reason::PathNotAllowed, "{other}");
        }
    }

    #[test]
    fn a_deny_rule_that_ignores_case_sees_every_case() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: [/admin/keys, '/admin/keys/*'], paths_ignore_case: true}]",
        );
        for denied in [
            "/admin/keys",
            "/ADMIN/Keys",
            "/%41dmin/keys/x",
            "/admin/%E2%84%AAeys",
            "/adm%C4%B1n/key%C5%BF",
            "/Admin/keys;x",
            "/adm%C4%B0n/keys",
        ] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
        assert_eq!(path(&policy, "/Admin%2fKeys"), Reason::AmbiguousPath);
        for other in ["/admin/keysx", "/admin", "/admin/keys."] {
            assert_eq!(path(&policy, other), Reason::Allowed, "{other}");
        }
    }

    #[test]
    fn an_allow_rule_that_ignores_case_ignores_that_of_ascii() {
        let policy = policy(
            "rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/Docs/*'], paths_ignore_case: true}]",
        );
        for allowed in ["/Docs/", "/docs/A", "/DOCS/a/b"] {
            assert_eq!(path(&policy, allowed), Reason::Allowed, "{allowed}");
        }
        assert_eq!(path(&policy, "/Doc%C5%BF/a"), Reason::PathNotAllowed);
    }

    #[test]
    fn ignoring_the_case_of_no_path_is_a_fault() {
        for rule in ["effect: deny", "effect: allow, hosts: [a.example]"] {
            let faults = crate::compile(&format!("rules: [{{id: a, {rule}, paths_ignore_case: true}}]"));
            let faults = faults.expect_err("a fault").to_string();
            assert!(faults.contains("`paths_ignore_case` needs `paths`"), "{faults}");
        }
    }
}
