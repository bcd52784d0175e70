//! Git's smart HTTP: the requests that read a repository, and those that write to it (gitprotocol-http, "smart
//! clients").
//!
//! A fetch is `GET …/info/refs?service=git-upload-pack` and then `POST …/git-upload-pack`. A push uses `git-receive-pack`
//! instead. So the method does not distinguish a read from a write, and for the discovery the path does not either.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::path::Path;

/// The git operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GitUse {
    /// A fetch or its discovery, or a request that is not a git operation.
    NoWrite,
    /// A push or its discovery.
    Write,
    /// The operation is unknown, because of an encoded separator or escape.
    Undecided,
}

/// The git operations that a rule covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GitScope {
    /// All requests.
    #[default]
    Any,
    /// All requests except pushes and their discovery.
    NoWrite,
    /// Only pushes and their discovery.
    Write,
    /// All requests except those of GitHub's REST API that write elsewhere ([`crate::github_api`]).
    InPlace,
}

impl GitUse {
    /// Determines the operation from the canonical path (`None` if it is undecided) and the path as sent, with its query.
    ///
    /// A discovery is a read only if its query is empty (the dumb protocol) or exactly the query that git sends. For two
    /// `service` parameters, or one with an escape, each server chooses the operation.
    pub(crate) fn new(path: Option<&Path<'_>>, raw: &[u8]) -> GitUse {
        let (raw, query) = match raw.iter().position(|byte| *byte == b'?') {
            Some(end) => raw.split_at_checked(end).unwrap_or((raw, b"?")),
            None => (raw, &b""[..]),
        };
        let reads = matches!(query, b"" | b"?" | b"?service=git-upload-pack");
        let Some(path) = path else {
            // A plain last segment is the last one in every reading. Some readings merge or drop slashes behind it.
            let last = raw.rsplit(|byte| *byte == b'/').find(|last| !last.is_empty()).unwrap_or_default();
            let plain = !last.contains(&b'%') && !matches!(last, b"." | b"..") && !raw.contains(&b';');
            let reads = query.is_empty() && plain && !last.eq_ignore_ascii_case(b"git-receive-pack");
            return if reads { GitUse::NoWrite } else { GitUse::Undecided };
        };
        let path = path.as_bytes();
        // A server that drops path parameters reads `/git-receive-pack;x` as a push. A server that looks for the query in
        // the decoded path reads `/git-receive-pack%3f` as one. So a path with such marks needs only one such segment.
        let somewhere = |name: &[u8]| {
            let mut segments = path.split(|byte| *byte == b'/');
            path.iter().any(is_end) && segments.any(|segment| starts_with(segment, name))
        };
        let pushes = ends_in(path, b"/git-receive-pack") || somewhere(b"git-receive-pack");
        let discovers = ends_in(path, b"/info/refs") || somewhere(b"refs");
        if pushes || (discovers && !reads) { GitUse::Write } else { GitUse::NoWrite }
    }
}

/// Returns whether the path ends in the suffix for the most lenient server: in any case, with or without a trailing
/// slash.
fn ends_in(path: &[u8], suffix: &[u8]) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let start = path.len().saturating_sub(suffix.len());
    path.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Returns whether a segment may end at this byte, which begins parameters, a query or a fragment.
fn is_end(byte: &u8) -> bool {
    matches!(byte, b';' | b'?' | b'#')
}

/// Returns whether a segment without its parameters equals this name, in any case.
fn starts_with(segment: &[u8], name: &[u8]) -> bool {
    segment.split(is_end).next().is_some_and(|segment| segment.eq_ignore_ascii_case(name))
}

impl GitScope {
    pub(crate) fn from_byte(byte: u8) -> Option<GitScope> {
        match byte {
            0 => Some(GitScope::Any),
            1 => Some(GitScope::NoWrite),
            2 => Some(GitScope::Write),
            3 => Some(GitScope::InPlace),
            _ => None,
        }
    }

    #[cfg(feature = "compile")]
    pub(crate) fn byte(self) -> u8 {
        match self {
            GitScope::Any => 0,
            GitScope::NoWrite => 1,
            GitScope::Write => 2,
            GitScope::InPlace => 3,
        }
    }

    /// Returns whether the scope covers a request; `None` if its operation is undecided. `elsewhere` returns whether the
    /// request is one of GitHub's REST API that writes elsewhere.
    pub(crate) fn covers(self, git: GitUse, elsewhere: impl FnOnce() -> Option<bool>) -> Option<bool> {
        match (self, git) {
            (GitScope::Any, _) => Some(true),
            (GitScope::InPlace, _) => elsewhere().map(|elsewhere| !elsewhere),
            (GitScope::NoWrite | GitScope::Write, GitUse::Undecided) => None,
            (GitScope::NoWrite, git) => Some(git == GitUse::NoWrite),
            (GitScope::Write, git) => Some(git == GitUse::Write),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str) -> GitUse {
        GitUse::new(Path::parse(raw.as_bytes()).ok().as_ref(), raw.as_bytes())
    }

    #[test]
    fn a_push_and_its_discovery_write_and_nothing_else_does() {
        for raw in [
            "/o/r/git-receive-pack",
            "/o/r.git/git-receive-pack?x",
            "/o/r/info/refs?service=git-receive-pack",
            "/o/r/./info/refs?service=git-receive-pack",
            "/o/r/info/refs?service=git%2dreceive-pack",
            "/o/r/info/refs?service=git-upload-pack&service=git-receive-pack",
            "/o/r/info/refs?a=b",
            "/o/r/info/%72efs/?service=git-receive-pack",
            "/o/r/INFO/refs?service=git-receive-pack",
            "/o/r/git-receive-pack;x",
            "/o/r/Git-Receive-Pack;x=1/",
            "/o/r/git-receive-pack%3bx",
            "/o/r/git-receive-pack/;x",
            "/o/r/git-receive-pack%3fx",
            "/o/r/git-receive-pack%23x",
            "/o/r/info/refs%3fa?service=git-receive-pack",
            "/o/r/info;x/refs;y?service=git-receive-pack",
            "/o/r/info/refs/;x?service=git-receive-pack",
        ] {
            assert_eq!(of(raw), GitUse::Write, "{raw}");
        }
        for raw in [
            "/o/r/info/refs",
            "/o/r/info/refs?",
            "/o/r/info/refs?service=git-upload-pack",
            "/o/r/git-upload-pack",
            "/o/r/git-upload-pack;x",
            "/o/r/info/refs;x?service=git-upload-pack",
            "/o/r/blob/main/a;git-receive-pack",
            "/o/r?service=git-receive-pack",
            "/o/r/blob/main/git-receive-pack.c",
            "/",
        ] {
            assert_eq!(of(raw), GitUse::NoWrite, "{raw}");
        }
    }

    #[test]
    fn an_undecided_path_leaves_it_open_unless_no_reading_writes() {
        assert_eq!(of("/o/r/releases/download/tool%2Fv1/tool.tar.gz"), GitUse::NoWrite);
        assert_eq!(of("/o/r/releases/download/tool%2541/tool.tar.gz/"), GitUse::NoWrite);
        for raw in [
            "/o%2fr/info/refs?service=git-receive-pack",
            "/o/r/info%2frefs?service=git-receive-pack",
            "/o/r%2fgit-receive-pack",
            "/o%2fr/git-receive-pack;x",
            "/o/r/git-receive-pack/.;x",
            "/o%2fr/git-receive-pack",
            "/o%2fr/Git-receive-pack/",
            "/o%2fr/%67it-receive-pack",
            "/o%2fr/git-receive-pack//",
            "/o/r%2fgit-receive-pack/",
            "/o/r/git-receive-pack%2f/",
            "/o/r/%2567it-receive-pack",
            "/o/%2572/git-receive-pack",
            "/o/r/git-receive-pack/%2561/..",
            "/o/r/%2569nfo/refs?service=git-receive-pack",
        ] {
            assert_eq!(of(raw), GitUse::Undecided, "{raw}");
        }
    }
}
