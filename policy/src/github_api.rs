//! Requests of GitHub's REST API that stand below a repository and write elsewhere.
//!
//! `POST /repos/OWNER/NAME/forks` makes a repository in another account, `…/generate` too, `…/transfer` gives this one away.
//! Who may write to one repository may not do these. The list is that of the REST API's reference.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::path::pattern::{Case, PatternKind};

const WRITES_ELSEWHERE: [&[u8]; 7] = [
    // A new repository, in the account of the caller's choice.
    b"/repos/{owner}/{repository}/forks",
    b"/repos/{owner}/{repository}/generate",
    // A new repository, private, for the fix of a vulnerability.
    b"/repos/{owner}/{repository}/security-advisories/{advisory}/forks",
    // This repository, in another account.
    b"/repos/{owner}/{repository}/transfer",
    // A machine in the caller's account.
    b"/repos/{owner}/{repository}/codespaces",
    b"/repos/{owner}/{repository}/pulls/{number}/codespaces",
    // The branch that the pull request comes from, which may be a fork's.
    b"/repos/{owner}/{repository}/pulls/{number}/update-branch",
];

const KIND: PatternKind = PatternKind { prefix: false, parameters: true, case: Case::Ascii };

/// Whether a write to this path is one to something else than the repository in it: in any case, with a slash at its end,
/// and with a format (`.json`) behind its last word.
pub(crate) fn writes_elsewhere(path: &[u8]) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let last = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let end = path.get(last..).and_then(|word| word.iter().position(|byte| *byte == b'.'));
    let bare = end.and_then(|end| path.get(..last.saturating_add(end))).unwrap_or(path);
    WRITES_ELSEWHERE.into_iter().any(|pattern| KIND.matches(pattern, bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_of_a_repository_is_told_from_what_stays() {
        for path in [
            "/repos/o/r/forks",
            "/repos/o/r/Forks/",
            "/REPOS/o/r/generate",
            "/repos/o/r/transfer.json",
            "/repos/o/r/codespaces",
            "/repos/o/r/pulls/7/codespaces",
            "/repos/o/r/pulls/7/update-branch",
            "/repos/o/r/security-advisories/GHSA-1/forks",
        ] {
            assert!(writes_elsewhere(path.as_bytes()), "{path}");
        }
        for path in [
            "/repos/o/r",
            "/repos/o/forks",
            "/repos/o/r/issues",
            "/repos/o/r/contents/forks",
            "/repos/o/r/releases/generate-notes",
            "/repos/o/r/codespaces/secrets/TOKEN",
            "/repos/o/r/pulls/7/merge",
            "/repos/o/r/merge-upstream",
            "/forks",
            "/",
            "",
        ] {
            assert!(!writes_elsewhere(path.as_bytes()), "{path}");
        }
    }
}
