//! The rules that the GitHub keys of the data document become.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::allow_rule::{self, allow_https, exact};
use crate::document::GithubKeys;
use crate::git::GitScope;
use crate::path::pattern::{Case, PatternKind};
use crate::resolved_rule::{ResolvedHost, ResolvedRule};
use crate::scheme::Scheme;

/// GitHub accepts the names of owners and repositories in any case.
const EXACT: PatternKind = PatternKind { prefix: false, parameters: false, case: Case::Ascii };
const PREFIX: PatternKind = PatternKind { prefix: true, ..EXACT };
const PARAMETERS: PatternKind = PatternKind { parameters: true, ..EXACT };

/// GitHub's documented REST hosts for writes: the API, and the host for uploads of release assets.
const REST: [&str; 2] = ["api.github.com", "uploads.github.com"];
const WRITES: [&str; 4] = ["DELETE", "PATCH", "POST", "PUT"];

pub(super) fn rules<'s>(keys: GithubKeys<'s>) -> Vec<ResolvedRule<'s>> {
    let GithubKeys { read_access_enabled, allowed_repos, allowed_users } = keys;
    let mut rules = Vec::new();
    if read_access_enabled {
        rules.extend(reading());
    }
    if !allowed_repos.is_empty() {
        let rest = allowed_repos.iter().flat_map(|repo| at_and_below(format!("/repos/{repo}")));
        let api = writing("github_allowed_repos", &REST, &WRITES);
        rules.push(ResolvedRule { paths: rest.collect(), git: GitScope::InPlace, ..api });
        let push = allowed_repos.iter().flat_map(|repo| {
            ["/info/refs", "/git-receive-pack", ".git/info/refs", ".git/git-receive-pack"]
                .map(|end| (format!("/{repo}{end}"), EXACT))
        });
        let github = writing("github_allowed_repos/git-push", &["github.com"], &["GET", "POST"]);
        rules.push(ResolvedRule { paths: push.collect(), git: GitScope::Write, ..github });
    }
    if !allowed_users.is_empty() {
        let rest = allowed_users.iter().flat_map(|user| at_and_below(format!("/users/{user}")));
        rules.push(ResolvedRule { paths: rest.collect(), ..writing("github_allowed_users", &REST, &WRITES) });
    }
    rules
}

fn reading<'s>() -> [ResolvedRule<'s>; 3] {
    let read = |id, hosts| ResolvedRule {
        schemes: BTreeSet::from(Scheme::ALL),
        ..writing(id, hosts, &["GET", "HEAD"])
    };
    let mut content = read("github_read_access_enabled", &["api.github.com", "codeload.github.com"]);
    let below = ResolvedHost { name: Cow::Borrowed("githubusercontent.com"), below: true };
    content.hosts.iter_mut().for_each(|hosts| hosts.push(below.clone()));
    // A fetch is a POST, and still only reads.
    let fetch = writing("github_read_access_enabled/git-fetch", &["github.com"], &["POST"]);
    [
        content,
        ResolvedRule {
            git: GitScope::NoWrite,
            ..read("github_read_access_enabled/github.com", &["github.com"])
        },
        ResolvedRule {
            paths: BTreeSet::from([("/{owner}/{repository}/git-upload-pack".to_owned(), PARAMETERS)]),
            ..fetch
        },
    ]
}

fn at_and_below(path: String) -> [(String, PatternKind); 2] {
    [(format!("{path}/"), PREFIX), (path, EXACT)]
}

/// An allow rule over https for these methods and hosts.
fn writing<'s>(id: &'static str, hosts: &[&'static str], methods: &[&'static str]) -> ResolvedRule<'s> {
    allow_https(id, hosts.iter().map(|host| exact(*host)).collect(), allow_rule::methods(methods))
}

#[cfg(test)]
mod tests {
    use crate::{Policy, Reason, Target};

    const ONE_WRITER: &str = "\
github_read_access_enabled: true
github_allowed_repos: [octo-org/app]
github_allowed_users: [octo-bot]
";

    fn decide(policy: &Policy, method: &str, url: &str) -> (Reason, String) {
        let target = Target::parse(url).expect("a URL");
        let decision = policy.decide(&target.request(method));
        (decision.reason, decision.rule.map(|rule| rule.id().to_owned()).unwrap_or_default())
    }

    fn policy(source: &str) -> Policy {
        crate::compile(source).unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn reading_is_allowed_everywhere_on_github_and_nowhere_beside_it() {
        let policy = policy(ONE_WRITER);
        for (method, url, rule) in [
            ("GET", "https://github.com/any/repo", "github_read_access_enabled/github.com"),
            ("HEAD", "http://github.com/", "github_read_access_enabled/github.com"),
            ("GET", "https://api.github.com/repos/any/repo/branches/a%2fb", "github_read_access_enabled"),
            ("GET", "https://codeload.github.com/a/b/tar.gz/main", "github_read_access_enabled"),
            ("GET", "https://raw.githubusercontent.com/a/b/main/c", "github_read_access_enabled"),
            (
                "GET",
                "https://github.com/a/b/info/refs?service=git-upload-pack",
                "github_read_access_enabled/github.com",
            ),
            ("POST", "https://github.com/a/b.git/git-upload-pack", "github_read_access_enabled/git-fetch"),
        ] {
            assert_eq!(decide(&policy, method, url), (Reason::Allowed, rule.to_owned()), "{method} {url}");
        }
        for (method, url, reason) in [
            ("GET", "https://github.attacker.com/", Reason::HostNotAllowed),
            ("GET", "https://gist.github.com/", Reason::HostNotAllowed),
            ("GET", "https://githubusercontent.com/", Reason::HostNotAllowed),
            ("POST", "http://github.com/a/b/git-upload-pack", Reason::MethodNotAllowed),
            ("POST", "https://api.github.com/graphql", Reason::PathNotAllowed),
            ("POST", "https://api.github.com/user/repos", Reason::PathNotAllowed),
        ] {
            assert_eq!(decide(&policy, method, url).0, reason, "{method} {url}");
        }
    }

    #[test]
    fn writing_is_allowed_to_the_listed_repository_alone() {
        let policy = policy(ONE_WRITER);
        for (method, url) in [
            ("POST", "https://api.github.com/repos/octo-org/app/issues"),
            ("PATCH", "https://api.github.com/repos/octo-org/app"),
            ("POST", "https://uploads.github.com/repos/octo-org/app/releases/1/assets?name=a"),
            ("PUT", "https://api.github.com/users/octo-bot/x"),
            ("POST", "https://api.github.com/repos/Octo-Org/APP/issues"),
            ("POST", "https://github.com/Octo-Org/App/git-receive-pack"),
            ("PUT", "https://api.github.com/users/Octo-Bot/x"),
            ("POST", "https://api.github.com/repos/octo-org/app/merge-upstream"),
            ("POST", "https://api.github.com/repos/octo-org/app/actions/workflows/1/dispatches"),
            ("PUT", "https://api.github.com/repos/octo-org/app/contents/a%2fb"),
            ("GET", "https://github.com/octo-org/app/info/refs?service=git-receive-pack"),
            ("GET", "https://github.com/octo-org/app.git/info/refs?service=git-receive-pack"),
            ("POST", "https://github.com/octo-org/app.git/git-receive-pack"),
        ] {
            assert_eq!(decide(&policy, method, url).0, Reason::Allowed, "{method} {url}");
        }
        for (method, url) in [
            ("POST", "https://api.github.com/repos/octo-org/app-2/issues"),
            ("POST", "https://api.github.com/repos/octo-org/app/../../victim/repo"),
            ("DELETE", "https://api.github.com/repos/octo-org"),
            ("PUT", "https://api.github.com/users/octo-bot2"),
            ("GET", "https://github.com/victim/repo/info/refs?service=git-receive-pack"),
            (
                "GET",
                "https://github.com/victim/repo/info/refs?service=git-upload-pack&service=git-receive-pack",
            ),
            ("HEAD", "https://github.com/victim/repo/info/refs?service=git%2Dreceive-pack"),
            ("POST", "https://github.com/victim/repo/git-receive-pack"),
            ("POST", "https://github.com/octo-org/app"),
            ("POST", "https://api.github.com/repos/octo-org/app/forks"),
            ("POST", "https://api.github.com/repos/octo-org/app/generate"),
            ("POST", "https://api.github.com/repos/octo-org/app/transfer"),
            ("POST", "https://api.github.com/repos/Octo-org/app/FORKS/"),
            ("POST", "https://api.github.com/repos/octo-org/app/x/../forks"),
            ("POST", "https://api.github.com/repos/octo-org/app/%66orks?x"),
            ("POST", "https://api.github.com/repos/octo-org/app/codespaces"),
            ("PUT", "https://api.github.com/repos/octo-org/app/pulls/1/update-branch"),
        ] {
            assert_eq!(decide(&policy, method, url).0, Reason::PathNotAllowed, "{method} {url}");
        }
        for url in [
            "https://github.com/octo-org%2fapp/git-receive-pack",
            "https://github.com/victim%2frepo/info/refs?service=git-receive-pack",
        ] {
            assert_eq!(decide(&policy, "GET", url).0, Reason::AmbiguousPath, "{url}");
        }
        for path in ["app%2fforks", "app//forks", "app/forks;x", "app/forks%3fx", "app/%2566orks"] {
            let url = format!("https://api.github.com/repos/octo-org/{path}");
            assert_eq!(decide(&policy, "POST", &url).0, Reason::AmbiguousPath, "{url}");
        }
    }

    #[test]
    fn a_listed_repository_may_be_pushed_to_and_not_read_without_read_access() {
        let policy = policy("github_read_access_enabled: false\ngithub_allowed_repos: [o/r]");
        let reason = |method, url| decide(&policy, method, url).0;
        assert_eq!(reason("POST", "https://github.com/o/r/git-receive-pack"), Reason::Allowed);
        assert_eq!(
            reason("GET", "https://github.com/o/r/info/refs?service=git-upload-pack"),
            Reason::PathNotAllowed
        );
        assert_eq!(reason("GET", "https://api.github.com/repos/o/r"), Reason::MethodNotAllowed);
    }
}
