//! A push that begins as a GET.
//!
//! Read access by method lets `GET …/info/refs?service=git-receive-pack` through, the discovery of a push, for any
//! repository; and a fetch is a POST, so that whoever allows it by method allows pushes with it. So a request to a git
//! server is read for what it does: `git-receive-pack` writes, at its discovery too, and `git-upload-pack` reads.
//!
//! Of the discovery the query alone tells which. Servers differ in what they take of `service=a&service=b` and of
//! `service=git%2dreceive-pack`, so only what git itself sends counts as a read, byte for byte, or no query at all (the
//! dumb protocol); everything else at `…/info/refs` counts as a write, and is allowed where pushing is. An encoded
//! separator or escape hides both ends: with a query, or at the end of the path, or before a dot segment that ends it, it
//! is `ambiguous_path`; elsewhere no reading of the path is a push, and downloads such as `…/releases/download/tool%2Fv1/tool.tar.gz` go through.

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
