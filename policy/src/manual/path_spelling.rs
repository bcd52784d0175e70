//! `/Admin`, `/admin.` and `/admin%20`: what a deny rule sees of another spelling.
//!
//! Paths are compared byte for byte once they are canonical. A server that folds case serves for `/Admin` what a deny rule
//! names `/admin`; to another server these are different things, and folding would deny the wrong one. So the rule says
//! which it is: with `paths_ignore_case: true`, a deny rule matches every spelling that some server takes for the same, the
//! Kelvin sign for a `k` included; an allow rule matches those in ASCII alone.
//!
//! A server that drops a dot or a space at the end of a name (some file systems do), that composes accents, or that has
//! routes, links or rewrites of its own is not followed. This is a limit, and no setting lifts it: a deny rule with `paths`
//! holds against a server that tells apart what is told apart here, and a trailing slash is told apart (`/admin` is not
//! `/admin/`).
//!
//! So deny paths for what an allow rule is slightly too wide for. Where the server is lax and it matters, allow the paths
//! that are needed: to an allow rule another spelling is another path, and not allowed.

//! A `+` is a space to a server that decodes a path as a form (PHP's `urldecode`, object stores). A deny rule matches such
//! a path if it matches with spaces; to an allow rule a `+` is itself.

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
