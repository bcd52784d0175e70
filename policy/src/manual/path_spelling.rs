//! `/Admin`, `/admin.` and `/admin%20`: what a deny rule does not see.
//!
//! Paths are compared byte for byte once they are canonical. A server that folds case, or drops a dot or a space at the
//! end of a name (some file systems do), serves for other spellings what a deny rule names in one; so does one with
//! routes, links or rewrites of its own. None of that can be known here, and folding it would deny on servers to which
//! these are different things. This is a limit, and no setting lifts it: a deny rule with `paths` holds against a server
//! that tells apart what is told apart here, and a trailing slash is told apart (`/admin` is not `/admin/`).
//!
//! So deny paths for what an allow rule is slightly too wide for. Where the server is lax and it matters, allow the paths
//! that are needed: to an allow rule another spelling is another path, and not allowed.

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
    fn an_allow_rule_allows_its_own_spelling_alone() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/admin]}]");
        for other in OTHER_SPELLINGS {
            assert_eq!(path(&policy, other), Reason::PathNotAllowed, "{other}");
        }
    }
}
