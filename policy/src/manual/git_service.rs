//! A git push begins as a GET.
//!
//! The discovery of a push is `GET …/info/refs?service=git-receive-pack`, so read access by method would allow it for
//! any repository. A fetch is a POST, so a rule that allows fetches by method would allow pushes too. The policy
//! therefore judges a request to a git server by its operation: `git-receive-pack` writes, even at its discovery, and
//! `git-upload-pack` reads.
//!
//! Only the query distinguishes the two discoveries. Servers differ in their reading of `service=a&service=b` and of
//! `service=git%2dreceive-pack`. So a discovery counts as a read only if its query is byte for byte the one that git
//! sends, or if it has no query (the dumb protocol). Every other request at `…/info/refs` counts as a write, and
//! needs permission to push. An encoded separator or escape can hide either form. The request is `ambiguous_path` if
//! it has a query, or if the encoded segment ends the path or precedes a dot segment that ends it. Elsewhere no
//! reading of the path is a push, so downloads such as `…/releases/download/tool%2Fv1/tool.tar.gz` are allowed.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::policy;
    use crate::{Reason, Target};

    #[test]
    fn a_repository_that_is_not_listed_cannot_be_pushed_to_in_any_spelling() {
        let policy = policy("github_read_access_enabled: true\ngithub_allowed_repos: [o/mine]");
        for (method, path) in [
            ("GET", "/victim/r/info/refs?service=git-receive-pack"),
            ("GET", "/victim/r.git/info/refs?service=git-receive-pack"),
            ("GET", "/victim/r/info/refs?Service=git-receive-pack"),
            ("GET", "/victim/r/info/refs?service=git-upload-pack&service=git-receive-pack"),
            ("GET", "/victim/r/info/refs?service=git-upload-pack;service=git-receive-pack"),
            ("GET", "/victim/r/info/refs?service=git%2dreceive-pack"),
            ("HEAD", "/victim/r/info/./refs/?service=git-receive-pack"),
            ("GET", "/victim/r/inf%6f/refs?service=git-receive-pack"),
            ("GET", "/o/mine/../../victim/r/info/refs?service=git-receive-pack"),
            ("POST", "/victim/r/git-receive-pack"),
            ("POST", "/o/mine/../../victim/r/git-receive-pack"),
            ("POST", "/o/mine-too/git-receive-pack"),
        ] {
            let url = format!("https://github.com{path}");
            let target = Target::parse(&url).expect("a URL");
            assert_eq!(
                policy.decide(&target.request(method)).reason,
                Reason::PathNotAllowed,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn an_undecided_path_does_not_hide_a_push() {
        let policy = policy("github_read_access_enabled: true");
        let reason = |url: &str| policy.decide(&Target::parse(url).expect("a URL").request("GET")).reason;
        for path in [
            "/victim%2fr/info/refs?service=git-receive-pack",
            "/victim/r/info%2frefs?service=git-receive-pack",
            "/victim/r%2finfo/refs?x&service=git-receive-pack",
            "/victim%2fr/git-receive-pack",
            "/victim%2fr/git-receive-pack//",
            "/victim/r%2fgit-receive-pack/",
            "/victim/r/git-receive-pack/%2561/..",
            "/victim/r/%2567it-receive-pack",
        ] {
            assert_eq!(reason(&format!("https://github.com{path}")), Reason::AmbiguousPath, "{path}");
        }
        assert_eq!(reason("https://github.com/o/r/releases/download/tool%2Fv1/tool.tar.gz"), Reason::Allowed);
    }
}
