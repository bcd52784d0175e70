//! Requests of GitHub's REST API whose path is below a repository, and that write outside it.
//!
//! `POST /repos/OWNER/NAME/forks` and `…/generate` create a repository in another account, and `…/transfer` gives this one
//! away. Permission to write to one repository does not include them. The list follows the REST API's reference.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::path::pattern::{Case, PatternKind};

const WRITES_ELSEWHERE: [&[u8]; 7] = [
    // These create a repository in an account that the caller chooses.
    b"/repos/{owner}/{repository}/forks",
    b"/repos/{owner}/{repository}/generate",
    // This creates a private repository for the fix of a vulnerability.
    b"/repos/{owner}/{repository}/security-advisories/{advisory}/forks",
    // This moves the repository to another account.
    b"/repos/{owner}/{repository}/transfer",
    // These create a machine in the caller's account.
    b"/repos/{owner}/{repository}/codespaces",
    b"/repos/{owner}/{repository}/pulls/{number}/codespaces",
    // This writes to the branch of the pull request, which may belong to a fork.
    b"/repos/{owner}/{repository}/pulls/{number}/update-branch",
];

const KIND: PatternKind = PatternKind { prefix: false, parameters: true, case: Case::Ascii };

/// Returns whether a write to this path changes something outside the repository in the path. The path may be in any
/// case, end in a slash, and have a format such as `.json` behind its last word.
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
