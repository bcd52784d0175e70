//! Git's smart HTTP: what reads a repository and what writes to it (gitprotocol-http, "smart clients").
//!
//! A fetch is `GET …/info/refs?service=git-upload-pack` and then `POST …/git-upload-pack`, a push the same with
//! `git-receive-pack`. So a method does not tell a read from a write, and at the discovery not even the path does.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::path::Path;

/// What a request is to a git server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GitUse {
    /// A fetch or its discovery, or nothing to do with git.
    NoWrite,
    /// A push or its discovery.
    Write,
    /// An encoded separator or escape leaves it open.
    Undecided,
}

/// Which requests a rule is about, by their use of git.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GitScope {
    /// All of them.
    #[default]
    Any,
    /// All but pushes and their discovery.
    NoWrite,
    /// Pushes and their discovery alone.
    Write,
    /// All but requests of GitHub's REST API that write elsewhere ([`crate::github_api`]).
    InPlace,
}

impl GitUse {
    /// Reads the use off the canonical path, none if it is undecided, and the path as sent, query included.
    ///
    /// A discovery is a read only if its query is what git sends for one, byte for byte, or empty (the dumb protocol):
    /// with two `service` parameters, or an escape in one, it is the server's choice what was asked.
    pub(crate) fn of(path: Option<&Path<'_>>, raw: &[u8]) -> GitUse {
        let (raw, query) = match raw.iter().position(|byte| *byte == b'?') {
            Some(end) => raw.split_at_checked(end).unwrap_or((raw, b"?")),
            None => (raw, &b""[..]),
        };
        let reads = matches!(query, b"" | b"?" | b"?service=git-upload-pack");
        let Some(path) = path else {
            // Plain text at the end is the end in every reading; slashes behind it are merged or dropped in some.
            let last = raw.rsplit(|byte| *byte == b'/').find(|last| !last.is_empty()).unwrap_or_default();
            let plain = !last.contains(&b'%') && !matches!(last, b"." | b"..") && !raw.contains(&b';');
            let reads = query.is_empty() && plain && !last.eq_ignore_ascii_case(b"git-receive-pack");
            return if reads { GitUse::NoWrite } else { GitUse::Undecided };
        };
        let path = path.as_bytes();
        // A server that drops path parameters reads `/git-receive-pack;x` as a push, and one that looks for the query in
        // the decoded path `/git-receive-pack%3f`: where there are any, ask for less.
        let somewhere = |name: &[u8]| {
            let mut segments = path.split(|byte| *byte == b'/');
            path.iter().any(is_end) && segments.any(|segment| starts_with(segment, name))
        };
        let pushes = ends_in(path, b"/git-receive-pack") || somewhere(b"git-receive-pack");
        let discovers = ends_in(path, b"/info/refs") || somewhere(b"refs");
        if pushes || (discovers && !reads) { GitUse::Write } else { GitUse::NoWrite }
    }
}

/// Whether the path ends so for the laxest server: in any case, with a trailing slash or without.
fn ends_in(path: &[u8], suffix: &[u8]) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let start = path.len().saturating_sub(suffix.len());
    path.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Whether a segment may end here: at its parameters, or at the end of the path.
fn is_end(byte: &u8) -> bool {
    matches!(byte, b';' | b'?' | b'#')
}

/// Whether a segment without its parameters is this name, in any case.
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

    /// Whether the request is one of them; none when that is undecided. `elsewhere` says whether it is one of GitHub's
    /// REST API that writes elsewhere.
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
        GitUse::of(Path::parse(raw.as_bytes()).ok().as_ref(), raw.as_bytes())
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
